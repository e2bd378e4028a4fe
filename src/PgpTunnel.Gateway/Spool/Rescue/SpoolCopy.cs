using System.Globalization;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>A spool as it was at one moment, copied while a gateway goes on with it.</summary>
internal static class SpoolCopy
{
    /// <summary>Tables of what is on its way.</summary>
    private static readonly string[] Parcels = ["parcel", "body"];

    /// <summary>Octets that a copy needs on the disk, about.</summary>
    public static long SizeOf(string spool, bool withParcels)
    {
        var size = new FileInfo(spool).Length;
        if (File.Exists($"{spool}-wal"))
            size += new FileInfo($"{spool}-wal").Length;
        if (withParcels)
            return size;
        using var live = Connect(spool);
        return Math.Max(0, size - live.Number("SELECT coalesce(sum(octets), 0) FROM parcel WHERE file = ''"));
    }

    /// <param name="copy">A new file; bodies of files of their own come into the folder beside it, under another name of the same
    /// file.</param>
    /// <param name="withParcels">With what is on its way; else only what is remembered and on record.</param>
    /// <exception cref="SpoolException">It cannot be copied.</exception>
    public static void Write(string spool, string copy, bool withParcels)
    {
        try
        {
            OwnFiles.Write(copy, []); // mode 0600 before anything is in it
            if (withParcels)
                WriteAll(spool, copy);
            else
                WriteWithoutParcels(spool, copy);
        }
        catch (Exception e) when (e is SqliteException or IOException)
        {
            throw new SpoolException($"spool {spool} cannot be copied to {copy}: {e.Message}", false, e);
        }
    }

    private static void WriteAll(string spool, string copy)
    {
        var (from, to) = ($"{spool}.bodies", $"{copy}.bodies");
        OwnFiles.MakeDirectory(to);
        if (new DirectoryInfo(from).LinkTarget is { } target)
            throw new IOException($"{from} is a link to {target}, and must be a folder");
        using var live = Connect(spool);
        // Before, since bodies go while it is copied; and after, since others have come.
        foreach (var body in Directory.Exists(from) ? Directory.EnumerateFiles(from).Where(IsBody) : [])
            OwnFiles.TryLink(body, Path.Combine(to, Path.GetFileName(body)));
        live.Execute("VACUUM INTO $copy", ("$copy", copy));
        using var copied = Connect(copy);
        var named = Pairs(copied, "SELECT file, id FROM parcel WHERE file <> '' AND octets > 0");
        foreach (var (name, id) in named)
            if (!LogEntry.IsId(name))
                throw new IOException($"parcel {id} names '{name}' as its body, which no gateway has written");
            else if (
                !File.Exists(Path.Combine(to, name))
                && !OwnFiles.TryLink(Path.Combine(from, name), Path.Combine(to, name))
            )
                Settle(live, copied, id);
        var wanted = named.Select(n => n.Name).ToHashSet();
        foreach (var body in Directory.EnumerateFiles(to).Where(f => !wanted.Contains(Path.GetFileName(f))))
            File.Delete(body); // of none that is in the copy
    }

    /// <summary>By its name: who can write to the database must not lead us elsewhere.</summary>
    private static bool IsBody(string file) => LogEntry.IsId(Path.GetFileName(file));

    /// <summary>Came and went while the spool was copied: it is no more there either.</summary>
    private static void Settle(Statements live, Statements copied, string id)
    {
        if (live.Scalar("SELECT 1 FROM parcel WHERE id = $id", ("$id", id)) is not null)
            throw new IOException($"{id} was changed while it was copied; try again");
        copied.Execute("DELETE FROM parcel WHERE id = $id", ("$id", id));
    }

    /// <summary>Table by table, of one moment: what is left out is never written.</summary>
    private static void WriteWithoutParcels(string spool, string copy)
    {
        using var to = Connect(copy);
        to.Execute(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;"
        );
        to.Execute("ATTACH $spool AS live", ("$spool", spool));
        to.Execute("BEGIN");
        var made = Pairs(
            to,
            "SELECT name, sql FROM live.sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'table' DESC, name"
        );
        foreach (var (name, sql) in made.Where(m => !m.Name.StartsWith("sqlite_", StringComparison.Ordinal)))
        {
            to.Execute(sql);
            if (IsTable(sql) && !Parcels.Contains(name))
                to.Execute($"INSERT INTO main.{name} SELECT * FROM live.{name}");
        }
        to.Execute(
            "DELETE FROM main.sqlite_sequence; INSERT INTO main.sqlite_sequence SELECT * FROM live.sqlite_sequence;"
        );
        var version = to.Number("PRAGMA live.user_version");
        to.Execute($"COMMIT; PRAGMA main.user_version = {version.ToString(CultureInfo.InvariantCulture)};");
    }

    private static bool IsTable(string sql) => sql.StartsWith("CREATE TABLE", StringComparison.Ordinal);

    private static Statements Connect(string file)
    {
        var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder
            {
                DataSource = file,
                Pooling = false,
                DefaultTimeout = 10,
            }.ToString()
        );
        connection.Open();
        var statements = new Statements(connection);
        statements.Execute("PRAGMA temp_store = MEMORY"); // nothing of it lies elsewhere
        return statements;
    }

    private static List<(string Name, string Value)> Pairs(Statements statements, string sql) =>
        statements.Rows(sql, row => (row.GetString(0), row.GetString(1)));
}
