using System.Buffers.Binary;

namespace PgpTunnel.Dns;

/// <summary>A DNS message that does not follow RFC 1035.</summary>
public sealed class DnsFormatException(string message) : Exception(message);

/// <summary>Reads the wire format; every overrun is a <see cref="DnsFormatException"/>.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> message, int position = 0)
{
    private readonly ReadOnlySpan<byte> _message = message;

    public int Position { get; set; } = position;

    public readonly int Remaining => _message.Length - Position;

    public byte U8() => Take(1)[0];

    public ushort U16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    public uint U32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > Remaining)
            throw new DnsFormatException("the message ends early");
        var span = _message.Slice(Position, count);
        Position += count;
        return span;
    }

    public DomainName Name() => DomainName.FromWire(RawName());

    /// <summary>An uncompressed copy of the name at this position, case kept. Pointers must lead backwards, so the walk ends.</summary>
    public byte[] RawName()
    {
        Span<byte> name = stackalloc byte[255];
        var length = 0;
        var at = Position;
        var floor = at;
        var after = -1;
        while (true)
        {
            if (at >= _message.Length)
                throw new DnsFormatException("a name ends early");
            var octet = _message[at];
            if (octet >= 0xC0)
            {
                if (at + 1 >= _message.Length)
                    throw new DnsFormatException("a compression pointer ends early");
                if (after < 0)
                    after = at + 2;
                var target = ((octet & 0x3F) << 8) | _message[at + 1];
                if (target >= floor)
                    throw new DnsFormatException("a compression pointer does not lead backwards");
                floor = at = target;
                continue;
            }
            if (octet > 63)
                throw new DnsFormatException("a label type is unknown");
            if (at + 1 + octet > _message.Length || length + 1 + octet > 255)
                throw new DnsFormatException("a name is too long");
            _message.Slice(at, octet + 1).CopyTo(name[length..]);
            length += octet + 1;
            at += octet + 1;
            if (octet == 0)
                break;
        }
        Position = after < 0 ? at : after;
        return name[..length].ToArray();
    }
}
