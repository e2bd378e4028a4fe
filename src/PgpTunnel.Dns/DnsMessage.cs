using System.Buffers.Binary;

namespace PgpTunnel.Dns;

/// <summary>One resource record; RDATA holds no compression pointers, its letters are as received.</summary>
public sealed record DnsRecord(DomainName Name, ushort Type, ushort Class, uint Ttl, byte[] Rdata);

/// <summary>A response as RFC 1035 4 and RFC 6891 lay it out.</summary>
public sealed class DnsMessage
{
    public const ushort ClassIn = 1;
    private const int MaxRecords = 2048;

    public required ushort Id { get; init; }
    public required bool IsResponse { get; init; }
    public required bool Truncated { get; init; }
    public required int Rcode { get; init; }
    public required DomainName QuestionName { get; init; }
    public required ushort QuestionType { get; init; }
    public required ushort QuestionClass { get; init; }
    public required IReadOnlyList<DnsRecord> Answer { get; init; }
    public required IReadOnlyList<DnsRecord> Authority { get; init; }

    /// <summary>A query with RD, CD and EDNS DO set (RFC 4035 3.2.1, 3.2.2): we validate ourselves.</summary>
    public static byte[] Query(ushort id, DomainName name, ushort type)
    {
        var message = new byte[12 + name.Wire.Length + 4 + 11];
        BinaryPrimitives.WriteUInt16BigEndian(message, id);
        message[2] = 0x01; // RD
        message[3] = 0x10; // CD
        message[5] = 1; // one question
        message[11] = 1; // one additional record, the OPT below
        name.Wire.CopyTo(message.AsSpan(12));
        var tail = message.AsSpan(12 + name.Wire.Length);
        BinaryPrimitives.WriteUInt16BigEndian(tail, type);
        tail[3] = (byte)ClassIn;
        tail[6] = (byte)RecordType.OPT; // after the root name at tail[4]
        BinaryPrimitives.WriteUInt16BigEndian(tail[7..], 1232); // payload size that avoids fragments
        tail[11] = 0x80; // DO, RFC 3225
        return message;
    }

    /// <summary>A response that is nothing but its header: an rcode about the resolver, not an answer.</summary>
    public bool IsBare { get; private init; }

    /// <summary>
    /// Reads what came for a question: its answer, or a bare rcode (servers without EDNS leave the question out, RFC 6891 7).
    /// </summary>
    /// <returns>Null when it is no answer to this question.</returns>
    /// <exception cref="DnsFormatException">It is, and is malformed or ends early.</exception>
    internal static DnsMessage? ReadAnswer(ReadOnlySpan<byte> octets, ushort id, DomainName name, ushort type)
    {
        if (
            octets.Length < HeaderLength
            || BinaryPrimitives.ReadUInt16BigEndian(octets) != id
            || (octets[2] & 0x80) == 0
        )
            return null;
        if (BinaryPrimitives.ReadUInt16BigEndian(octets[4..]) == 0)
            return Bare(id, octets[3] & 0x0F, name, type, truncated: (octets[2] & 0x02) != 0);
        var reader = new WireReader(octets, HeaderLength);
        if (reader.Name() != name || reader.U16() != type || reader.U16() != ClassIn)
            return null;
        // RFC 2181 9: of an answer that says it is cut short nothing else is read.
        return (octets[2] & 0x02) != 0 ? Bare(id, 0, name, type, truncated: true) : Parse(octets);
    }

    private const int HeaderLength = 12;

    private static DnsMessage Bare(ushort id, int rcode, DomainName name, ushort type, bool truncated = false) =>
        new()
        {
            Id = id,
            IsResponse = true,
            IsBare = true,
            Truncated = truncated,
            Rcode = rcode,
            QuestionName = name,
            QuestionType = type,
            QuestionClass = ClassIn,
            Answer = [],
            Authority = [],
        };

    /// <exception cref="DnsFormatException">The octets are not a DNS message.</exception>
    public static DnsMessage Parse(ReadOnlySpan<byte> octets)
    {
        var reader = new WireReader(octets);
        var id = reader.U16();
        var flags = reader.U16();
        int questions = reader.U16(),
            answers = reader.U16(),
            authorities = reader.U16(),
            additionals = reader.U16();
        if (questions != 1)
            throw new DnsFormatException("not exactly one question");
        if (answers + authorities + additionals > MaxRecords)
            throw new DnsFormatException("more records than any answer needs");
        var (name, type, @class) = (reader.Name(), reader.U16(), reader.U16());
        var truncated = (flags & 0x0200) != 0;
        var rcode = flags & 0x0F;
        var answer = ReadSection(ref reader, answers, truncated, ref rcode);
        var authority = ReadSection(ref reader, authorities, truncated, ref rcode);
        ReadSection(ref reader, additionals, truncated, ref rcode);
        return new DnsMessage
        {
            Id = id,
            IsResponse = (flags & 0x8000) != 0,
            Truncated = truncated,
            Rcode = rcode,
            QuestionName = name,
            QuestionType = type,
            QuestionClass = @class,
            Answer = answer,
            Authority = authority,
        };
    }

    private static List<DnsRecord> ReadSection(ref WireReader reader, int count, bool truncated, ref int rcode)
    {
        var records = new List<DnsRecord>(count);
        for (var i = 0; i < count && !(truncated && reader.Remaining == 0); i++)
        {
            var (name, type, @class, ttl, length) = (
                reader.Name(),
                reader.U16(),
                reader.U16(),
                reader.U32(),
                reader.U16()
            );
            if (type == RecordType.OPT)
            {
                rcode |= (int)(ttl >> 24) << 4; // RFC 6891 6.1.3
                reader.Take(length);
                continue;
            }
            // RFC 2181 8: a TTL with the top bit set is zero.
            records.Add(
                new DnsRecord(name, type, @class, ttl > int.MaxValue ? 0 : ttl, ReadRdata(ref reader, type, length))
            );
        }
        return records;
    }

    internal static byte[] ReadRdata(ref WireReader reader, ushort type, int length)
    {
        var end = reader.Position + length;
        if (length > reader.Remaining)
            throw new DnsFormatException("RDATA ends early");
        if (RecordType.Layout(type) is not { } layout)
            return reader.Take(length).ToArray();
        var rdata = new List<byte>(length);
        foreach (var part in layout)
        {
            switch (part)
            {
                case 'n':
                    rdata.AddRange(reader.RawName());
                    break;
                case 's':
                    var size = reader.U8();
                    rdata.Add(size);
                    rdata.AddRange(reader.Take(size));
                    break;
                case '*':
                    rdata.AddRange(reader.Take(end - reader.Position));
                    break;
                default:
                    rdata.AddRange(reader.Take(part - '0'));
                    break;
            }
        }
        if (reader.Position != end)
            throw new DnsFormatException("RDATA has another length than stated");
        return [.. rdata];
    }

    /// <summary>RFC 4034 6.2: names in the RDATA of the listed types in lower case (NSEC excepted, RFC 6840 5.1).</summary>
    internal static byte[] CanonicalRdata(DnsRecord record)
    {
        if (record.Type == RecordType.NSEC || RecordType.Layout(record.Type) is not { } layout)
            return record.Rdata;
        var rdata = (byte[])record.Rdata.Clone();
        var at = 0;
        foreach (var part in layout)
        {
            switch (part)
            {
                case 'n':
                    for (; rdata[at] != 0; at += rdata[at] + 1)
                    for (var i = at + 1; i <= at + rdata[at]; i++)
                        if (rdata[i] is >= (byte)'A' and <= (byte)'Z')
                            rdata[i] |= 0x20;
                    at++;
                    break;
                case 's':
                    at += rdata[at] + 1;
                    break;
                case '*':
                    return rdata;
                default:
                    at += part - '0';
                    break;
            }
        }
        return rdata;
    }
}
