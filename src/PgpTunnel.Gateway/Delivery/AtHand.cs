using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>Contents of parcels whose turn will come soon, as far as there is room: so that they need not be read again.</summary>
/// <param name="octets">The room.</param>
/// <param name="drop">What is done with contents that find no room, or are let go: they are nobody else's.</param>
internal sealed class AtHand(Func<long> octets, Action<ParcelContent> drop)
{
    private readonly ConcurrentDictionary<string, ParcelContent> _contents = new();
    private long _octets;

    public void Keep(string id, ParcelContent content)
    {
        if (Interlocked.Add(ref _octets, content.Held) <= octets() && _contents.TryAdd(id, content))
            return;
        Interlocked.Add(ref _octets, -content.Held);
        drop(content);
    }

    public ParcelContent? Take(string id)
    {
        if (!_contents.TryRemove(id, out var content))
            return null;
        Interlocked.Add(ref _octets, -content.Held);
        return content;
    }

    public void Drop(string id)
    {
        if (Take(id) is { } content)
            drop(content);
    }

    /// <summary>Lets all go: what a command has dropped meanwhile, and what was settled before it was kept.</summary>
    public void Clear()
    {
        foreach (var id in _contents.Keys)
            Drop(id);
    }
}
