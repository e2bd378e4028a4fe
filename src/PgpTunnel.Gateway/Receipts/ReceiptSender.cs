using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Pays what peers are owed: the end of our log about them, once a minute at most and peer, or as soon as there is enough of it. It goes
/// the way of all parcels, and is never answered.
/// </summary>
internal sealed class ReceiptSender(Site site, Peers peers, Parcels parcels, Heads heads, HeldLogs held)
{
    private const int Enough = 2 * LogTail.MostOutcomes; // records: each parcel is opened, and has an outcome

    private static readonly TimeSpan UntoldAfter = TimeSpan.FromHours(1),
        AgainAfter = TimeSpan.FromHours(24),
        UnheldPause = TimeSpan.FromMinutes(1),
        PeerPause = TimeSpan.FromMinutes(10),
        PeerPatience = TimeSpan.FromSeconds(2);

    private readonly TailMaker _tails = new(site.Settings, site.Spool);

    private DateTimeOffset _unheldLooked;

    /// <summary>Peers whose keys could not be had, until they are asked again.</summary>
    private readonly Dictionary<string, DateTimeOffset> _later = [];

    /// <summary>Pairs of domains whose receipt could not be made, until it is tried again.</summary>
    private readonly Dictionary<(string Own, string Peer), DateTimeOffset> _broken = [];

    /// <summary>Sends what is due.</summary>
    public async Task SendAsync(CancellationToken cancel)
    {
        var now = site.Time.GetUtcNow();
        foreach (var owed in site.Spool.OwedReceipts())
            if (IsDue(owed, owed.Due!.Value, now))
                await TryAsync(owed, now, cancel);
        if ((now - _unheldLooked).Duration() >= UnheldPause)
        {
            _unheldLooked = now;
            foreach (var owed in site.Spool.UnheldReceipts(now - AgainAfter))
                await TryAsync(owed, now, cancel);
        }
        foreach (var (own, peer) in held.Untold(now - UntoldAfter))
            try
            {
                await TellAsync(own, peer, now, cancel);
            }
            catch (EvidenceException e) // its log was set back, and is closed now
            {
                site.Log.Write("receipt-wait", ("to", peer), ("why", e.Message), ("do", "nothing: another log begins"));
            }
    }

    private bool IsDue(OwedReceipt owed, DateTimeOffset due, DateTimeOffset now)
    {
        var every = site.Configuration.Receipts.Every;
        return (now - due).Duration() >= every && (now - owed.At).Duration() >= every
            || site.Spool.LogSize(owed.Log) - owed.Sent >= Enough;
    }

    /// <summary>What is wrong with one log, or with what lies in it, holds up nobody else's receipts.</summary>
    private async Task TryAsync(OwedReceipt owed, DateTimeOffset now, CancellationToken cancel)
    {
        var pair = (owed.Own, owed.Peer);
        if (_broken.TryGetValue(pair, out var later) && now < later)
            return;
        try
        {
            await PayAsync(owed, now, cancel);
            _broken.Remove(pair);
        }
        catch (Exception e) when (e is SpoolException or EvidenceException or ConfigurationException or IOException)
        {
            _broken[pair] = now + PeerPause;
            site.Log.Write(
                "receipt-wait",
                ("alarm", true),
                ("to", owed.Peer),
                ("why", e.Message),
                ("do", "see 'pgptunnel queue check', and that keys.directory can be read; it is tried again")
            );
        }
    }

    private async Task PayAsync(OwedReceipt owed, DateTimeOffset now, CancellationToken cancel)
    {
        if (IsOnItsWay(owed.Parcel))
            return;
        if (site.Spool.Log(owed.Log) is not { IsClosed: false } log)
        {
            await site.Spool.EndOwedAsync(owed, owed.Sent); // what comes next is in another log, and owed of that
            return;
        }
        var from = owed.Due is null ? owed.Acked : owed.Sent;
        if (from > log.Edge.Size || await PeerAsync(owed.Peer, now, cancel) is not { } peer)
            return;
        var items = _tails.Items(log, from);
        if (items.Count == 0)
        {
            await site.Spool.PaidAsync(owed);
            return;
        }
        var size = from + items.Count;
        try
        {
            var (head, signature) = await heads.SignAsync(log, size, site.Settings.Keys.Active, now);
            var tail = new LogTail(site.Spool.EdgeAt(log, from), head, signature, items);
            await SendAsync(peer, tail, id => new(owed.Own, owed.Peer, owed.Log, size, now, id));
        }
        catch (EvidenceException e)
        {
            site.Log.Write(
                "log-closed",
                ("alarm", true),
                ("log", log.Origin.ToString()),
                ("why", e.Message),
                ("do", "see who has set back the spool, or has run two gateways on copies of one")
            );
            await site.Spool.EndOwedAsync(owed, owed.Sent);
        }
    }

    /// <summary>Where no parcel has gone that way for long, a receipt without records tells how far we hold the peer's log.</summary>
    private async Task TellAsync(string own, string domain, DateTimeOffset now, CancellationToken cancel)
    {
        if (await PeerAsync(domain, now, cancel) is not { } peer)
            return;
        if (site.Spool.OpenLog(own, domain) is not { } log)
        {
            _later[domain] = now + PeerPause; // the next record begins one
            return;
        }
        var (head, signature) = await heads.SignAsync(log, site.Settings.Keys.Active, now);
        await SendAsync(peer, new LogTail(log.Edge, head, signature, []), _ => null);
    }

    private async Task SendAsync(PeerState peer, LogTail tail, Func<string, ReceiptSent?> sent)
    {
        var (parcel, content) = parcels.Receipt(peer, tail);
        await site.Spool.CommitAsync(new() { Add = [(parcel, content)], Sent = sent(parcel.Id) });
        site.Log.Write(
            "receipt-sent",
            ("id", parcel.Id),
            ("to", peer.Domain),
            ("from", tail.From),
            ("size", tail.Head.Size)
        );
    }

    private bool IsOnItsWay(string parcel) =>
        parcel.Length > 0 && site.Spool.Find(parcel) is { State: not ParcelState.Handed };

    /// <returns>Null while nothing can be sealed for it; it is asked again after a while.</returns>
    private async Task<PeerState?> PeerAsync(string domain, DateTimeOffset now, CancellationToken cancel)
    {
        if (_later.TryGetValue(domain, out var later) && now < later)
            return null;
        // Others wait behind it: a look-up that takes longer goes on, and serves the next round.
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(PeerPatience);
        try
        {
            var peer = await peers.FindAsync(domain, fresh: false, patience.Token);
            if (peer.Class == PeerClass.Usable && !(peer.Trusted && !peer.TrustedOffered))
            {
                _later.Remove(domain);
                return peer;
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested) { }
        _later[domain] = now + PeerPause;
        return null;
    }
}
