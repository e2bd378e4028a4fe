using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>
/// Writes a spool's database anew in its place, so that nothing is left of what was taken out of it: SQLite leaves copies of rows in the
/// free space of pages, wherever it has ever moved them.
/// </summary>
internal static class SpoolSweep
{
    /// <summary>Octets. A larger one takes longer than a running gateway waits for its turn to write.</summary>
    private const long MostBesideGateway = 256 * 1024 * 1024;

    private const int Attempts = 100,
        Pause = 50; // ms

    /// <param name="file">The spool.</param>
    /// <param name="keepFree">Octets that the disk is to have left.</param>
    /// <returns>Why something may be left; null = nothing is.</returns>
    public static string? Sweep(string file, long keepFree)
    {
        var size = new FileInfo(file).Length;
        if (size > MostBesideGateway && SpoolLock.IsHeld(file))
            return "the spool is too large to be written anew while the gateway runs";
        var free = new DriveInfo(Path.GetDirectoryName(Path.GetFullPath(file))!).AvailableFreeSpace;
        if (free < 2 * size + keepFree)
            return $"its disk has no room to write the spool anew: {free} octets are free, and {2 * size} are needed";
        try
        {
            using var connection = new SqliteConnection(
                new SqliteConnectionStringBuilder
                {
                    DataSource = file,
                    Pooling = false,
                    DefaultTimeout = 30,
                }.ToString()
            );
            connection.Open();
            var statements = new Statements(connection);
            if (size <= MostBesideGateway)
                statements.Execute("PRAGMA temp_store = MEMORY"); // nothing of it lies elsewhere
            statements.Execute("PRAGMA secure_delete = ON; VACUUM");
            return EmptyLog(statements) ? null : "somebody reads the spool all the time";
        }
        catch (SqliteException e)
        {
            return $"the spool cannot be written anew now: {e.Message}";
        }
    }

    /// <summary>The log beside the database has pages as they were. Readers come and go; between two of them it is emptied.</summary>
    private static bool EmptyLog(Statements statements)
    {
        for (var attempt = 0; attempt < Attempts; attempt++, Thread.Sleep(Pause))
            if (statements.Rows("PRAGMA wal_checkpoint(TRUNCATE)", row => row.GetInt64(0)) is [0])
                return true;
        return false;
    }
}
