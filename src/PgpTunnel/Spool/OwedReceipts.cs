using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>
/// What peers are owed of our logs about them: one row a pair of domains, written when a debt begins and when it is paid, not with each
/// record. For the writer's thread alone.
/// </summary>
internal sealed class OwedReceipts
{
    private const string Columns = "own, peer, due, log, sent, acked, at, parcel";

    /// <summary>Records before the first that is asked for, at most, that a peer is told of.</summary>
    private const long MostBefore = 100_000;

    /// <summary>Index of the last record that is owed, of pairs whose row says that something is.</summary>
    private readonly Dictionary<(string Own, string Peer), long> _owed = [];

    public void Forget() => _owed.Clear();

    /// <param name="n">Index of the record in that log.</param>
    public void Owe(Statements statements, LogEntry entry, long log, long n)
    {
        var isKnown = _owed.ContainsKey((entry.Own, entry.Peer));
        _owed[(entry.Own, entry.Peer)] = n;
        if (isKnown)
            return;
        // A log that is new to the peer begins with its first record, which names the one before it; one that had grown large before the
        // peer asked begins with what it asked for, and what lies before is our word only.
        statements.Execute(
            """
            INSERT INTO receipt(own, peer, due, log, sent, acked, at, parcel) VALUES($own, $peer, $due, $log, $first, $first, 0, '')
                ON CONFLICT(own, peer) DO UPDATE SET due = coalesce(due, $due), log = $log,
                    sent = CASE WHEN log = $log THEN sent ELSE 0 END, acked = CASE WHEN log = $log THEN acked ELSE 0 END
            """,
            ("$own", entry.Own),
            ("$peer", entry.Peer),
            ("$due", entry.At.ToUnixTimeMilliseconds()),
            ("$log", log),
            ("$first", n < MostBefore ? 0 : n)
        );
    }

    /// <summary>A receipt is on its way; what was owed beyond it is owed still.</summary>
    public void Sent(Statements statements, ReceiptSent sent)
    {
        var isMore = !_owed.TryGetValue((sent.Own, sent.Peer), out var last) || last >= sent.Size;
        if (!isMore)
            _owed.Remove((sent.Own, sent.Peer));
        statements.Execute(
            "UPDATE receipt SET due = CASE WHEN $more THEN due END, sent = $size, at = $at, parcel = $parcel "
                + "WHERE own = $own AND peer = $peer AND log = $log",
            ("$own", sent.Own),
            ("$peer", sent.Peer),
            ("$log", sent.Log),
            ("$size", sent.Size),
            ("$at", sent.At.ToUnixTimeMilliseconds()),
            ("$parcel", sent.Parcel),
            ("$more", isMore ? 1 : 0)
        );
    }

    /// <summary>What is owed now: there may be very many pairs, and few of them have sent something of late.</summary>
    public static IReadOnlyList<OwedReceipt> Due(Statements statements) =>
        statements.Rows($"SELECT {Columns} FROM receipt WHERE due IS NOT NULL", Read);

    /// <summary>What was sent before that time, and nobody has said that he holds it.</summary>
    public static IReadOnlyList<OwedReceipt> Unheld(Statements statements, DateTimeOffset before) =>
        statements.Rows(
            $"SELECT {Columns} FROM receipt WHERE due IS NULL AND acked < sent AND at < $before",
            Read,
            ("$before", before.ToUnixTimeMilliseconds())
        );

    public static OwedReceipt? Find(Statements statements, string own, string peer) =>
        statements
            .Rows(
                $"SELECT {Columns} FROM receipt WHERE own = $own AND peer = $peer",
                Read,
                ("$own", own),
                ("$peer", peer)
            )
            .FirstOrDefault();

    private static OwedReceipt Read(SqliteDataReader row) =>
        new(
            row.GetString(0),
            row.GetString(1),
            row.IsDBNull(2) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(2)),
            row.GetInt64(3),
            row.GetInt64(4),
            row.GetInt64(5),
            DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(6)),
            row.GetString(7)
        );

    /// <summary>Changes what a row says, if it still says so much was sent.</summary>
    public void Change(Statements statements, OwedReceipt before, OwedReceipt after)
    {
        if (after.Due is null)
            _owed.Remove((after.Own, after.Peer));
        statements.Execute(
            "UPDATE receipt SET due = $due, sent = $sent, acked = $acked WHERE own = $own AND peer = $peer AND log = $log "
                + "AND sent = $before",
            ("$own", after.Own),
            ("$peer", after.Peer),
            ("$log", after.Log),
            ("$before", before.Sent),
            ("$due", after.Due is { } due ? due.ToUnixTimeMilliseconds() : DBNull.Value),
            ("$sent", after.Sent),
            ("$acked", after.Acked)
        );
    }
}
