using System.Collections.Concurrent;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// The heads of our logs that parcels carry to the domains that the logs are about, so that each is held by somebody else. Each is signed
/// once a round at most, and not for each parcel.
/// </summary>
internal sealed class SignedHeads(Settings settings, Spool spool, Heads heads, EventLog log, TimeProvider time)
{
    private const int MostKnown = 10_000;

    private sealed class Known
    {
        public volatile LogFields.Signed? Head;
        public volatile LogFields.Held? Acked;
        public volatile bool IsWanted;
    }

    private readonly ConcurrentDictionary<(string Own, string Peer), Known> _logs = new();

    private Known Of(string own, string peer)
    {
        if (_logs.Count >= MostKnown)
            _logs.Clear(); // the next round signs again what is wanted
        return _logs.GetOrAdd((own, peer), _ => new());
    }

    /// <summary>What a parcel for that domain is to carry; null = nothing that it has not, or nothing that fits.</summary>
    public LogFields.Signed? For(string own, string peer)
    {
        var known = Of(own, peer);
        known.IsWanted = true;
        return
            known.Head is { } head
            && !(known.Acked is { } acked && acked.Log == head.Head.Log && acked.Size >= head.Head.Size)
            && InnerHeader.Fits(head)
            ? head
            : null;
    }

    /// <summary>The other side says that it holds our log so far.</summary>
    public void Acked(string own, string peer, LogFields.Held held) => Of(own, peer).Acked = held;

    /// <summary>Signs the heads of those logs whose domains were written to since the last round, where they have grown.</summary>
    public async Task SignAsync()
    {
        foreach (var ((own, peer), known) in _logs.Where(l => l.Value.IsWanted))
        {
            known.IsWanted = false;
            if (spool.OpenLog(own, peer) is not { } grown)
                continue;
            if (known.Head is { } last && last.Head.Log == grown.Origin.Id && last.Head.Size == grown.Edge.Size)
                continue;
            try
            {
                var (head, signature) = await heads.SignAsync(grown, settings.Keys.Active, time.GetUtcNow());
                known.Head = new(new(head), signature);
            }
            catch (EvidenceException e)
            {
                known.Head = null;
                log.Write(
                    "log-closed",
                    ("alarm", true),
                    ("log", grown.Origin.ToString()),
                    ("why", e.Message),
                    ("do", "see who has set back the spool, or has run two gateways on copies of one")
                );
            }
        }
    }
}
