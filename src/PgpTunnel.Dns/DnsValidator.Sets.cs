namespace PgpTunnel.Dns;

/// <summary>Record sets and the signatures over them (RFC 4035 5.3).</summary>
public sealed partial class DnsValidator
{
    private (RrSignature Signature, TimeSpan Ttl, Proof Proof) Verify(
        List<DnsRecord> set,
        List<RrSignature> signatures,
        Zone zone,
        WorkBudget budget
    )
    {
        var (why, wrong) = ($"no signature by a key of {zone.Name}", 0);
        var now = (uint)time.GetUtcNow().ToUnixTimeSeconds();
        foreach (var signature in signatures.Take(MaxSignatures))
        {
            if (
                signature.Signer != zone.Name
                || !SignatureCheck.IsSupported(signature.Algorithm)
                || signature.Labels > LabelsOf(set[0].Name)
            )
                continue;
            // RFC 1982 serial arithmetic, RFC 4034 3.1.5.
            if ((int)(now - signature.Expiration) > 0 || (int)(now - signature.Inception) < 0)
            {
                why =
                    (int)(now - signature.Expiration) > 0
                        ? $"the signature by {zone.Name} expired at {DateTimeOffset.FromUnixTimeSeconds(signature.Expiration):u}"
                        : $"the signature by {zone.Name} is not valid before "
                            + $"{DateTimeOffset.FromUnixTimeSeconds(signature.Inception):u} (is this machine's clock right?)";
                continue;
            }
            var data = SignedData(set, signature);
            foreach (
                var key in zone
                    .Keys.Where(k => k.Tag == signature.KeyTag && k.Algorithm == signature.Algorithm)
                    .Take(WorkBudget.KeysPerTag)
            )
            {
                budget.Signature();
                if (key.Verifies(data, signature.Signature))
                {
                    budget.Keep(new(set, signature.AsRecord(set[0]), PeriodOf(signature)));
                    return (
                        signature,
                        Shorter(
                            Shorter(MinTtl(set), Seconds(signature.OriginalTtl)),
                            Seconds(signature.Expiration - now)
                        ),
                        new Proof(PeriodOf(signature), Seconds(signature.OriginalTtl))
                    );
                }
                budget.Failure();
                why = $"the signature by {zone.Name} key {signature.KeyTag} is wrong";
                // Less than the whole budget allows, so that each resolver is heard and the zone itself is found to be at fault.
                if (++wrong == WorkBudget.WrongPerSet)
                    throw new BogusException($"{why}, as are {wrong - 1} others");
            }
        }
        throw new BogusException(why);
    }

    /// <summary>RFC 4034 3.1.8.1 and 6: the canonical RRset behind the RRSIG's own fields.</summary>
    private static byte[] SignedData(List<DnsRecord> set, RrSignature signature)
    {
        var owner = set[0].Name;
        if (signature.Labels < LabelsOf(owner))
            owner = owner.Suffix(signature.Labels).Prepend("*"u8);
        var items = set.Select(DnsMessage.CanonicalRdata).ToList();
        items.Sort((a, b) => a.AsSpan().SequenceCompareTo(b));
        var data = new List<byte>(signature.Head.Length + items.Sum(i => i.Length + 64));
        data.AddRange(signature.Head);
        byte[]? last = null;
        foreach (var item in items)
        {
            if (last is not null && item.AsSpan().SequenceEqual(last))
                continue; // RFC 4034 6.3: duplicates count once
            last = item;
            data.AddRange(owner.Wire);
            data.AddRange([(byte)(set[0].Type >> 8), (byte)set[0].Type, 0, (byte)DnsMessage.ClassIn]);
            data.AddRange([
                (byte)(signature.OriginalTtl >> 24),
                (byte)(signature.OriginalTtl >> 16),
                (byte)(signature.OriginalTtl >> 8),
                (byte)signature.OriginalTtl,
            ]);
            data.AddRange([(byte)(item.Length >> 8), (byte)item.Length]);
            data.AddRange(item);
        }
        return [.. data];
    }

    /// <summary>The NSEC and NSEC3 records of the section that the zone's keys verify.</summary>
    private (List<Nsec>, List<Nsec3>, TimeSpan, Proof?) VerifiedDenial(
        IReadOnlyList<DnsRecord> section,
        Zone zone,
        WorkBudget budget
    )
    {
        var (nsecs, nsec3s, ttl) = (new List<Nsec>(), new List<Nsec3>(), LongestTtl);
        Proof? proof = null;
        foreach (
            var set in section
                .Where(r =>
                    r.Type is RecordType.NSEC or RecordType.NSEC3
                    && r.Class == DnsMessage.ClassIn
                    && r.Name.IsWithin(zone.Name)
                )
                .GroupBy(r => (r.Name, r.Type))
                .Take(MaxDenialRecords)
        )
        {
            var records = set.DistinctBy(r => Convert.ToHexString(r.Rdata)).ToList(); // RFC 4034 6.3: duplicates count once
            var signatures = Signatures(section, set.Key.Name, set.Key.Type);
            if (signatures.Count > 0 && !signatures.Exists(s => s.Signer == zone.Name))
                continue; // another zone's, put there for the next link of an alias chain
            var (signature, left, one) = Verify(records, signatures, zone, budget);
            // RFC 4035 5.4: a denial record made from a wildcard would deny at names of the attacker's choice.
            if (signature.Labels != LabelsOf(set.Key.Name) || records.Count != 1)
                continue;
            (ttl, proof) = (Shorter(ttl, left), Proof.Weaker(proof, one));
            if (set.Key.Type == RecordType.NSEC && Nsec.Read(records[0]) is { } nsec && nsec.Next.IsWithin(zone.Name))
                nsecs.Add(nsec with { Signed = one.Period.From });
            else if (set.Key.Type == RecordType.NSEC3 && Nsec3.Read(records[0], zone.Name) is { } nsec3)
                nsec3s.Add(nsec3 with { Signed = one.Period.From });
        }
        return (nsecs, nsec3s, ttl, proof);
    }

    private static List<DnsRecord> RrSet(IReadOnlyList<DnsRecord> section, DomainName? owner, ushort type) =>
        owner is null
            ? []
            : section.Where(r => r.Type == type && r.Class == DnsMessage.ClassIn && r.Name == owner).ToList();

    private static List<RrSignature> Signatures(IReadOnlyList<DnsRecord> section, DomainName owner, ushort covered) =>
        RrSet(section, owner, RecordType.RRSIG)
            .Select(r => RrSignature.Read(r.Rdata))
            .OfType<RrSignature>()
            .Where(s => s.TypeCovered == covered)
            .ToList();

    /// <summary>RFC 4034 3.1.3: neither the root nor a leading asterisk counts.</summary>
    private static int LabelsOf(DomainName name) => name.IsWildcard ? name.LabelCount - 1 : name.LabelCount;

    private static TimeSpan MinTtl(List<DnsRecord> set) => Shorter(LongestTtl, Seconds(set.Min(r => r.Ttl)));

    /// <summary>RFC 2308 5: the lesser of the SOA's TTL and its MINIMUM field.</summary>
    private static TimeSpan NegativeTtl(IReadOnlyList<DnsRecord> authority)
    {
        var soa = authority.FirstOrDefault(r => r.Type == RecordType.SOA && r.Rdata.Length >= 22);
        if (soa is null)
            return FailureTtl;
        var minimum = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(
            soa.Rdata.AsSpan(soa.Rdata.Length - 4)
        );
        return Shorter(LongestTtl, Seconds(Math.Min(soa.Ttl, minimum)));
    }

    /// <summary>RFC 1982: the two times are serial numbers around now.</summary>
    private SignaturePeriod PeriodOf(RrSignature signature)
    {
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        DateTimeOffset Around(uint serial) => DateTimeOffset.FromUnixTimeSeconds(now + (int)(serial - (uint)now));
        return new(Around(signature.Inception), Around(signature.Expiration));
    }

    private static TimeSpan Seconds(uint seconds) => TimeSpan.FromSeconds(seconds);

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
