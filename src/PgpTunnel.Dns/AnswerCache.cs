using System.Collections.Concurrent;

namespace PgpTunnel.Dns;

/// <summary>Validated results by (name, type) until their clamped TTL ends; at most <paramref name="capacity"/> of them.</summary>
internal sealed class AnswerCache<TValue>(TimeProvider time, int capacity) where TValue : class
{
    private readonly ConcurrentDictionary<(DomainName, ushort), (TValue Value, DateTimeOffset Expires)> _entries = new();

    public (TValue Value, TimeSpan Left)? Get(DomainName name, ushort type)
    {
        if (!_entries.TryGetValue((name, type), out var entry))
            return null;
        var left = entry.Expires - time.GetUtcNow();
        return left > TimeSpan.Zero ? (entry.Value, left) : null;
    }

    public void Put(DomainName name, ushort type, TValue value, TimeSpan ttl)
    {
        if (ttl <= TimeSpan.Zero)
            return;
        if (_entries.Count >= capacity)
            MakeRoom();
        _entries[(name, type)] = (value, time.GetUtcNow() + ttl);
    }

    public void Clear() => _entries.Clear();

    /// <summary>Drops what has expired, and if that is too little, the tenth that expires first.</summary>
    private void MakeRoom()
    {
        var now = time.GetUtcNow();
        var byAge = _entries.OrderBy(e => e.Value.Expires).ToList();
        foreach (var entry in byAge.Where((e, i) => e.Value.Expires <= now || i < capacity / 10))
            _entries.TryRemove(entry.Key, out _);
    }
}
