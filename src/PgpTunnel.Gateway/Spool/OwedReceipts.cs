using Microsoft.Data.Sqlite;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// What peers are owed of our logs about them: one row a pair of domains, written when a debt begins and when it is paid, not with each
/// record. For the writer's thread alone.
/// </summary>
internal sealed class OwedReceipts
{
    private const string Columns = "own, peer, due, log, sent, acked, at, parcel";

    /// <summary>Records before the first that is asked for, at most, that a peer is told of.</summary>
    private const long MostBefore = LogTail.MostUnasked;

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
        // After another process has written it is not known which records are owed: then all that there are may be.
        var isMore = _owed.TryGetValue((sent.Own, sent.Peer), out var last)
            ? last >= sent.Size
            : statements.Scalar("SELECT size FROM log WHERE number = $number", ("$number", sent.Log)) is long size
                && size > sent.Size;
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

    /// <summary>The peer says that it holds so many records of that log.</summary>
    public static void Acked(Statements statements, OwedReceipt owed, long size) =>
        statements.Execute(
            "UPDATE receipt SET acked = max(acked, $size) WHERE own = $own AND peer = $peer AND log = $log",
            ("$own", owed.Own),
            ("$peer", owed.Peer),
            ("$log", owed.Log),
            ("$size", size)
        );

    /// <summary>What was sent has not arrived: from there on it is owed again.</summary>
    /// <param name="owed">As it was read; a receipt that was sent since may have told all that again.</param>
    public static void OweAgain(Statements statements, OwedReceipt owed, long from, DateTimeOffset now) =>
        statements.Execute(
            "UPDATE receipt SET sent = min(sent, $from), acked = min(acked, $from), due = coalesce(due, $now) "
                + "WHERE own = $own AND peer = $peer AND log = $log AND sent = $sent",
            ("$own", owed.Own),
            ("$peer", owed.Peer),
            ("$log", owed.Log),
            ("$sent", owed.Sent),
            ("$from", from),
            ("$now", now.ToUnixTimeMilliseconds())
        );

    /// <summary>There is nothing more to tell than was sent.</summary>
    public void Paid(Statements statements, OwedReceipt owed)
    {
        if (_owed.TryGetValue((owed.Own, owed.Peer), out var last) && last >= owed.Sent)
            return; // something has come since that was read
        statements.Execute(
            "UPDATE receipt SET due = NULL WHERE own = $own AND peer = $peer AND log = $log AND sent = $sent",
            ("$own", owed.Own),
            ("$peer", owed.Peer),
            ("$log", owed.Log),
            ("$sent", owed.Sent)
        );
    }

    /// <summary>Nothing is owed any more until a parcel asks again.</summary>
    /// <param name="from">Where the next receipt begins then.</param>
    public void End(Statements statements, OwedReceipt owed, long from)
    {
        _owed.Remove((owed.Own, owed.Peer));
        statements.Execute(
            "UPDATE receipt SET due = NULL, sent = $from, acked = $from WHERE own = $own AND peer = $peer AND log = $log",
            ("$own", owed.Own),
            ("$peer", owed.Peer),
            ("$log", owed.Log),
            ("$from", from)
        );
    }
}
