using System.Buffers;

namespace PgpTunnel.Smtp;

/// <summary>
/// The octets of one message while they arrive: DATA with its dots and terminator (RFC 5321 4.5.2), or BDAT chunks (RFC 3030). Where it
/// ends is found apart from whether it is kept: beyond the size limit, or without memory, nothing is kept and the end is still found.
/// What it yields is the message, octet for octet.
/// </summary>
/// <param name="declared">The size that the client has stated, or 0.</param>
/// <param name="share">Its memory; disposed with the buffer.</param>
/// <param name="large">Where arrays come from that are not small.</param>
internal sealed class MessageBuffer(long limit, bool normalise, long declared, MemoryShare? share, LargeArrays large)
    : IDisposable
{
    private const int FirstSize = 16 * 1024;

    /// <summary>
    /// A message of unknown size grows by pieces of this size, which are put together at its end: copied once, not at every doubling.
    /// </summary>
    private const int PieceSize = 64 * 1024;

    /// <summary>Octets of memory for each of a message: itself, and what is made of it while it is in hand.</summary>
    public const int Cost = 3;

    // The content stands behind a CRLF of our own, so that a dot on the first line is like any other.
    private byte[] _octets = ArrayPool<byte>.Shared.Rent(FirstSize);
    private int _filled; // of _octets
    private readonly List<byte[]> _before = []; // full pieces
    private int _length; // of all
    private bool _stuffed,
        _tooLarge,
        _noMemory,
        _cut;

    // The last octets seen, for a terminator that arrives in pieces.
    private readonly byte[] _tail = [0, 0, (byte)'\r', (byte)'\n'];

    private static ReadOnlySpan<byte> Terminator => "\r\n.\r\n"u8;

    /// <summary>Only so many octets are kept, whatever they are, and no size is too large; null = all.</summary>
    public long? Enough { get; init; }

    /// <summary>True when a line was ended by something else than CRLF and the listener mended that.</summary>
    public bool Normalised { get; private set; }

    /// <summary>Takes octets up to and including the terminator, or all of them. Returns how many belong to the message.</summary>
    /// <param name="ended">The terminator has been seen.</param>
    public int AppendData(ReadOnlySpan<byte> octets, out bool ended)
    {
        _stuffed = true;
        var end = EndOfTerminator(octets);
        ended = end >= 0;
        var part = ended ? octets[..end] : octets;
        Keep(part, limit + limit / 64 + 1024); // stuffed dots do not count; the exact limit is asked at the end
        if (ended && !_tooLarge && !_noMemory && !_cut)
            _length -= Terminator.Length - 2; // the CRLF before the dot is the last line's
        return part.Length;
    }

    /// <summary>Takes octets of a BDAT chunk.</summary>
    public void AppendChunk(ReadOnlySpan<byte> octets) => Keep(octets, limit);

    /// <summary>The index behind the first terminator, counting what came before these octets; -1 when there is none.</summary>
    private int EndOfTerminator(ReadOnlySpan<byte> octets)
    {
        Span<byte> seam = stackalloc byte[8];
        _tail.CopyTo(seam);
        var head = octets[..Math.Min(4, octets.Length)];
        head.CopyTo(seam[4..]);
        var crossing = seam[..(4 + head.Length)].IndexOf(Terminator);
        var end =
            crossing >= 0 ? crossing + Terminator.Length - 4
            : octets.IndexOf(Terminator) is var inside and >= 0 ? inside + Terminator.Length
            : -1;
        if (octets.Length >= 4)
        {
            octets[^4..].CopyTo(_tail);
        }
        else
        {
            _tail.AsSpan(octets.Length).CopyTo(_tail);
            octets.CopyTo(_tail.AsSpan(4 - octets.Length));
        }
        return end;
    }

    private void Keep(ReadOnlySpan<byte> octets, long most)
    {
        if (_tooLarge || _noMemory)
            return;
        if (_length == 0)
        {
            "\r\n"u8.CopyTo(_octets);
            _length = _filled = 2;
        }
        if (Enough is { } enough && _length - 2 + octets.Length > enough)
        {
            _cut = true;
            octets = octets[..(int)Math.Max(0, enough + 2 - _length)];
        }
        var size = _length + (long)octets.Length;
        _tooLarge = Enough is null && size - 2 > Math.Min(most, Array.MaxLength - 2);
        while (!octets.IsEmpty && !_tooLarge && !_noMemory)
        {
            var part = octets[..Math.Min(octets.Length, _octets.Length - _filled)];
            part.CopyTo(_octets.AsSpan(_filled));
            _filled += part.Length;
            _length += part.Length;
            octets = octets[part.Length..];
            _noMemory = !octets.IsEmpty && !Grow(size, most + 2);
        }
        if (_tooLarge || _noMemory)
            Dispose(); // nothing of it is kept, and others need the room
    }

    /// <summary>
    /// Makes room behind what is there: in a larger array while the message is small or its size known, else in another piece.
    /// </summary>
    private bool Grow(long size, long most)
    {
        var larger =
            declared >= size && _before.Count == 0
                ? Math.Min(declared + declared / 64 + 1024, most)
                : 2L * _octets.Length;
        var moves = _before.Count == 0 && (declared >= size || larger <= PieceSize);
        if (share is not null && !share.TryHave(Cost * (moves ? larger : _length + (long)PieceSize)))
            return false;
        var anew = Rent(moves ? (int)larger : PieceSize);
        if (moves)
        {
            _octets.AsSpan(0, _filled).CopyTo(anew);
            GiveBack(_octets, _filled);
        }
        else
        {
            _before.Add(_octets);
            _filled = 0;
        }
        _octets = anew;
        return true;
    }

    /// <summary>Puts the pieces together.</summary>
    private void Join()
    {
        if (_before.Count == 0)
            return;
        var (whole, at) = (Rent(_length), 0);
        foreach (var piece in _before.Append(_octets))
        {
            var part = piece.AsSpan(0, Math.Min(piece.Length, _length - at));
            part.CopyTo(whole.AsSpan(at));
            GiveBack(piece, piece.Length);
            at += part.Length;
        }
        _before.Clear();
        (_octets, _filled) = (whole, _length);
    }

    private byte[] Rent(int size) => (size <= PieceSize ? ArrayPool<byte>.Shared : large).Rent(size);

    /// <param name="used">Octets of it that were written.</param>
    private void GiveBack(byte[] octets, int used)
    {
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(octets.AsSpan(0, used));
        (octets.Length <= PieceSize ? ArrayPool<byte>.Shared : large).Return(octets);
    }

    /// <summary>The whole message, or the reply that refuses it. Valid until this buffer is disposed.</summary>
    public (ReadOnlyMemory<byte> Message, SmtpReply? Refusal) Finish()
    {
        if (_noMemory)
            return (default, new SmtpReply(452, "4.3.1", "too many messages in hand; try again soon"));
        if (_tooLarge)
            return (default, TooLarge());
        Join();
        if (normalise)
            Normalise();
        if (_stuffed)
            Unstuff();
        var message = _octets.AsMemory(Math.Min(2, _length), Math.Max(0, _length - 2));
        if (Enough is not null)
            return (message, null);
        return message.Length > limit ? (default, TooLarge())
            : MessageContent.Refusal(message.Span) is { } refusal ? (default, refusal)
            : (message, null);
    }

    private SmtpReply TooLarge() => new(552, "5.3.4", $"the message is larger than {limit} octets");

    /// <summary>RFC 5321 4.5.2: the first of the dots that begin a line goes.</summary>
    private void Unstuff()
    {
        ReadOnlySpan<byte> stuffed = "\r\n."u8;
        var write = _octets.AsSpan(0, _length).IndexOf(stuffed);
        if (write < 0)
            return;
        write += 2;
        var read = write + 1;
        while (read < _length)
        {
            var next = _octets.AsSpan(read, _length - read).IndexOf(stuffed);
            var run = next < 0 ? _length - read : next + 2;
            _octets.AsSpan(read, run).CopyTo(_octets.AsSpan(write));
            write += run;
            read += run + (next < 0 ? 0 : 1);
        }
        _length = write;
    }

    /// <summary>Makes every CR or LF that stands alone a CRLF.</summary>
    private void Normalise()
    {
        if (!MessageContent.HasBareNewline(_octets.AsSpan(0, _length)))
            return;
        Normalised = true;
        var (source, length, filled) = (_octets, _length, _filled);
        _octets = Rent(2 * length);
        _length = 0;
        for (var i = 0; i < length; i++)
        {
            if (source[i] is not ((byte)'\r' or (byte)'\n'))
            {
                _octets[_length++] = source[i];
                continue;
            }
            if (source[i] == '\r' && i + 1 < length && source[i + 1] == '\n')
                i++;
            _octets[_length++] = (byte)'\r';
            _octets[_length++] = (byte)'\n';
        }
        GiveBack(source, filled);
        _filled = _length;
    }

    public void Dispose()
    {
        Release();
        share?.Dispose();
    }

    private void Release()
    {
        foreach (var piece in _before)
            GiveBack(piece, piece.Length);
        _before.Clear();
        if (_octets.Length > 0)
            GiveBack(_octets, _filled);
        (_octets, _filled, _length) = ([], 0, 0);
    }
}
