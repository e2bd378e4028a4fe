using System.Buffers.Binary;
using System.Numerics;

namespace PgpTunnel.OpenPgp;

/// <summary>Packet type ids (RFC 9580 5).</summary>
internal static class Tag
{
    public const int Pkesk = 1,
        Signature = 2,
        Skesk = 3,
        OnePass = 4,
        SecretKey = 5,
        PublicKey = 6,
        SecretSubkey = 7,
        Compressed = 8,
        Sed = 9,
        Marker = 10,
        Literal = 11,
        Trust = 12,
        UserId = 13,
        PublicSubkey = 14,
        UserAttribute = 17,
        Seipd = 18,
        Padding = 21;
}

/// <summary>Reads packets and their fields from memory; any overrun or ambiguity is an <see cref="OpenPgpException"/>.</summary>
internal ref struct PacketReader(ReadOnlySpan<byte> octets)
{
    private ReadOnlySpan<byte> _rest = octets;

    public readonly bool AtEnd => _rest.IsEmpty;

    public readonly int Remaining => _rest.Length;

    public byte U8() => Take(1)[0];

    public ushort U16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    public uint U32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ulong U64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    public ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _rest.Length)
            throw new OpenPgpException("a packet ends early");
        var span = _rest[..count];
        _rest = _rest[count..];
        return span;
    }

    public ReadOnlySpan<byte> Rest() => Take(_rest.Length);

    /// <summary>A multiprecision integer without its length (RFC 9580 3.2).</summary>
    public ReadOnlySpan<byte> Mpi()
    {
        var bits = U16();
        var value = Take((bits + 7) / 8);
        if (value.Length > 0 && (value[0] == 0 || BitOperations.Log2(value[0]) != (bits - 1) % 8))
            throw new OpenPgpException("an integer has another bit length than stated, or leading zeros"); // RFC 9580 3.2
        return value;
    }

    /// <summary>An MPI, left-padded with zeros to a fixed size.</summary>
    public byte[] Mpi(int size)
    {
        var value = Mpi();
        if (value.Length > size)
            throw new OpenPgpException("an integer is too long for its field");
        var padded = new byte[size];
        value.CopyTo(padded.AsSpan(size - value.Length));
        return padded;
    }

    /// <summary>The next packet, old or new header format, partial lengths put together (RFC 9580 4.2).</summary>
    public ReadOnlySpan<byte> Packet(out int tag)
    {
        var header = U8();
        if ((header & 0x80) == 0)
            throw new OpenPgpException("a packet header is missing");
        if ((header & 0x40) == 0)
        {
            tag = (header >> 2) & 0x0F;
            var size = (header & 3) switch
            {
                0 => U8(),
                1 => U16(),
                2 => (long)U32(),
                _ => throw new OpenPgpException("a packet has no definite length"),
            };
            return Take(Checked(size));
        }
        tag = header & 0x3F;
        var length = NewLength(out var partial);
        if (!partial)
            return Take(length);
        // RFC 9580 4.2.1.4: only data packets, the first part of at least 512 octets.
        if (tag is not (Tag.Literal or Tag.Seipd) || length < 512)
            throw new OpenPgpException("a partial length stands where none is allowed");
        var whole = new byte[_rest.Length];
        var filled = 0;
        while (true)
        {
            Take(length).CopyTo(whole.AsSpan(filled));
            filled += length;
            if (!partial)
                return whole.AsSpan(0, filled);
            length = NewLength(out partial);
        }
    }

    /// <summary>A signature subpacket's length (RFC 9580 5.2.3.7), coded as a packet's without partial parts.</summary>
    public int SubpacketLength()
    {
        var first = U8();
        return first < 192 ? first
            : first < 255 ? ((first - 192) << 8) + U8() + 192
            : Checked(U32());
    }

    private int NewLength(out bool partial)
    {
        var first = U8();
        partial = first is >= 224 and < 255;
        return first < 192 ? first
            : first < 224 ? ((first - 192) << 8) + U8() + 192
            : partial ? 1 << (first & 0x1F)
            : Checked(U32());
    }

    private readonly int Checked(long size) =>
        size <= _rest.Length ? (int)size : throw new OpenPgpException("a packet ends early");
}

/// <summary>Writes packets in the new header format with definite lengths.</summary>
internal sealed class PacketWriter
{
    private readonly List<byte> _octets = [];

    public int Length => _octets.Count;

    public byte[] ToArray() => [.. _octets];

    public PacketWriter U8(int value)
    {
        _octets.Add((byte)value);
        return this;
    }

    public PacketWriter U16(int value) => U8(value >> 8).U8(value);

    public PacketWriter U32(uint value) => U16((int)(value >> 16)).U16((int)(value & 0xFFFF));

    public PacketWriter Bytes(ReadOnlySpan<byte> value)
    {
        _octets.AddRange(value);
        return this;
    }

    public PacketWriter Mpi(ReadOnlySpan<byte> value)
    {
        value = value.TrimStart((byte)0);
        return U16(value.IsEmpty ? 0 : (value.Length - 1) * 8 + BitOperations.Log2(value[0]) + 1).Bytes(value);
    }

    public PacketWriter Packet(int tag, ReadOnlySpan<byte> body) => Bytes(Header(tag, body.Length)).Bytes(body);

    /// <summary>The header octets of a packet with a body of <paramref name="length"/> octets.</summary>
    public static byte[] Header(int tag, int length) => [(byte)(0xC0 | tag), .. EncodeLength(length)];

    public static byte[] EncodeLength(int length) =>
        length < 192 ? [(byte)length]
        : length < 8384 ? [(byte)(((length - 192) >> 8) + 192), (byte)(length - 192)]
        : [255, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length];
}
