using System.Collections.Concurrent;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>The trees of logs: what they were with fewer records, and where a record stands in them.</summary>
internal sealed partial class Spool
{
    /// <summary>Roots of large blocks by log and number: a gateway is asked for the same logs again and again.</summary>
    private readonly ConcurrentDictionary<(long Log, long Number), byte[]> _largeBlocks = new();

    /// <summary>The root that a log had with so many records.</summary>
    /// <exception cref="SpoolException">Records are lost, or were never here.</exception>
    public byte[] RootAt(StoredLog log, long size) => InclusionPath.Root(size, TreeOf(log));

    /// <summary>That a record stands in a log with so many records.</summary>
    /// <exception cref="SpoolException">Records are lost.</exception>
    public IReadOnlyList<byte[]> PathTo(StoredLog log, long n, long size) => InclusionPath.Make(n, size, TreeOf(log));

    /// <summary>The right edge that a log of ours had with so many records.</summary>
    /// <exception cref="SpoolException">Records are lost.</exception>
    public TreeEdge EdgeAt(StoredLog log, long size) => InclusionPath.Edge(size, TreeOf(log));

    /// <summary>What is asked for one after the other lies together, and is read at once.</summary>
    public HeldTree TreeOf(StoredLog log) =>
        new(
            ByRuns(n => LeafHashes(log.Number, n), n => new($"log {log.Number} lacks record {n}: {Lost}", false)),
            ByRuns(n => BlockRoots(log.Number, n), n => new($"log {log.Number} lacks block {n}: {Lost}", false))
        )
        {
            Start = log.Start,
            Keep = (number, make) => _largeBlocks.GetOrAdd((log.Number, number), _ => make()),
        };

    private const string Lost = "the spool has lost a part of what was on record";

    /// <summary>Hashes by their number, of which always those of a run of <see cref="TreeEdge.Block"/> are read.</summary>
    /// <param name="read">Those from a number on.</param>
    private static Func<long, byte[]> ByRuns(
        Func<long, IEnumerable<(long Number, byte[] Hash)>> read,
        Func<long, SpoolException> missing
    )
    {
        var (run, hashes) = (-1L, new Dictionary<long, byte[]>());
        return n =>
        {
            if (n / TreeEdge.Block != run)
            {
                run = n / TreeEdge.Block;
                hashes = read(run * TreeEdge.Block).ToDictionary(h => h.Number, h => h.Hash);
            }
            return hashes.GetValueOrDefault(n) ?? throw missing(n);
        };
    }

    private List<(long, byte[])> LeafHashes(long log, long from) =>
        Hashes(
            "SELECT place, octets FROM record WHERE place >= $first AND place < $end",
            (log, from),
            octets => octets.Length == TreeHash.Length ? octets : TreeHash.Leaf(octets)
        );

    private List<(long, byte[])> BlockRoots(long log, long from) =>
        Hashes("SELECT place, root FROM block WHERE place >= $first AND place < $end", (log, from), root => root);

    private List<(long, byte[])> Hashes(string sql, (long Log, long From) at, Func<byte[], byte[]> hash) =>
        Read(s =>
            s.Rows(
                sql,
                row => (row.GetInt64(0) - Ledger.Place(at.Log, 0), hash((byte[])row[1])),
                ("$first", Ledger.Place(at.Log, at.From)),
                ("$end", Ledger.Place(at.Log, at.From + TreeEdge.Block))
            )
        );
}
