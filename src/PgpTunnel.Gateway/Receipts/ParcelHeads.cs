using System.Collections.Concurrent;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// What parcels tell of logs beside their message: the head of their sender's, which is kept so that it cannot be another later, and how
/// far ours is held there, which shows whether we are who we were.
/// </summary>
internal sealed class ParcelHeads(Site site, Witness witness, SignedHeads heads, RewrittenLogs rewritten)
{
    private const int MostKnown = 10_000;

    private static readonly TimeSpan Patience = TimeSpan.FromHours(1),
        LookEvery = TimeSpan.FromMinutes(1);

    /// <param name="Since">Since when it says so.</param>
    /// <param name="Looked">When that was last compared with what was sent.</param>
    private sealed record Told(LogFields.Held Held, DateTimeOffset Since, DateTimeOffset Looked);

    /// <summary>What came last from each pair of domains: most parcels tell the same.</summary>
    private readonly ConcurrentDictionary<(string Own, string Peer), Told> _seen = new(),
        _heads = new();

    /// <summary>Looks at what a parcel tells that is opened and verified.</summary>
    /// <returns>The head to keep with it; null = none that is new.</returns>
    public async Task<WitnessedHead?> TakeAsync(InnerHeader header, PeerState sender)
    {
        if (!site.Configuration.Evidence.Keep)
            return null;
        var pair = (header.Recipient.Domain, header.Sender.Domain);
        var now = site.Time.GetUtcNow();
        if (header.Seen is { } seen && Note(_seen, pair, seen, now) is { } told)
            await TakeSeenAsync(pair, told, now);
        return header.Checkpoint is { } signed && Note(_heads, pair, signed.Head, now) is not null
            ? await TakeHeadAsync(pair, signed, sender)
            : null;
    }

    /// <returns>Null when the same was looked at just now.</returns>
    private static Told? Note(
        ConcurrentDictionary<(string, string), Told> known,
        (string, string) pair,
        LogFields.Held held,
        DateTimeOffset now
    )
    {
        var since = now;
        if (known.TryGetValue(pair, out var last) && last.Held.ToString() == held.ToString())
        {
            if ((now - last.Looked).Duration() < LookEvery)
                return null;
            since = last.Since;
        }
        if (known.Count >= MostKnown)
            known.Clear();
        return known[pair] = new(held, since, now);
    }

    private async Task<WitnessedHead?> TakeHeadAsync(
        (string Own, string Peer) pair,
        LogFields.Signed signed,
        PeerState sender
    )
    {
        var head = signed.Head.Of(pair.Peer, pair.Own);
        if (head.Signer(sender.Signers, signed.Signature) is not var (key, _))
        {
            site.Log.Write(
                "checkpoint-ignored",
                ("from", pair.Peer),
                ("why", "its signature is by no key of that domain"),
                ("do", "nothing; the parcel itself is verified by its own signature")
            );
            return null;
        }
        var witnessed = new WitnessedHead(
            head,
            signed.Signature,
            witness.CertificateOf(key) ?? "",
            sender.Proof ?? "",
            site.Time.GetUtcNow()
        );
        return await rewritten.IsContradictedAsync(witnessed) ? null : witnessed;
    }

    /// <summary>How far a peer holds our log: what it has more than we do, or otherwise, shows that we were set back.</summary>
    private async Task TakeSeenAsync((string Own, string Peer) pair, Told told, DateTimeOffset now)
    {
        var seen = told.Held;
        if (site.Spool.OpenLog(pair.Own, pair.Peer) is not { } log || log.Origin.Id != seen.Log)
            return; // of a log that we have closed, or have never had: another goes on in its place
        if (!IsOurs(log, seen))
        {
            if (IsYoung(log)) // who says so of each new log would have us begin one with each parcel
                return;
            await site.Spool.CloseLogsAsync([log.Number]);
            site.Log.Write(
                "log-closed",
                ("alarm", true),
                ("log", log.Origin.ToString()),
                ("why", $"{pair.Peer} holds more of it than we do, or another: this spool is older, or a copy"),
                ("do", "see who has set back the spool; the next record begins another log, which names this one")
            );
            return;
        }
        heads.Acked(pair.Own, pair.Peer, seen);
        if (site.Spool.OwedReceipt(pair.Own, pair.Peer) is not { } owed || owed.Log != log.Number)
            return;
        await site.Spool.AckedAsync(owed, seen.Size);
        // What was sent long ago and is not held there was lost on the way, or is there no more; what was sent of late may be on its way.
        if (
            seen.Size < owed.Sent
            && ((now - owed.At).Duration() > Patience || (now - told.Since).Duration() > Patience)
        )
        {
            await site.Spool.OweAgainAsync(owed, seen.Size, now);
            _seen[pair] = told with { Since = now };
        }
    }

    private bool IsYoung(StoredLog log) =>
        site.Spool.Record(log.Number, 0) is { Record.At: var begun } && site.Time.GetUtcNow() - begun < Patience;

    private bool IsOurs(StoredLog log, LogFields.Held seen)
    {
        try
        {
            return seen.Size <= log.Edge.Size && site.Spool.RootAt(log, seen.Size).AsSpan().SequenceEqual(seen.Root);
        }
        catch (SpoolException)
        {
            return true; // a part of our own log is lost: that shows elsewhere
        }
    }

    private const int MostAgain = 10; // an hour and pair: who has caught a parcel can send it again and again

    private readonly ConcurrentDictionary<(string Own, string Peer), (DateTimeOffset Hour, int Count)> _again = new();

    /// <summary>
    /// A parcel came again: perhaps the receipt for it was lost, so what is not acknowledged goes again in its turn, and what was told
    /// before that, or in a log that has ended, is told once more.
    /// </summary>
    public async Task AskedAgainAsync(InnerHeader header)
    {
        var (own, peer, now) = (header.Recipient.Domain, header.Sender.Domain, site.Time.GetUtcNow());
        if (!header.AsksReceipt || !site.Configuration.Evidence.Keep || !IsFew((own, peer), now))
            return;
        var owed = site.Spool.OwedReceipt(own, peer);
        if (owed is not null && (owed.Acked < owed.Sent || owed.Due is null)) // nothing is due where a refusal has ended it
            await site.Spool.OweAgainAsync(owed, owed.Acked, now);
        var (logs, open) = (site.Spool.Logs().ToDictionary(l => l.Number), site.Spool.OpenLog(own, peer));
        var told = site
            .Spool.Tagged([LogEntry.TagOf(header.Id)])
            .Where(r => r.Record.Text("id") == header.Id && r.Record.Event is "opened" or "outcome")
            .Where(r =>
                logs.GetValueOrDefault(r.Log) is { IsMirror: false } log
                && log.Origin.Own == own
                && log.Origin.Peer == peer
            )
            .OrderBy(r => r.Record.Event == "outcome")
            .ToList();
        if (
            told.Count == 0
            || (owed is not null && told.Exists(r => r.Log == open?.Number && r.Record.N >= owed.Acked))
        )
            return;
        // What was told again is not told again for itself, or there would be twice as many each time.
        told.RemoveAll(r => r.Record.Number("again") is not null);
        var outcomes = told.FindAll(r => r.Record.Event == "outcome");
        await site.Spool.CommitAsync(
            new()
            {
                Entries =
                [
                    .. (outcomes is [] ? told.TakeLast(1) : outcomes).Select(r => witness.Again(own, peer, r.Record)),
                ],
            }
        );
    }

    private bool IsFew((string, string) pair, DateTimeOffset now)
    {
        if (_again.Count >= MostKnown)
            _again.Clear();
        return _again
                .AddOrUpdate(
                    pair,
                    _ => (now, 1),
                    (_, known) => (now - known.Hour).Duration() < Patience ? (known.Hour, known.Count + 1) : (now, 1)
                )
                .Count <= MostAgain;
    }
}
