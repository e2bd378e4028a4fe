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
    /// <param name="keys">The folder of our keys.</param>
    public static string PathOf(string keys) => Path.Combine(keys, "evidence", "erased");

    /// <summary>Adds to those that are there; durable when it returns.</summary>
    /// <exception cref="FormatException">What is there is no such list.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Add(GatewayConfiguration configuration, IReadOnlyList<Erased> erased)
    {
        using var alone = KeyRing.Lock(configuration);
        var path = PathOf(configuration.Keys.Directory);
        Write(configuration.Keys.Directory, Union(OwnFiles.IsThere(path) ? Read(path) : [], erased));
    }

    /// <summary>Whole or as it was; durable when it returns.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(string keys, IReadOnlyList<Erased> erased)
    {
        KeyRing.MakeFolder(Path.GetDirectoryName(PathOf(keys))!);
        OwnFiles.Replace(PathOf(keys), Encoding.ASCII.GetBytes(Text(erased)), _ => { });
    }

    private static string Text(IReadOnlyList<Erased> erased) =>
        string.Concat(
            erased.SelectMany(e => e.Indexes.Select(n => string.Create(CultureInfo.InvariantCulture, $"{e.Log} {n}\n")))
        );

    /// <exception cref="FormatException">A line is none of such; the message says which.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyList<Erased> Read(string path) =>
        Grouped(
            File.ReadLines(path)
                .Select((line, n) => Parse(line) ?? throw new FormatException($"{path}: line {n + 1} is not LOG INDEX"))
        );

    public static IReadOnlyList<Erased> Union(IReadOnlyList<Erased> some, IReadOnlyList<Erased> others) =>
        Grouped(some.Concat(others).SelectMany(e => e.Indexes.Select(n => (e.Log, n))));

    private static List<Erased> Grouped(IEnumerable<(LogOrigin Log, long Index)> all) =>
        [.. all.GroupBy(e => e.Log).Select(g => new Erased(g.Key, [.. g.Select(e => e.Index).Distinct().Order()]))];

    /// <summary>Those that a spool has, and has not erased yet.</summary>
    public static IReadOnlyList<Erased> In(Spool spool, IReadOnlyList<Erased> erased)
    {
        var logs = spool.Logs().ToDictionary(l => l.Origin, l => l.Number);
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
