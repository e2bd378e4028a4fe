namespace PgpTunnel.Dns;

public sealed partial class DnsValidator
{
    /// <summary>RRSIGs that are looked at for one RRset.</summary>
    private const int MaxSignatures = 8;
    private const int MaxDenialRecords = 12;

    private async Task<Link> JudgeAsync(
        DnsMessage message,
        DomainName name,
        ushort type,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var data = RrSet(message.Answer, name, type);
        if (data.Count > 0 && message.Rcode == 3)
            throw new BogusException("the answer says that the name does not exist, and has records of it");
        if (data.Count > 0)
            return await JudgePositiveAsync(message, name, data, null, type, budget, cancel);
        // RFC 6672 3.2: the DNAME is signed, the CNAME made from it is not; we make it ourselves.
        var dname = RrSet(
            message.Answer,
            message.Answer.FirstOrDefault(r => r.Type == RecordType.DNAME && name.IsBelow(r.Name))?.Name,
            RecordType.DNAME
        );
        if (dname.Count == 1)
        {
            var alias =
                name.Rebase(dname[0].Name, TargetOf(dname[0]))
                ?? throw new BogusException($"the DNAME at {dname[0].Name} makes a name that is too long");
            return await JudgePositiveAsync(message, dname[0].Name, dname, alias, type, budget, cancel);
        }
        var cname = RrSet(message.Answer, name, RecordType.CNAME);
        if (cname.Count > 1 || dname.Count > 1)
            throw new BogusException("more than one CNAME or DNAME stands at one name");
        if (cname.Count == 1)
            return await JudgePositiveAsync(message, name, cname, TargetOf(cname[0]), type, budget, cancel);
        return await JudgeNegativeAsync(message, name, type, budget, cancel);
    }

    private async Task<Link> JudgePositiveAsync(
        DnsMessage message,
        DomainName owner,
        List<DnsRecord> set,
        DomainName? alias,
        ushort asked,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var covered = set[0].Type;
        var rdata = alias is null ? set.ConvertAll(r => r.Rdata) : [];
        var signatures = Signatures(message.Answer, owner, covered);
        var zone = await SigningZoneAsync(
            owner,
            covered == RecordType.DS || (asked == RecordType.DS && covered == RecordType.CNAME),
            signatures,
            budget,
            cancel
        );
        if (zone.Security == DnsSecurity.Insecure)
            return new()
            {
                Security = zone.Security,
                Outcome = DnsOutcome.Answer,
                Data = rdata,
                Alias = alias,
                Ttl = Shorter(MinTtl(set), zone.Ttl),
                Rcode = message.Rcode,
                Why = zone.Why,
            };
        if (zone.Security != DnsSecurity.Secure)
            return Failed(zone.Security, zone.Why, message.Rcode);
        var (signature, ttl, proof) = Verify(set, signatures, zone, budget);
        var step = new SignedStep(
            owner,
            alias,
            proof.Period.From,
            proof.Period.From,
            signature.Labels < LabelsOf(owner)
        );
        var signed = new Link
        {
            Security = DnsSecurity.Secure,
            Outcome = DnsOutcome.Answer,
            Data = rdata,
            Alias = alias,
            Signer = zone.Name,
            Ttl = ttl,
            Rcode = message.Rcode,
            Why = $"signed by {zone.Name}",
            Proof = proof,
            Step = step,
        };
        if (step.Wildcard)
        {
            if (covered == RecordType.DNAME)
                throw new BogusException("a DNAME made from a wildcard"); // RFC 6672 3.3
            var (nsecs, nsec3s, denialTtl, _) = VerifiedDenial(message.Authority, zone, budget);
            if (
                !Denial.ProveNoCloser(
                    owner,
                    owner.Suffix(signature.Labels),
                    zone.Name,
                    nsecs,
                    nsec3s,
                    budget,
                    out var optOut
                )
            )
                throw new BogusException(
                    $"the answer is made from a wildcard without proof that {owner} itself does not exist"
                );
            return signed with
            {
                Security = optOut ? DnsSecurity.Insecure : DnsSecurity.Secure,
                Ttl = Shorter(ttl, denialTtl),
                Why = $"{signed.Why}, from a wildcard",
            };
        }
        return signed;
    }

    private async Task<Link> JudgeNegativeAsync(
        DnsMessage message,
        DomainName name,
        ushort type,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var signatures = message
            .Authority.Where(r => r.Type == RecordType.RRSIG)
            .Select(r => RrSignature.Read(r.Rdata))
            .OfType<RrSignature>()
            .Where(s => s.TypeCovered is RecordType.NSEC or RecordType.NSEC3)
            .ToList();
        var zone = await SigningZoneAsync(name, type == RecordType.DS, signatures, budget, cancel);
        var claimed = message.Rcode == 3 ? DnsOutcome.NxDomain : DnsOutcome.NoData;
        if (zone.Security == DnsSecurity.Insecure)
            return new()
            {
                Security = zone.Security,
                Outcome = claimed,
                Ttl = Shorter(NegativeTtl(message.Authority), zone.Ttl),
                Rcode = message.Rcode,
                Why = zone.Why,
                IsEmpty = message.Answer.Count == 0 && message.Authority.Count == 0,
            };
        if (zone.Security != DnsSecurity.Secure)
            return Failed(zone.Security, zone.Why, message.Rcode);
        var (nsecs, nsec3s, ttl, signed) = VerifiedDenial(message.Authority, zone, budget);
        var proof = Denial.Prove(name, type, zone.Name, nsecs, nsec3s, budget);
        var what = proof.Outcome == DnsOutcome.NxDomain ? "the name does not exist" : "the name has no such record";
        return new()
        {
            Security = proof.OptOut ? DnsSecurity.Insecure : DnsSecurity.Secure,
            Outcome = proof.Outcome,
            Signer = zone.Name,
            Delegation = proof.Delegation,
            Ttl = Shorter(ttl, NegativeTtl(message.Authority)),
            Rcode = message.Rcode,
            Why = proof.OptOut
                ? $"{zone.Name} uses opt-out there, an unsigned delegation may exist"
                : $"{zone.Name} proves that {what}",
            Proof = signed,
            Step = new SignedStep(
                name,
                null,
                proof.Signed,
                nsecs.Select(n => n.Signed).Concat(nsec3s.Select(n => n.Signed)).Min(),
                false
            ),
        };
    }

    /// <summary>
    /// The zone whose keys must have signed: the signer the RRSIGs name, when it really is a zone at or above the owner; without any
    /// RRSIG, the zone the name is in, which must then be insecure (RFC 4035 5.3.1, RFC 6840 5.10).
    /// </summary>
    private async Task<Zone> SigningZoneAsync(
        DomainName owner,
        bool isDs,
        List<RrSignature> signatures,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        if (signatures.Count == 0)
        {
            var (holder, _) = await ZoneAsync(isDs ? owner.Parent : owner, budget, cancel);
            return holder.Security == DnsSecurity.Secure
                ? throw new BogusException($"{holder.Name} is signed, but the answer has no signature")
                : holder;
        }
        var signer = signatures[0].Signer;
        if (signatures.Exists(s => s.Signer != signer))
            throw new BogusException("the signatures name different signers");
        if (!owner.IsWithin(signer) || (isDs && !owner.IsBelow(signer)))
            throw new BogusException($"the signer {signer} is not a zone above {owner}");
        var (zone, _) = await ZoneAsync(signer, budget, cancel);
        if (zone.Security == DnsSecurity.Secure)
            return zone.Name == signer ? zone : throw new BogusException($"the signer {signer} is not a zone");
        // Whoever signs junk may name any zone above: an unsigned one must not make a signed zone below it insecure (islands of trust).
        var (own, _) = await ZoneAsync(isDs ? owner.Parent : owner, budget, cancel);
        return own.Security == DnsSecurity.Secure
            ? throw new BogusException($"{own.Name} is signed, but the signature is by {signer}, which is not")
            : own;
    }

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
                        : $"the signature by {zone.Name} is not valid before {DateTimeOffset.FromUnixTimeSeconds(signature.Inception):u} (is this machine's clock right?)";
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
                    return (
                        signature,
                        Shorter(
                            Shorter(MinTtl(set), Seconds(signature.OriginalTtl)),
                            Seconds(signature.Expiration - now)
                        ),
                        new Proof(PeriodOf(signature), Seconds(signature.OriginalTtl))
                    );
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

    private static DomainName TargetOf(DnsRecord alias) => new WireReader(alias.Rdata).Name();

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
