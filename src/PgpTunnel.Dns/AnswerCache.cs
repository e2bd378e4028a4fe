using System.Collections.Concurrent;

namespace PgpTunnel.Dns;

/// <summary>
/// Validated results by (name, type) until their clamped TTL ends; at most <paramref name="entries"/> of them and about
/// <paramref name="octets"/> octets of data.
/// </summary>
internal sealed class AnswerCache<TValue>(TimeProvider time, int entries, long octets, Func<TValue, long> sizeOf) where TValue : class
{
    private readonly ConcurrentDictionary<(DomainName, ushort), (TValue Value, DateTimeOffset Made, DateTimeOffset Expires)> _entries = new();
    private long _octets;

    public (TValue Value, TimeSpan Left)? Get(DomainName name, ushort type)
    {
        if (!_entries.TryGetValue((name, type), out var entry))
            return null;
        // From the future is as bad as from the past: the clock was wrong then.
        var now = time.GetUtcNow();
        return entry.Made <= now && entry.Expires > now ? (entry.Value, entry.Expires - now) : null;
    }

    public void Put(DomainName name, ushort type, TValue value, TimeSpan ttl)
    {
        if (ttl <= TimeSpan.Zero)
            return;
        if (_entries.Count >= entries || Interlocked.Read(ref _octets) >= octets)
            MakeRoom();
        Remove((name, type));
        if (_entries.TryAdd((name, type), (value, time.GetUtcNow(), time.GetUtcNow() + ttl)))
            Interlocked.Add(ref _octets, sizeOf(value));
    }

    private void Remove((DomainName, ushort) key)
    {
        if (_entries.TryRemove(key, out var old))
            Interlocked.Add(ref _octets, -sizeOf(old.Value));
    }

    /// <summary>Drops what has expired, and of the rest what expires first until a tenth of the room is free.</summary>
    private void MakeRoom()
    {
        var now = time.GetUtcNow();
        foreach (var entry in _entries.OrderBy(e => e.Value.Expires).ToList())
        {
            if (entry.Value.Expires > now && _entries.Count < entries - entries / 10 && Interlocked.Read(ref _octets) < octets - octets / 10)
                break;
            Remove(entry.Key);
        }
    }
}
