using System.Buffers.Binary;

namespace PgpTunnel.Dns;

/// <summary>
/// All that a verdict rests on, from the trust anchor down to the answer: whoever has the anchor can come to the same verdict without
/// asking anybody. As octets it is a stream of resource records, uncompressed, each set with its signature (RFC 9102 3).
/// </summary>
/// <param name="Sets">From the root down; the answer, aliases first, at the end.</param>
public sealed record DnsProof(DomainName Name, ushort Type, IReadOnlyList<ProvenSet> Sets)
{
    private const ushort ClassAny = 255;
    private const int MostRecords = 512;

    /// <summary>When every signature in it is valid; null = nothing is signed.</summary>
    public SignaturePeriod? Window
    {
        get
        {
            var periods = Sets.Select(s => s.Period).OfType<SignaturePeriod>().ToList();
            return periods.Count == 0 ? null : new(periods.Max(p => p.From), periods.Min(p => p.Until));
        }
    }

    /// <summary>The sets of an answer; of what an absence, or a name made by DNAME, is asked about no set can tell.</summary>
    private static bool IsOfAnswer(ushort type) =>
        type is not (RecordType.DNSKEY or RecordType.DS or RecordType.NSEC or RecordType.NSEC3 or RecordType.DNAME);

    public byte[] ToStream()
    {
        var octets = new List<byte>();
        var records = Sets.SelectMany(s => s.Records.Append(s.Signature).OfType<DnsRecord>()).ToList();
        // A record without data, of class ANY, asks (RFC 2136 2.4.1). Only where the stream would not tell what it answers.
        if (QuestionOf(records) != (Name, Type))
            Write(octets, new(Name, Type, ClassAny, 0, []));
        foreach (var record in records)
            Write(octets, record);
        return [.. octets];
    }

    private static void Write(List<byte> octets, DnsRecord record)
    {
        Span<byte> fields = stackalloc byte[10];
        BinaryPrimitives.WriteUInt16BigEndian(fields, record.Type);
        BinaryPrimitives.WriteUInt16BigEndian(fields[2..], record.Class);
        BinaryPrimitives.WriteUInt32BigEndian(fields[4..], record.Ttl);
        BinaryPrimitives.WriteUInt16BigEndian(fields[8..], (ushort)record.Rdata.Length);
        octets.AddRange(record.Name.Wire);
        octets.AddRange(fields);
        octets.AddRange(record.Rdata);
    }

    /// <summary>What a stream answers, and its records.</summary>
    /// <exception cref="DnsFormatException">It is none, or does not say what it answers.</exception>
    public static (DomainName Name, ushort Type, IReadOnlyList<DnsRecord> Records) Read(ReadOnlySpan<byte> stream)
    {
        var reader = new WireReader(stream);
        var (records, asked) = (new List<DnsRecord>(), ((DomainName, ushort)?)null);
        while (reader.Remaining > 0)
        {
            if (records.Count == MostRecords)
                throw new DnsFormatException($"more than {MostRecords} records");
            var start = reader.Position;
            var (name, type, @class, ttl) = (reader.Name(), reader.U16(), reader.U16(), reader.U32());
            var rdata = reader.Take(reader.U16()).ToArray();
            if (reader.Position - start != name.Wire.Length + 10 + rdata.Length)
                throw new DnsFormatException("a name is compressed");
            if (@class == ClassAny && rdata.Length == 0 && records.Count == 0 && asked is null)
                asked = (name, type);
            else if (@class == DnsMessage.ClassIn && IsWellFormed(type, rdata))
                records.Add(new(name, type, @class, Math.Min(ttl, int.MaxValue), rdata));
            else
                throw new DnsFormatException($"a record of {name} is not well formed");
        }
        var (question, of) =
            asked ?? QuestionOf(records) ?? throw new DnsFormatException("it does not say what it answers");
        return (question, of, records);
    }

    private static bool IsWellFormed(ushort type, byte[] rdata)
    {
        var reader = new WireReader(rdata);
        return DnsMessage.ReadRdata(ref reader, type, rdata.Length).AsSpan().SequenceEqual(rdata);
    }

    /// <summary>The first name of which it has data, and the last type of which it has.</summary>
    private static (DomainName Name, ushort Type)? QuestionOf(IReadOnlyList<DnsRecord> records)
    {
        var answer = records.Where(r => r.Type != RecordType.RRSIG && IsOfAnswer(r.Type)).ToList();
        return answer.Count == 0 || records.Any(r => r.Type == RecordType.DNAME)
            ? null
            : (answer[0].Name, answer[^1].Type);
    }
}
