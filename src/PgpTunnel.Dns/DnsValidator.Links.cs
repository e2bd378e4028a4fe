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
        {
            budget.Keep(new(set, null, null));
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
        }
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
            var denied =
                Denial.ProveNoCloser(
                    owner,
                    owner.Suffix(signature.Labels),
                    zone.Name,
                    nsecs,
                    nsec3s,
                    budget,
                    out var optOut
                )
                ?? throw new BogusException(
                    $"the answer is made from a wildcard without proof that {owner} itself does not exist"
                );
            return signed with
            {
                Step = step with { NameDenied = denied },
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

    private static DomainName TargetOf(DnsRecord alias) => new WireReader(alias.Rdata).Name();
}
