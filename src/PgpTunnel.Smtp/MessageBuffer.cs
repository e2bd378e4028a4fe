using System.Buffers;

namespace PgpTunnel.Smtp;

/// <summary>
/// The octets of one message while they arrive: DATA with its dots and terminator (RFC 5321 4.5.2), or BDAT chunks (RFC 3030). Holds at
/// most the size limit; beyond that it only watches for the end. What it yields is the message, octet for octet.
/// </summary>
internal sealed class MessageBuffer(long limit, bool normalise, MemoryBudget? memory) : IDisposable
{
    private const int FirstSize = 16 * 1024;
    private static readonly byte[] Terminator = "\r\n.\r\n"u8.ToArray();

    // The content starts behind a CRLF of our own, so that a dot on the first line is like any other.
    private byte[] _octets = ArrayPool<byte>.Shared.Rent(FirstSize);
    private int _length;
    private bool _ended, _noMemory;
    private long _taken;

    /// <summary>More than the limit has arrived; the content is lost.</summary>
    public bool TooLarge { get; private set; }

    /// <summary>Octets held, the leading CRLF not counted.</summary>
    public int Length => Math.Max(0, _length - 2);

    /// <summary>Takes octets up to and including the terminator, or all of them. Returns how many belong to the message.</summary>
    /// <param name="ended">The terminator has been seen.</param>
    public int AppendData(ReadOnlySpan<byte> octets, out bool ended)
    {
        var before = Begin();
        // A terminator may have begun in what is held already.
        var from = Math.Max(0, before - Terminator.Length + 1);
        Put(octets, counted: false);
        var found = _octets.AsSpan(from, _length - from).IndexOf(Terminator);
        if (found < 0)
        {
            ended = false;
            if (TooLarge || _noMemory)
                KeepTail();
            else if (_length - 2 > limit + limit / 64 + 1024) // stuffed dots do not count
                Drop();
            return octets.Length;
        }
        ended = _ended = true;
        var end = from + found;
        _length = end + 2; // the CRLF before the dot is the last line's
        return end + Terminator.Length - before;
    }

    /// <summary>Takes octets of a BDAT chunk.</summary>
    public void AppendChunk(ReadOnlySpan<byte> octets)
    {
        Begin();
        if (!TooLarge && !_noMemory)
            Put(octets, counted: true);
    }

    private int Begin()
    {
        if (_length == 0)
        {
            _octets[0] = (byte)'\r';
            _octets[1] = (byte)'\n';
            _length = 2;
        }
        return _length;
    }

    private void Put(ReadOnlySpan<byte> octets, bool counted)
    {
        if (counted && _length - 2 + (long)octets.Length > limit)
        {
            Drop();
            return;
        }
        if (_length + octets.Length > _octets.Length)
        {
            var size = Math.Min(Math.Max(_length + (long)octets.Length, 2L * _octets.Length), Array.MaxLength);
            if (!Reserve(size))
            {
                _noMemory = true;
                KeepTail();
                octets = octets[Math.Max(0, octets.Length - FirstSize / 2)..];
                octets.CopyTo(_octets.AsSpan(_length));
                _length += octets.Length;
                return;
            }
            var larger = ArrayPool<byte>.Shared.Rent((int)size);
            _octets.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_octets);
            _octets = larger;
        }
        octets.CopyTo(_octets.AsSpan(_length));
        _length += octets.Length;
    }

    /// <summary>Takes from the budget before anything large is allocated.</summary>
    public bool Reserve(long size)
    {
        if (memory is null || size <= _taken)
            return true;
        if (!memory.TryTake(size - _taken))
            return false;
        _taken = size;
        return true;
    }

    private void Drop()
    {
        TooLarge = true;
        KeepTail();
    }

    /// <summary>Keeps only what a terminator could begin in.</summary>
    private void KeepTail()
    {
        var keep = Math.Min(_length, Terminator.Length);
        _octets.AsSpan(_length - keep, keep).CopyTo(_octets);
        _length = keep;
    }

    /// <summary>The whole message, or the reply that refuses it. Valid until this buffer is disposed.</summary>
    public (ReadOnlyMemory<byte> Message, SmtpReply? Refusal) Finish()
    {
        if (_length == 0)
            Begin();
        if (_noMemory)
            return (default, new SmtpReply(452, "4.3.1", "too many messages in hand; try again soon"));
        if (TooLarge)
            return (default, new SmtpReply(552, "5.3.4", $"the message is larger than {limit} octets"));
        if (normalise)
            Normalise();
        if (_ended)
            Unstuff();
        var message = _octets.AsMemory(2, _length - 2);
        if (message.Length > limit)
            return (default, new SmtpReply(552, "5.3.4", $"the message is larger than {limit} octets"));
        return MessageContent.Refusal(message.Span) is { } refusal ? (default, refusal) : (message, null);
    }

    /// <summary>True when a line was ended by something else than CRLF and the listener mends that.</summary>
    public bool Normalised { get; private set; }

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
        var source = _octets;
        var length = _length;
        _octets = ArrayPool<byte>.Shared.Rent(2 * length);
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
        ArrayPool<byte>.Shared.Return(source, clearArray: true);
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_octets, clearArray: true);
        _octets = [];
        _length = 0;
        memory?.Return(_taken);
        _taken = 0;
    }
}
