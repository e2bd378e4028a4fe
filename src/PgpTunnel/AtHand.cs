using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>Contents of parcels whose turn will come soon, as far as there is room: so that they need not be read again.</summary>
/// <param name="octets">The room.</param>
internal sealed class AtHand(Func<long> octets)
{
    private readonly ConcurrentDictionary<string, ParcelContent> _contents = new();
    private long _octets;

    public void Keep(string id, ParcelContent content)
    {
        if (Interlocked.Add(ref _octets, Size(content)) > octets() || !_contents.TryAdd(id, content))
            Interlocked.Add(ref _octets, -Size(content));
    }

    public ParcelContent? Take(string id)
    {
        if (!_contents.TryRemove(id, out var content))
            return null;
        Interlocked.Add(ref _octets, -Size(content));
        return content;
    }

    private static long Size(ParcelContent content) => content.Body.Length + (content.Opened?.Message.Length ?? 0);

    /// <summary>Lets all go: what a command has dropped meanwhile, and what was settled before it was kept.</summary>
    public void Clear()
    {
        foreach (var id in _contents.Keys)
            Take(id);
    }
}
