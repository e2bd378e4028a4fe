using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>A spool as it was at one moment, copied while a gateway goes on with it.</summary>
internal static class SpoolCopy
{
    /// <summary>Octets that a copy needs on the disk.</summary>
    public static long SizeOf(string spool) =>
        new FileInfo(spool).Length + (File.Exists($"{spool}-wal") ? new FileInfo($"{spool}-wal").Length : 0);

    /// <param name="copy">A new file; bodies of files of their own come into the folder beside it, under another name of the same
    /// file.</param>
    /// <param name="withParcels">With what is on its way; else only what is remembered and on record.</param>
    /// <exception cref="SpoolException">It cannot be copied.</exception>
    public static void Write(string spool, string copy, bool withParcels)
    {
        try
        {
            OwnFiles.Write(copy, []); // mode 0600 before anything is in it
            using (var from = Connect(spool))
                Execute(from, "VACUUM INTO $copy", ("$copy", copy));
            using var to = Connect(copy);
            if (withParcels)
                LinkBodies(to, $"{spool}.bodies", $"{copy}.bodies");
            else
                Execute(to, "PRAGMA secure_delete=ON; DELETE FROM parcel; DELETE FROM body; VACUUM;");
        }
        catch (Exception e) when (e is SqliteException or IOException)
        {
            throw new SpoolException($"spool {spool} cannot be copied to {copy}: {e.Message}", false, e);
        }
    }

    /// <summary>A body that has gone since the copy was made is that of a parcel that is settled since.</summary>
    private static void LinkBodies(SqliteConnection copy, string from, string to)
    {
        OwnFiles.MakeDirectory(to);
        foreach (var name in Names(copy))
            if (!OwnFiles.TryLink(Path.Combine(from, name), Path.Combine(to, name)))
                Execute(copy, "DELETE FROM parcel WHERE file = $name", ("$name", name));
    }

    private static List<string> Names(SqliteConnection copy)
    {
        using var command = copy.CreateCommand();
        command.CommandText = "SELECT file FROM parcel WHERE file <> ''";
        using var row = command.ExecuteReader();
        var names = new List<string>();
        while (row.Read())
            names.Add(row.GetString(0));
        return names;
    }

    private static SqliteConnection Connect(string file)
    {
        var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder { DataSource = file, Pooling = false }.ToString()
        );
        connection.Open();
        return connection;
    }

    private static void Execute(
        SqliteConnection connection,
        string sql,
        params (string Name, object Value)[] parameters
    )
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value);
        command.ExecuteNonQuery();
    }
}
