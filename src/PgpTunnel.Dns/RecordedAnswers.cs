namespace PgpTunnel.Dns;

/// <summary>Answers out of a proof: what it has nothing of is answered by an empty message, which proves nothing.</summary>
public sealed class RecordedAnswers(IReadOnlyList<DnsRecord> records) : DnsSource
{
    /// <summary>
    /// With the denials of the zone that would have to answer, then without any: a zone that is not signed has none, and those above it are
    /// not about its names.
    /// </summary>
    internal override DnsInquiry Ask(DomainName name, ushort type, Asker asker) =>
        new Inquiry([Message(name, type, Denials(name, type)), Message(name, type, [])]);

    private DnsMessage Message(DomainName name, ushort type, IReadOnlyList<DnsRecord> denials) =>
        new()
        {
            Id = 0,
            IsResponse = true,
            Truncated = false,
            Rcode = 0, // what the proof says counts, not a number
            QuestionName = name,
            QuestionType = type,
            QuestionClass = DnsMessage.ClassIn,
            Answer = Of(name, type),
            Authority = denials,
        };

    /// <summary>The set asked for, else the alias that stands there.</summary>
    private List<DnsRecord> Of(DomainName name, ushort type)
    {
        foreach (var wanted in new[] { type, RecordType.CNAME })
            if (Set(name, wanted) is { Count: > 0 } set)
                return set;
        return records.FirstOrDefault(r => r.Type == RecordType.DNAME && name.IsBelow(r.Name)) is { } dname
            ? Set(dname.Name, RecordType.DNAME)
            : [];
    }

    private List<DnsRecord> Set(DomainName name, ushort type) =>
        [.. records.Where(r => r.Name == name && (r.Type == type || Covered(r) == type))];

    /// <summary>The denials of the zone that would have to answer: the deepest of those that have signed any.</summary>
    private List<DnsRecord> Denials(DomainName name, ushort type)
    {
        var signers = records
            .Where(r => Covered(r) is RecordType.NSEC or RecordType.NSEC3)
            .Select(r => (Record: r, Zone: RrSignature.Read(r.Rdata)!.Signer))
            .Where(s => type == RecordType.DS ? name.IsBelow(s.Zone) : name.IsWithin(s.Zone))
            .ToList();
        if (signers.Count == 0)
            return [];
        var zone = signers.MaxBy(s => s.Zone.LabelCount).Zone;
        return
        [
            .. signers
                .Where(s => s.Zone == zone)
                .SelectMany(s => Set(s.Record.Name, Covered(s.Record)!.Value))
                .Distinct(),
        ];
    }

    private static ushort? Covered(DnsRecord record) =>
        record.Type == RecordType.RRSIG ? RrSignature.Read(record.Rdata)?.TypeCovered : null;

    private sealed class Inquiry(IEnumerable<DnsMessage> messages) : DnsInquiry
    {
        private readonly Queue<DnsMessage> _left = new(messages);

        public override Task<DnsMessage> NextAsync(CancellationToken cancel) =>
            _left.TryDequeue(out var next)
                ? Task.FromResult(next)
                : throw new DnsUnavailableException("the proof has no other answer");
    }
}
