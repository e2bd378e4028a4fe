using System.Collections.Concurrent;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// The session key under which things lie in our own spool: wrapped once for the spool subkey and used for many, since a key agreement for
/// each costs more than all its other work. It is another one every hour and after ten thousand uses. Each message has a random prefix
/// of its own (RFC 9580 5.13.1), so that a key may be used more than once.
/// </summary>
/// <param name="spool">The spool subkey.</param>
/// <param name="readers">Who else is to read it.</param>
internal sealed class SpoolSeal(SecretKey spool, IReadOnlyList<PublicKey>? readers = null)
{
    private const int MostUses = 10_000,
        MostKnown = 1000;
    private static readonly TimeSpan Life = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<string, SessionKey> _known = new();
    private (SessionKey Key, byte[] Wrapped) _current;
    private long _made;
    private int _uses = MostUses;

    /// <summary>The session key to use now, and its PKESK packets, that for the spool subkey first.</summary>
    public (SessionKey Key, byte[] Wrapped) Use()
    {
        lock (_lock)
        {
            if (_uses >= MostUses || System.Diagnostics.Stopwatch.GetElapsedTime(_made) > Life)
            {
                var key = SessionKey.Random(9);
                _current = (key, [.. key.Wrap(spool.Public), .. (readers ?? []).SelectMany(key.Wrap)]);
                (_uses, _made) = (0, System.Diagnostics.Stopwatch.GetTimestamp());
                var reader = new PacketReader(_current.Wrapped);
                Remember(Convert.ToBase64String(reader.Packet(out _)), key);
            }
            _uses++;
            return _current;
        }
    }

    /// <summary>The session key of a PKESK body for the spool subkey; null when it does not open.</summary>
    public SessionKey? Open(ReadOnlySpan<byte> pkesk)
    {
        var name = Convert.ToBase64String(pkesk);
        if (_known.TryGetValue(name, out var known))
            return known;
        if (SessionKey.Unwrap(pkesk, spool) is not { } key)
            return null;
        Remember(name, key);
        return key;
    }

    private void Remember(string name, SessionKey key)
    {
        if (_known.Count >= MostKnown)
            _known.Clear();
        _known[name] = key;
    }
}
