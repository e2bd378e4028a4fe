using System.Globalization;
using System.Text;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Which private parts were erased, beside the keys: a line each, the log and the index of the record in it. Whoever restores a backup
/// that is older takes them out again by it.
/// </summary>
internal static class ErasedFile
{
    /// <summary>In the folder of our keys.</summary>
    public const string Name = "evidence/erased";

    public static string PathOf(string keys) => Path.Combine(keys, Name);

    /// <summary>Puts lines behind those that are there; durable when it returns.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Add(string keys, IReadOnlyList<Erased> erased)
    {
        var path = PathOf(keys);
        KeyRing.MakeFolder(Path.GetDirectoryName(path)!);
        if (!OwnFiles.IsThere(path))
            OwnFiles.Write(path, []);
        using (var file = new FileStream(path, FileMode.Append, FileAccess.Write))
        {
            file.Write(Encoding.ASCII.GetBytes(Text(erased)));
            file.Flush();
            OwnFiles.Sync(file.SafeFileHandle);
        }
        OwnFiles.KeepOwner(path, keys);
        OwnFiles.SyncNames(Path.GetDirectoryName(path)!);
    }

    private static string Text(IReadOnlyList<Erased> erased) =>
        string.Concat(
            erased.SelectMany(e => e.Indexes.Select(n => string.Create(CultureInfo.InvariantCulture, $"{e.Log} {n}\n")))
        );

    /// <exception cref="FormatException">A line is none of such; the message says which.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyList<Erased> Read(string path) =>
        [
            .. File.ReadLines(path)
                .Select((line, n) => Parse(line) ?? throw new FormatException($"{path}: line {n + 1} is not LOG INDEX"))
                .GroupBy(e => e.Log)
                .Select(g => new Erased(g.Key, [.. g.Select(e => e.Index).Distinct().Order()])),
        ];

    /// <summary>Those that a spool has, and has not erased yet.</summary>
    public static IReadOnlyList<Erased> In(Spool spool, IReadOnlyList<Erased> erased)
    {
        var logs = spool.Logs().Where(l => !l.IsMirror).ToDictionary(l => l.Origin, l => l.Number);
        bool IsThere(Erased e, long n) => spool.Record(logs[e.Log], n) is { Opening: not null };
        return
        [
            .. erased
                .Where(e => logs.ContainsKey(e.Log))
                .Select(e => e with { Indexes = [.. e.Indexes.Where(n => IsThere(e, n))] })
                .Where(e => e.Indexes.Count > 0),
        ];
    }

    private static (LogOrigin Log, long Index)? Parse(string line) =>
        line.Split(' ') is [var log, var index]
        && LogOrigin.TryRead(log) is { } origin
        && uint.TryParse(index, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            ? (origin, n)
            : null;
}
