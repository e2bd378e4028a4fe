using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>How far we hold what peers have on record about us, to be told to them with the next parcel.</summary>
internal sealed class HeldLogs(Spool spool, TimeProvider time)
{
    private const int MostKnown = 10_000;

    /// <param name="Since">When it became so.</param>
    private sealed record Known(LogFields.Held? Held, DateTimeOffset Since)
    {
        /// <summary>A parcel has told it.</summary>
        public volatile bool IsTold;
    }

    private readonly ConcurrentDictionary<(string Own, string Peer), Known> _logs = new();

    /// <summary>What a parcel is to tell; from then on that counts as told.</summary>
    /// <returns>Null = nothing is held of that domain's.</returns>
    public LogFields.Held? Tell(string own, string peer)
    {
        if (_logs.Count >= MostKnown)
            _logs.Clear();
        var known = _logs.GetOrAdd((own, peer), _ => Look(own, peer));
        known.IsTold = true;
        return known.Held;
    }

    private Known Look(string own, string peer) =>
        new(spool.Mirrors(peer, own) is [.., var log] ? new(log.Head) : null, time.GetUtcNow());

    /// <summary>More of that domain's log is held now.</summary>
    public void Grown(string own, string peer) => _logs[(own, peer)] = Look(own, peer);

    /// <summary>The other side seems not to know how far its log is held.</summary>
    public void Again(string own, string peer) => Grown(own, peer);

    /// <summary>Of whom more is held since a while than they were told.</summary>
    public IReadOnlyList<(string Own, string Peer)> Untold(DateTimeOffset before) =>
        [.. _logs.Where(l => l.Value is { IsTold: false, Held: not null } k && k.Since < before).Select(l => l.Key)];
}
