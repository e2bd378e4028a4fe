using System.Buffers.Binary;
using Microsoft.Data.Sqlite;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>What is on record, to be looked at; <see cref="Ledger"/> writes it.</summary>
internal sealed partial class Spool
{
    /// <summary>Every log, in the order in which they began.</summary>
    public IReadOnlyList<StoredLog> Logs() =>
        Read(s => s.Rows("SELECT number, own, peer, id, size, edge, closed FROM log ORDER BY number", ReadLog));

    public StoredLog? Log(long number) =>
        Read(s =>
                s.Rows(
                    "SELECT number, own, peer, id, size, edge, closed FROM log WHERE number = $number",
                    ReadLog,
                    ("$number", number)
                )
            )
            .FirstOrDefault();

    /// <summary>Nothing is appended to it any more; the next record about its domains begins another.</summary>
    public Task CloseLogAsync(long number) => WriteAsync(statements => _ledger.Close(statements, number));

    /// <summary>One whose edge is damaged counts as empty: older than all that was signed of it, so it is closed.</summary>
    private static StoredLog ReadLog(SqliteDataReader row) =>
        new(
            row.GetInt64(0),
            new(row.GetString(1), row.GetString(2), row.GetString(3)),
            TreeEdge.Read(row.GetInt64(4), (byte[])row[5]) ?? new TreeEdge(),
            row.GetInt64(6) != 0
        );

    /// <summary>The records that carry one of these tags, log by log, the oldest first.</summary>
    public IReadOnlyList<StoredRecord> Tagged(IEnumerable<byte[]> tags)
    {
        var wanted = tags.Select(t => BinaryPrimitives.ReadUInt64BigEndian(t)).ToHashSet();
        return Read(s =>
            s.Rows("SELECT place, tags FROM tag", row => (Place: row.GetInt64(0), Tags: (byte[])row[1]))
                .Where(t => LogEntry.HasOne(t.Tags, wanted))
                .Select(t => t.Place)
                .Order()
                .SelectMany(place => Stored(s, place))
                .ToList()
        );
    }

    private const int Page = 256;

    /// <summary>Every record of a log, in order; read as they are asked for.</summary>
    public IEnumerable<StoredRecord> Records(long log)
    {
        for (var n = 0L; ; n += Page)
        {
            var page = Read(s =>
                Enumerable.Range(0, Page).SelectMany(i => Stored(s, Ledger.Place(log, n + i))).ToList()
            );
            foreach (var record in page)
                yield return record;
            if (page.Count == 0)
                yield break;
        }
    }

    /// <returns>Null when the log has no such record.</returns>
    public StoredRecord? Record(long log, long n) => Read(s => Stored(s, Ledger.Place(log, n))).FirstOrDefault();

    /// <summary>The hash of a record of a log, for a path to it.</summary>
    public byte[] LeafHash(long log, long n) =>
        Read(s =>
            TreeHash.Leaf(
                s.Scalar("SELECT octets FROM record WHERE place = $place", ("$place", Ledger.Place(log, n))) as byte[]
                    ?? throw Missing(log, $"record {n}")
            )
        );

    /// <summary>The root of a block of <see cref="TreeEdge.Block"/> records.</summary>
    public byte[] BlockRoot(long log, long number) =>
        Read(s =>
            s.Scalar("SELECT root FROM block WHERE place = $place", ("$place", Ledger.Place(log, number))) as byte[]
            ?? throw Missing(log, $"block {number}")
        );

    private static SpoolException Missing(long log, string what) =>
        new($"log {log} lacks {what}: the spool has lost a part of what was on record", false);

    private static List<StoredRecord> Stored(Statements statements, long place) =>
        statements.Rows(
            "SELECT octets, wrapped, opening, month FROM record LEFT JOIN seal ON seal.number = record.seal WHERE place = $place",
            row => new StoredRecord(
                Ledger.LogOf(place),
                Evidence.Record.Read((byte[])row[0]),
                row.IsDBNull(1) || row.IsDBNull(2) ? null : [.. (byte[])row[1], .. (byte[])row[2]],
                row.IsDBNull(3) ? null : row.GetString(3)
            ),
            ("$place", place)
        );
}
