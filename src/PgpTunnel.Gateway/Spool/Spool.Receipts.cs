using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>Receipts: what is owed, what is awaited, and the heads that peers have signed.</summary>
internal sealed partial class Spool
{
    /// <summary>The row keeps its body until a receipt comes, since the same octets may have to go again.</summary>
    private static IReadOnlyList<string> HandOver(Statements statements, HandedOver handed)
    {
        // The receipt can have come before this.
        if (
            handed.Overdue is { } overdue
            && statements.Execute(
                "UPDATE parcel SET state = $handed, next = $until, server = $server, overdue = $overdue "
                    + "WHERE id = $id AND receipt IN ($asked, $missed)",
                ("$id", handed.Id),
                ("$handed", (int)ParcelState.Handed),
                ("$until", handed.Until.ToUnixTimeSeconds()),
                ("$server", handed.Server),
                ("$overdue", overdue.ToUnixTimeSeconds()),
                ("$asked", (int)ReceiptState.Asked),
                ("$missed", (int)ReceiptState.Overdue)
            ) > 0
        )
            return [];
        return FileOf(
            statements,
            $"UPDATE parcel SET state = $handed, {NoBody}, next = $until WHERE id = $id RETURNING file",
            ("$id", handed.Id),
            ("$handed", (int)ParcelState.Handed),
            ("$until", handed.Until.ToUnixTimeSeconds())
        );
    }

    private static bool Miss(Statements statements, MissedReceipt missed) =>
        statements.Execute(
            "UPDATE parcel SET receipt = $missed, overdue = $next WHERE id = $id AND state = $handed AND receipt IN ($asked, $missed)",
            ("$id", missed.Id),
            ("$handed", (int)ParcelState.Handed),
            ("$asked", (int)ReceiptState.Asked),
            ("$missed", (int)ReceiptState.Overdue),
            ("$next", Seconds(missed.Next))
        ) > 0;

    /// <summary>What is left of a row when its body is let go.</summary>
    private const string NoBody = "body = x'', stored = NULL, key = x'', octets = 0";

    private static void Resend(Statements statements, Resent again) =>
        statements.Execute(
            "UPDATE parcel SET state = $queued, next = $at, overdue = $next, attempts = attempts + 1 "
                + "WHERE id = $id AND state = $handed AND receipt = $missed AND octets > 0",
            ("$id", again.Id),
            ("$queued", (int)ParcelState.Queued),
            ("$handed", (int)ParcelState.Handed),
            ("$missed", (int)ReceiptState.Overdue),
            ("$at", again.At.ToUnixTimeSeconds()),
            ("$next", again.Next.ToUnixTimeSeconds())
        );

    /// <summary>Who says that it has a parcel need not be sent it any more, whatever the last attempt has come to.</summary>
    private static IReadOnlyList<string> Settle(Statements statements, SettledByReceipt settled) =>
        FileOf(
            statements,
            $"UPDATE parcel SET receipt = max(receipt, $receipt), done = $done, overdue = NULL, {NoBody}, "
                + "next = CASE WHEN state = $handed THEN next ELSE expires + $life END, state = $handed "
                + "WHERE id = $id AND form = $sealed RETURNING file",
            ("$id", settled.Id),
            ("$handed", (int)ParcelState.Handed),
            ("$sealed", (int)ParcelForm.Sealed),
            ("$life", (long)ParcelLife.Token.TotalSeconds),
            ("$done", WriteDone(settled.Done)),
            ("$receipt", (int)settled.State)
        );

    /// <summary>The oldest parcel for a domain that is missed and can be sent again, or is on its way again; null = none.</summary>
    public string? OldestMissed(string domain) =>
        Read(s =>
            s.Scalar(
                "SELECT id FROM parcel WHERE overdue IS NOT NULL AND domain = $domain AND receipt = $missed AND octets > 0 "
                    + "ORDER BY created, id LIMIT 1",
                ("$domain", domain),
                ("$missed", (int)ReceiptState.Overdue)
            ) as string
        );

    /// <summary>How many parcels wait for a receipt, and when the oldest of them came.</summary>
    public (long Count, DateTimeOffset? Oldest) Awaited() =>
        Read(s =>
            s.Rows(
                "SELECT count(*), min(created) FROM parcel WHERE overdue IS NOT NULL",
                row => (row.GetInt64(0), row.IsDBNull(1) ? (DateTimeOffset?)null : Time(row.GetInt64(1)))
            )
        )[0];

    /// <summary>How many parcels have no receipt although they should.</summary>
    public long OverdueCount() =>
        Read(s => s.Number("SELECT count(*) FROM parcel WHERE overdue IS NOT NULL AND receipt = 2")); // ReceiptState.Overdue

    /// <summary>How many parcels for a domain wait for a receipt.</summary>
    public long Awaited(string domain) =>
        Read(s =>
            (long)
                s.Scalar(
                    "SELECT count(*) FROM parcel WHERE overdue IS NOT NULL AND domain = $domain",
                    ("$domain", domain)
                )!
        );

    /// <summary>Parcels whose receipt is overdue, the longest first.</summary>
    /// <param name="state">Missed for the first time now, or again.</param>
    public IReadOnlyList<Parcel> Overdue(DateTimeOffset now, ReceiptState state, int most) =>
        Read(s =>
            s.Rows(
                $"SELECT {Columns} FROM parcel WHERE {IsKept} AND overdue <= $now AND receipt = $state "
                    + "ORDER BY overdue, created, id LIMIT $most + 0",
                ReadParcel,
                ("$state", (int)state),
                ("$now", now.ToUnixTimeSeconds()),
                ("$most", most)
            )
        );

    /// <summary>A parcel's envelope alone, sealed; null = there is no such parcel.</summary>
    public byte[]? Envelope(string id) =>
        Read(s => s.Scalar("SELECT envelope FROM parcel WHERE id = $id", ("$id", id)) as byte[]);

    /// <summary>Octets of bodies that are kept only until a receipt comes.</summary>
    public long Kept() => Read(s => s.Number($"SELECT coalesce(sum(octets), 0) FROM parcel WHERE {IsKept}"));

    /// <summary>Not of one that is on its way again: that waits like any other.</summary>
    private const string IsKept = "overdue IS NOT NULL AND state = 2"; // ParcelState.Handed

    /// <summary>Lets bodies go that are kept only until a receipt comes, the oldest first.</summary>
    /// <param name="octets">Of those at least so many.</param>
    /// <param name="handedBefore">Of none that came later.</param>
    /// <returns>Of how many parcels.</returns>
    public async Task<int> DropKeptAsync(long octets, DateTimeOffset handedBefore)
    {
        // Looked for where no mail waits behind it: there may be very many.
        var (left, gone) = (octets, 0);
        var kept = Read(s =>
            s.Rows(
                $"SELECT id, octets FROM parcel WHERE {IsKept} AND octets > 0 AND created < $before ORDER BY created",
                row => (Id: row.GetString(0), Octets: row.GetInt64(1)),
                ("$before", handedBefore.ToUnixTimeSeconds())
            )
        );
        var wanted = kept.TakeWhile(parcel =>
        {
            var isLacking = left > 0;
            left -= parcel.Octets;
            return isLacking;
        });
        foreach (var some in wanted.Select(p => p.Id).ToList().Chunk(MaxBatch))
            gone += (await DropKeptAsync(some)).Count;
        return gone;
    }

    private async Task<List<(long Octets, string File)>> DropKeptAsync(IReadOnlyList<string> ids)
    {
        List<(long Octets, string File)> gone = [];
        await WriteAsync(statements =>
        {
            gone = [];
            foreach (var id in ids)
            {
                var (octets, file) = statements
                    .Rows(
                        $"SELECT octets, file FROM parcel WHERE id = $id AND {IsKept} AND octets > 0",
                        row => (row.GetInt64(0), row.GetString(1)),
                        ("$id", id)
                    )
                    .FirstOrDefault((0, ""));
                if (octets == 0)
                    continue; // it goes again, or has its receipt
                statements.Execute($"UPDATE parcel SET {NoBody} WHERE id = $id", ("$id", id));
                gone.Add((octets, file));
            }
        });
        gone.FindAll(g => g.File.Length > 0).ForEach(g => _bodies.Delete(g.File));
        return gone;
    }

    public IReadOnlyList<OwedReceipt> OwedReceipts() => Read(PgpTunnel.OwedReceipts.Due);

    /// <inheritdoc cref="PgpTunnel.OwedReceipts.Unheld"/>
    public IReadOnlyList<OwedReceipt> UnheldReceipts(DateTimeOffset before) =>
        Read(s => PgpTunnel.OwedReceipts.Unheld(s, before));

    public OwedReceipt? OwedReceipt(string own, string peer) => Read(s => PgpTunnel.OwedReceipts.Find(s, own, peer));

    /// <inheritdoc cref="PgpTunnel.OwedReceipts.Acked"/>
    public Task AckedAsync(OwedReceipt owed, long size) =>
        WriteAsync(statements => PgpTunnel.OwedReceipts.Acked(statements, owed, size));

    /// <inheritdoc cref="PgpTunnel.OwedReceipts.OweAgain"/>
    public Task OweAgainAsync(OwedReceipt owed, long from, DateTimeOffset now) =>
        WriteAsync(statements => PgpTunnel.OwedReceipts.OweAgain(statements, owed, from, now));

    /// <inheritdoc cref="PgpTunnel.OwedReceipts.Paid"/>
    public Task PaidAsync(OwedReceipt owed) => WriteAsync(statements => _ledger.Receipts.Paid(statements, owed));

    /// <inheritdoc cref="PgpTunnel.OwedReceipts.End"/>
    public Task EndOwedAsync(OwedReceipt owed, long from) =>
        WriteAsync(statements => _ledger.Receipts.End(statements, owed, from));

    /// <summary>
    /// A later head says all that an earlier one did, if both are of one history. What comes without the records themselves is not seen to
    /// be, so one an hour is kept, and that of all that is held.
    /// </summary>
    private static void Insert(Statements statements, WitnessedHead head)
    {
        statements.Execute(
            "DELETE FROM head WHERE own = $own AND peer = $peer AND id = $id AND size < $size AND at >= $hour "
                + "AND size NOT IN (SELECT size FROM log WHERE own = $own AND peer = $peer AND id = $id AND mirror = 1)",
            ("$own", head.Head.Origin.Own),
            ("$peer", head.Head.Origin.Peer),
            ("$id", head.Head.Origin.Id),
            ("$size", head.Head.Size),
            ("$hour", head.At.ToUnixTimeSeconds() / 3600 * 3600)
        );
        statements.Execute(
            "INSERT INTO head(own, peer, id, size, root, signature, cert, dns, at) "
                + "VALUES($own, $peer, $id, $size, $root, $signature, $cert, $dns, $at) "
                + "ON CONFLICT DO NOTHING",
            ("$own", head.Head.Origin.Own),
            ("$peer", head.Head.Origin.Peer),
            ("$id", head.Head.Origin.Id),
            ("$size", head.Head.Size),
            ("$root", head.Head.Root),
            ("$signature", head.Signature),
            ("$cert", head.Cert),
            ("$dns", head.Dns),
            ("$at", head.At.ToUnixTimeSeconds())
        );
        // One an hour of a peer that keeps one log; who signs heads to fill our disk has the newest of them kept.
        statements.Execute(
            "DELETE FROM head WHERE own = $own AND peer = $peer AND (id, size, root) IN (SELECT id, size, root FROM head "
                + "WHERE own = $own AND peer = $peer ORDER BY at DESC LIMIT -1 OFFSET $most) "
                + "AND (id, size) NOT IN (SELECT id, size FROM log WHERE own = $own AND peer = $peer AND mirror = 1)",
            ("$own", head.Head.Origin.Own),
            ("$peer", head.Head.Origin.Peer),
            ("$most", MostHeads)
        );
    }

    private const int MostHeads = 2000; // of a peer, about one of our domains: those of 83 days

    /// <summary>The heads that are kept of a peer's log with so many records: more than one when it tells two stories.</summary>
    public IReadOnlyList<WitnessedHead> Witnessed(LogOrigin origin, long size) =>
        [.. Witnessed(origin, "size = $size", size)];

    /// <summary>The heads that are kept of a peer's log, the smallest first.</summary>
    public IReadOnlyList<WitnessedHead> Witnessed(LogOrigin origin) => Witnessed(origin, "size >= $size", 0);

    private List<WitnessedHead> Witnessed(LogOrigin origin, string which, long size) =>
        Read(s =>
            s.Rows(
                "SELECT size, root, signature, cert, dns, at FROM head WHERE own = $own AND peer = $peer AND id = $id AND "
                    + $"{which} ORDER BY size",
                row => new WitnessedHead(
                    new(origin, row.GetInt64(0), (byte[])row[1]),
                    (byte[])row[2],
                    row.GetString(3),
                    row.GetString(4),
                    Time(row.GetInt64(5))
                ),
                ("$own", origin.Own),
                ("$peer", origin.Peer),
                ("$id", origin.Id),
                ("$size", size)
            )
        );

    /// <summary>Forgets heads of a log that say no more than a later one: those below a size.</summary>
    public Task ForgetHeadsAsync(LogOrigin origin, long below) =>
        WriteAsync(statements =>
            statements.Execute(
                "DELETE FROM head WHERE own = $own AND peer = $peer AND id = $id AND size < $below",
                ("$own", origin.Own),
                ("$peer", origin.Peer),
                ("$id", origin.Id),
                ("$below", below)
            )
        );
}
