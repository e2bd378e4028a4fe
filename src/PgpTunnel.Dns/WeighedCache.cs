using System.Collections.Concurrent;

namespace PgpTunnel.Dns;

/// <summary>
/// Keeps values until their time is over, at most so many octets of them. What was looked up for strangers makes room first, and makes
/// none by pushing out what our own mail has asked for.
/// </summary>
/// <param name="octets">The room.</param>
/// <param name="weigh">About how many octets a value holds, whatever it refers to included.</param>
public sealed class WeighedCache<TKey, TValue>(TimeProvider time, Func<long> octets, Func<TValue, long> weigh)
    where TKey : notnull
    where TValue : class
{
    private sealed class Entry(TValue value, DateTimeOffset made, DateTimeOffset expires, long octets, bool ours)
    {
        public TValue Value => value;
        public DateTimeOffset Expires => expires;
        public long Octets => octets;
        public bool Ours { get; set; } = ours;

        // From the future is as bad as from the past: the clock was wrong then.
        public bool IsGood(DateTimeOffset now) => made <= now && expires > now;
    }

    private readonly ConcurrentDictionary<TKey, Entry> _entries = new();
    private readonly Lock _changing = new();
    private long _octets;

    /// <summary>Octets that are held now.</summary>
    public long Octets => Interlocked.Read(ref _octets);

    /// <summary>A value whose time is not over, and how long it still is.</summary>
    public (TValue Value, TimeSpan Left)? Get(TKey key, Asker asker)
    {
        var now = time.GetUtcNow();
        if (!_entries.TryGetValue(key, out var entry) || !entry.IsGood(now))
            return null;
        if (asker == Asker.Ours)
            entry.Ours = true;
        return (entry.Value, entry.Expires - now);
    }

    /// <param name="unless">What is there and good stays when this is true of it; null = it makes room.</param>
    public void Put(TKey key, TValue value, TimeSpan ttl, Asker asker, Func<TValue, bool>? unless = null)
    {
        if (ttl <= TimeSpan.Zero)
            return;
        var now = time.GetUtcNow();
        using var locked = _changing.EnterScope();
        var old = _entries.GetValueOrDefault(key);
        if (unless is not null && old is not null && old.IsGood(now) && unless(old.Value))
            return;
        var ours = asker == Asker.Ours || old is { Ours: true };
        Remove(key);
        var entry = new Entry(value, now, now + ttl, weigh(value), ours);
        if (_octets + entry.Octets > octets() && !MakeRoom(entry, now))
            return;
        _entries[key] = entry;
        _octets += entry.Octets;
    }

    public void Clear()
    {
        using var locked = _changing.EnterScope();
        _entries.Clear();
        _octets = 0;
    }

    private void Remove(TKey key)
    {
        if (_entries.TryRemove(key, out var old))
            _octets -= old.Octets;
    }

    /// <summary>
    /// Drops what is over, then strangers' values, then ours (not for a stranger's), each what ends first, until a tenth is free besides.
    /// </summary>
    private bool MakeRoom(Entry wanted, DateTimeOffset now)
    {
        var most = octets() - wanted.Octets;
        foreach (
            var (key, entry) in _entries.OrderBy(e => (e.Value.IsGood(now), e.Value.Ours, e.Value.Expires)).ToList()
        )
        {
            if (
                _octets <= most - octets() / 10
                || (entry.IsGood(now) && entry.Ours && (!wanted.Ours || _octets <= most))
            )
                break;
            Remove(key);
        }
        return _octets <= most;
    }
}
