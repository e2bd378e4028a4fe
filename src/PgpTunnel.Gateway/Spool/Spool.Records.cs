using System.Buffers.Binary;
using Microsoft.Data.Sqlite;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>What is on record, to be looked at; <see cref="Ledger"/> writes it.</summary>
internal sealed partial class Spool
{
    /// <summary>Every log, in the order in which they began.</summary>
    public IReadOnlyList<StoredLog> Logs() =>
        Read(s => s.Rows($"SELECT {LogColumns} FROM log ORDER BY number", ReadLog));

    public StoredLog? Log(long number) =>
        Read(s => s.Rows($"SELECT {LogColumns} FROM log WHERE number = $number", ReadLog, ("$number", number)))
            .FirstOrDefault();

    private const string LogColumns = "number, own, peer, id, size, edge, closed, mirror, first, start";

    /// <summary>How many records all our logs about a domain have.</summary>
    public long Records(string own, string peer) =>
        Read(s =>
            (long)
                s.Scalar(
                    "SELECT coalesce(sum(size), 0) FROM log WHERE own = $own AND peer = $peer AND mirror = 0",
                    ("$own", own),
                    ("$peer", peer)
                )!
        );

    /// <summary>How many records a log has; null = there is no such log.</summary>
    public long? LogSize(long number) =>
        Read(s => s.Scalar("SELECT size FROM log WHERE number = $number", ("$number", number)) as long?);

    /// <summary>Our log about a domain that records are appended to now; null = there is none.</summary>
    public StoredLog? OpenLog(string own, string peer) =>
        Read(s =>
                s.Rows(
                    $"SELECT {LogColumns} FROM log WHERE own = $own AND peer = $peer AND closed = 0",
                    ReadLog,
                    ("$own", own),
                    ("$peer", peer)
                )
            )
            .FirstOrDefault();

    /// <summary>What is held of a peer's logs about a domain of ours, the latest last.</summary>
    public IReadOnlyList<StoredLog> Mirrors(string peer, string own) =>
        Read(s =>
            s.Rows(
                $"SELECT {LogColumns} FROM log WHERE own = $peer AND peer = $own AND mirror = 1 ORDER BY number",
                ReadLog,
                ("$own", own),
                ("$peer", peer)
            )
        );

    /// <summary>How many logs of a peer about a domain of ours were first heard of since then.</summary>
    public long BegunSince(string peer, string own, DateTimeOffset since) =>
        Read(s =>
            (long)
                s.Scalar(
                    "SELECT count(*) FROM log WHERE own = $peer AND peer = $own AND mirror = 1 AND at >= $since",
                    ("$peer", peer),
                    ("$own", own),
                    ("$since", since.ToUnixTimeMilliseconds())
                )!
        );

    /// <summary>Names of the month keys that private parts are sealed to.</summary>
    public IReadOnlyList<string> SealMonths() =>
        Read(s => s.Rows("SELECT DISTINCT month FROM seal ORDER BY month", row => row.GetString(0)));

    /// <summary>Nothing is appended to these any more; the next record about the domains of one begins another.</summary>
    public Task CloseLogsAsync(IReadOnlyList<long> numbers) =>
        WriteAsync(statements => _ledger.Close(statements, numbers));

    /// <summary>One whose edge is damaged counts as empty: older than all that was signed of it, so it is closed.</summary>
    private static StoredLog ReadLog(SqliteDataReader row) =>
        new(
            row.GetInt64(0),
            new(row.GetString(1), row.GetString(2), row.GetString(3)),
            TreeEdge.Read(row.GetInt64(4), (byte[])row[5]) ?? new TreeEdge(),
            row.GetInt64(6) != 0
        )
        {
            IsMirror = row.GetInt64(7) != 0,
            Start = TreeEdge.Read(row.GetInt64(8), (byte[])row[9]) ?? new TreeEdge(),
        };

    /// <inheritdoc cref="Tagged(IEnumerable{byte[]})"/>
    /// <param name="log">The only log that is looked through.</param>
    public IReadOnlyList<StoredRecord> Tagged(IEnumerable<byte[]> tags, long log)
    {
        var wanted = tags.Select(t => BinaryPrimitives.ReadUInt64BigEndian(t)).ToHashSet();
        return Read(s =>
            s.Rows(
                    "SELECT place, octets FROM found WHERE place >= $first AND place < $end",
                    row => TagRun.Places(row.GetInt64(0), (byte[])row[1], wanted).ToList(),
                    ("$first", Ledger.Place(log, 0)),
                    ("$end", Ledger.Place(log + 1, 0))
                )
                .SelectMany(places => places)
                .SelectMany(place => Stored(s, place))
                .ToList()
        );
    }

    /// <summary>The records that carry one of these tags, log by log, the oldest first.</summary>
    public IReadOnlyList<StoredRecord> Tagged(IEnumerable<byte[]> tags)
    {
        var wanted = tags.Select(t => BinaryPrimitives.ReadUInt64BigEndian(t)).ToHashSet();
        return Read(s =>
            s.Rows(
                    "SELECT place, octets FROM found",
                    row => TagRun.Places(row.GetInt64(0), (byte[])row[1], wanted).ToList()
                )
                .SelectMany(places => places)
                .Concat(
                    s.Rows("SELECT place, tags FROM tag", row => (Place: row.GetInt64(0), Tags: (byte[])row[1]))
                        .Where(t => LogEntry.HasOne(t.Tags, wanted))
                        .Select(t => t.Place)
                )
                .Distinct()
                .Order()
                .SelectMany(place => Stored(s, place))
                .ToList()
        );
    }

    private const int Page = 256;

    /// <summary>Every record of a log, in order; read as they are asked for.</summary>
    /// <param name="from">Index of the first.</param>
    public IEnumerable<StoredRecord> Records(long log, long from = 0)
    {
        for (var n = from; ; n += Page)
        {
            var (first, end) = (Ledger.Place(log, n), Ledger.Place(log, n + Page));
            var page = Read(s => Stored(s, first, end));
            foreach (var record in page.OfType<StoredRecord>())
                yield return record;
            if (page.Count == 0)
                yield break;
        }
    }

    /// <returns>Null when the log has no such record.</returns>
    public StoredRecord? Record(long log, long n) => Read(s => Stored(s, Ledger.Place(log, n))).FirstOrDefault();

    private static IEnumerable<StoredRecord> Stored(Statements statements, long place) =>
        Stored(statements, place, place + 1).OfType<StoredRecord>();

    /// <returns>One for each record from a place on: null where only its hash is held.</returns>
    private static List<StoredRecord?> Stored(Statements statements, long first, long end) =>
        statements.Rows(
            "SELECT place, octets, wrapped, opening, month FROM record LEFT JOIN seal ON seal.number = record.seal "
                + "WHERE place >= $first AND place < $end ORDER BY place",
            row =>
                row[1] is byte[] { Length: > TreeHash.Length } octets
                    ? new StoredRecord(
                        Ledger.LogOf(row.GetInt64(0)),
                        Evidence.Record.Read(octets),
                        row.IsDBNull(2) || row.IsDBNull(3) ? null : [.. (byte[])row[2], .. (byte[])row[3]],
                        row.IsDBNull(4) ? null : row.GetString(4)
                    )
                    : null,
            ("$first", first),
            ("$end", end)
        );
}
