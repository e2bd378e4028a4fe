using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal static partial class SpoolRescue
{
    private const int MostComplaints = 20;

    /// <summary>SQLITE_READONLY and SQLITE_CANTOPEN.</summary>
    private const int ReadOnly = 8,
        CannotOpen = 14;

    /// <summary>What SQLite finds wrong with the file; empty = nothing.</summary>
    /// <exception cref="SpoolException">There is none, or it may not be opened.</exception>
    public static IReadOnlyList<string> Check(string file)
    {
        try
        {
            using var connection = Open(file, SqliteOpenMode.ReadWrite);
            return Check(connection, "integrity_check");
        }
        catch (SqliteException e) when (e.SqliteErrorCode is CannotOpen or ReadOnly)
        {
            throw SpoolFile.Unusable(file, e); // that is no damage
        }
        catch (SqliteException e)
        {
            return [e.Message];
        }
    }

    /// <param name="pragma"><c>integrity_check</c>, or the faster <c>quick_check</c>.</param>
    public static IReadOnlyList<string> Check(SqliteConnection connection, string pragma)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // a constant
        command.CommandText = $"PRAGMA {pragma}({MostComplaints})";
#pragma warning restore CA2100
        using var row = command.ExecuteReader();
        var complaints = new List<string>();
        while (row.Read())
            complaints.Add(row.GetString(0));
        return complaints is ["ok"] ? [] : complaints;
    }
}
