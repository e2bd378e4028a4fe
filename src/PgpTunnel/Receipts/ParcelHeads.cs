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
    private static readonly TimeSpan Patience = TimeSpan.FromHours(1);

    /// <summary>What came last from each pair of domains: most parcels tell the same.</summary>
    private readonly ConcurrentDictionary<(string Own, string Peer), LogFields.Held> _seen = new();

    private readonly ConcurrentDictionary<(string Own, string Peer), LogFields.Held> _heads = new();

    /// <summary>Looks at what a parcel tells that is opened and verified.</summary>
    /// <returns>The head to keep with it; null = none that is new.</returns>
    public async Task<WitnessedHead?> TakeAsync(InnerHeader header, PeerState sender)
    {
        if (!site.Configuration.Evidence.Keep)
            return null;
        var pair = (header.Recipient.Domain, header.Sender.Domain);
        if (header.Seen is { } seen && IsNew(_seen, pair, seen))
            await TakeSeenAsync(pair, seen);
        return header.Checkpoint is { } signed && IsNew(_heads, pair, signed.Head)
            ? await TakeHeadAsync(pair, signed, sender)
            : null;
    }

    private static bool IsNew(
        ConcurrentDictionary<(string, string), LogFields.Held> known,
        (string, string) pair,
        LogFields.Held told
    )
    {
        if (known.TryGetValue(pair, out var last) && last.ToString() == told.ToString())
            return false;
        if (known.Count >= MostKnown)
            known.Clear();
        known[pair] = told;
        return true;
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
    private async Task TakeSeenAsync((string Own, string Peer) pair, LogFields.Held seen)
    {
        if (site.Spool.OpenLog(pair.Own, pair.Peer) is not { } log || log.Origin.Id != seen.Log)
            return; // of a log that we have closed, or have never had: another goes on in its place
        if (!IsOurs(log, seen))
        {
            if (IsYoung(log)) // who says so of each new log would have us begin one with each parcel
                return;
            await site.Spool.CloseLogAsync(log.Number);
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
        // What was sent long ago and is not held there was lost on the way.
        var now = site.Time.GetUtcNow();
        if (seen.Size < owed.Sent && (now - owed.At).Duration() > Patience)
            await site.Spool.OweAgainAsync(owed, seen.Size, now);
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

    /// <summary>A parcel came again: perhaps the receipt for it was lost, so what is not acknowledged goes again in its turn.</summary>
    public async Task AskedAgainAsync(InnerHeader header)
    {
        if (
            header.AsksReceipt
            && site.Spool.OwedReceipt(header.Recipient.Domain, header.Sender.Domain) is { } owed
            && owed.Acked < owed.Sent
        )
            await site.Spool.OweAgainAsync(owed, owed.Acked, site.Time.GetUtcNow());
    }
}
