using System.Collections;
using System.Runtime.CompilerServices;

namespace PgpTunnel.Smtp;

/// <summary>A message to be handed to a server: its octets in parts, and what must be known of them before the first one leaves.</summary>
[CollectionBuilder(typeof(OutgoingMessage), nameof(Of))]
public sealed class OutgoingMessage : IEnumerable<ReadOnlyMemory<byte>>
{
    private static readonly ReadOnlyMemory<byte> NewLine = "\r\n"u8.ToArray(),
        Dot = "."u8.ToArray();

    private readonly IEnumerable<ReadOnlyMemory<byte>> _parts;
    private readonly Lazy<bool> _eightBit,
        _eightBitHeader,
        _needsStuffing,
        _hidesDots;

    private OutgoingMessage(long size, IEnumerable<ReadOnlyMemory<byte>> parts, bool plain)
    {
        (Size, _parts) = (size, parts);
        _eightBit = new(() => !plain && parts.Any(HasEightBitOctet));
        _eightBitHeader = new(() => !plain && HasEightBitBeforeBody(parts));
        _needsStuffing = new(() => !plain && WouldBeStuffed([.. parts]));
        _hidesDots = new(() => !plain && parts.Any(p => p.Span.Contains((byte)0)) && WouldHideDots(parts));
    }

    /// <summary>A message of these parts, whatever they are.</summary>
    public static OutgoingMessage Of(ReadOnlySpan<ReadOnlyMemory<byte>> parts)
    {
        var all = parts.ToArray();
        return new(all.Sum(p => (long)p.Length), all, plain: false);
    }

    /// <summary>A message of which nothing has to be looked for: seven-bit, every line ended by CRLF, none begun by a dot.</summary>
    /// <param name="size">Octets of all parts.</param>
    /// <param name="parts">Made as they are sent: each is good until the next is asked for.</param>
    public static OutgoingMessage Plain(long size, IEnumerable<ReadOnlyMemory<byte>> parts) =>
        new(size, parts, plain: true);

    /// <summary>Octets, without what DATA adds.</summary>
    public long Size { get; }

    public bool HasEightBit => _eightBit.Value;

    public bool HasEightBitHeader => _eightBitHeader.Value;

    /// <summary>
    /// A next server that drops NULs would see a dot at the start of a line that DATA has not stuffed, and with it perhaps the end of the
    /// message and the beginning of another.
    /// </summary>
    public bool HidesDots => _hidesDots.Value;

    /// <summary>The parts as they are.</summary>
    public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator() => _parts.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>
    /// The parts as they follow DATA, without the terminator: a dot before each line that begins with one (RFC 5321 4.5.2). A message
    /// whose last line lacks its CRLF gets one, since DATA cannot say otherwise.
    /// </summary>
    public IEnumerable<ReadOnlyMemory<byte>> ForData() => _needsStuffing.Value ? Stuffed() : _parts;

    private static bool HasEightBitOctet(ReadOnlyMemory<byte> part) =>
        part.Span.ContainsAnyInRange((byte)0x80, (byte)0xFF);

    /// <summary>By lines, since a part may end anywhere, and the header may be empty.</summary>
    private static bool HasEightBitBeforeBody(IEnumerable<ReadOnlyMemory<byte>> parts)
    {
        var inLine = 0; // octets
        foreach (var part in parts)
        foreach (var octet in part.Span)
        {
            if (octet >= 0x80)
                return true;
            if (octet == '\n' && inLine <= 1)
                return false;
            inLine = octet == '\n' ? 0 : inLine + 1;
        }
        return false;
    }

    /// <summary>Whether a line begins with a dot, or the last line does not end.</summary>
    private static bool WouldBeStuffed(IReadOnlyList<ReadOnlyMemory<byte>> parts)
    {
        var filled = parts.Where(p => p.Length > 0).ToList();
        // A dot at a part's own start might begin a line.
        return filled.Count == 0
            || !filled[^1].Span.EndsWith("\r\n"u8)
            || filled.Exists(p => p.Span[0] is (byte)'.' or (byte)'\n' || p.Span.IndexOf("\r\n."u8) >= 0);
    }

    /// <summary>Whether, NULs dropped, a dot begins a line that did not begin with one.</summary>
    private static bool WouldHideDots(IEnumerable<ReadOnlyMemory<byte>> parts)
    {
        // By what came last, with NULs and without: two octets of each.
        int last = '\n',
            beforeLast = '\r',
            lastSeen = '\n',
            beforeLastSeen = '\r';
        foreach (var part in parts)
        foreach (var octet in part.Span)
        {
            if (octet == '.' && lastSeen == '\n' && beforeLastSeen == '\r' && !(last == '\n' && beforeLast == '\r'))
                return true;
            (beforeLast, last) = (last, octet);
            if (octet != 0)
                (beforeLastSeen, lastSeen) = (lastSeen, octet);
        }
        return false;
    }

    private IEnumerable<ReadOnlyMemory<byte>> Stuffed()
    {
        var atStart = true;
        byte last = 0,
            beforeLast = 0;
        foreach (var part in _parts.Where(p => p.Length > 0))
        {
            var rest = part;
            // The line may begin where one part ends and the next starts.
            if (rest.Span[0] == '.' && (atStart || (beforeLast == '\r' && last == '\n')))
                yield return Dot;
            if (rest.Length > 1 && last == '\r' && rest.Span[0] == '\n' && rest.Span[1] == '.')
            {
                yield return rest[..1];
                yield return Dot;
                rest = rest[1..];
            }
            for (int at; (at = rest.Span.IndexOf("\r\n."u8)) >= 0; rest = rest[(at + 2)..])
            {
                yield return rest[..(at + 2)];
                yield return Dot;
            }
            yield return rest;
            atStart = false;
            (beforeLast, last) = part.Length > 1 ? (part.Span[^2], part.Span[^1]) : (last, part.Span[0]);
        }
        if (!atStart && !(beforeLast == '\r' && last == '\n'))
            yield return NewLine;
    }
}
