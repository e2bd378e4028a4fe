namespace PgpTunnel.Dns;

public sealed partial class DnsValidator
{
    /// <summary>A zone and the keys that may sign for it, or the reason why there are none.</summary>
    internal sealed record Zone(
        DomainName Name,
        DnsSecurity Security,
        IReadOnlyList<DnsKey> Keys,
        TimeSpan Ttl,
        string Why
    )
    {
        public Proof? Proof { get; init; }

        /// <summary>About the octets it holds; a key is there a second time as the platform has it.</summary>
        public long Weight => 512 + Keys.Sum(k => 2L * k.Rdata.Length + 512) + 2 * Why.Length;
    }

    /// <summary>
    /// The zone that holds <paramref name="name"/>: label by label down from the anchor, each step a DS answer or its proved absence
    /// (RFC 4035 5.2). Insecure, once proved, holds for everything below; a failure is never taken for it.
    /// </summary>
    private async Task<(Zone Zone, TimeSpan Left)> ZoneAsync(
        DomainName name,
        WorkBudget budget,
        CancellationToken cancel,
        bool fresh = false
    )
    {
        if (budget.Zones.TryGetValue(name, out var known))
            return (known, known.Ttl);
        if (!fresh && _zones.Get(name, budget.Asker) is { } cached)
            return cached;
        Zone zone;
        try
        {
            zone =
                anchors.For(name) is { } anchor ? await AnchoredAsync(name, anchor, budget, cancel)
                : name.IsRoot
                    ? new Zone(name, DnsSecurity.Indeterminate, [], LongestTtl, "no trust anchor covers the name")
                : await BelowAsync(name, budget, fresh, cancel);
        }
        catch (BogusException e)
        {
            zone = Broken(name, DnsSecurity.Bogus, e.Message);
        }
        budget.Zones[name] = zone;
        var failed = zone.Security > DnsSecurity.Insecure;
        _zones.Put(name, zone, zone.Ttl, budget.Asker, old => failed && old.Security <= DnsSecurity.Insecure);
        return (zone, zone.Ttl);
    }

    private static Zone Broken(DomainName name, DnsSecurity security, string why) =>
        new(name, security, [], FailureTtl, why);

    private async Task<Zone> BelowAsync(DomainName name, WorkBudget budget, bool fresh, CancellationToken cancel)
    {
        var (parent, parentLeft) = await ZoneAsync(name.Parent, budget, cancel, fresh);
        if (parent.Security != DnsSecurity.Secure)
            return parent with { Ttl = parentLeft };
        var (ds, left) = await LinkAsync(name, RecordType.DS, budget, cancel, fresh);
        var ttl = Shorter(left, parentLeft);
        return ds switch
        {
            { Security: DnsSecurity.Insecure } => new(
                name,
                DnsSecurity.Insecure,
                [],
                ttl,
                $"{name} may be an unsigned delegation: {ds.Why}"
            ),
            { Security: not DnsSecurity.Secure } => Broken(name, ds.Security, ds.Why) with { Ttl = ttl },
            // A name that is an alias is no zone cut (RFC 1034 3.6.2).
            { Alias: not null } => parent with { Ttl = ttl },
            { Signer: var signer } when signer != parent.Name => throw new BogusException(
                $"the DS of {name} is signed by {signer}, not by its parent {parent.Name}"
            ),
            { Outcome: DnsOutcome.Answer } => await DelegatedAsync(name, ds, ttl, budget, cancel),
            { Delegation: true } => new(
                name,
                DnsSecurity.Insecure,
                [],
                ttl,
                $"{parent.Name} proves that {name} is delegated without DS: unsigned"
            ),
            _ => parent with { Ttl = ttl },
        };
    }

    private async Task<Zone> DelegatedAsync(
        DomainName name,
        Link ds,
        TimeSpan dsTtl,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var signers = ds.Data.Select(DelegationSigner.Read).OfType<DelegationSigner>().Where(d => d.Supported).ToList();
        if (signers.Exists(s => s.DigestType != 1))
            signers.RemoveAll(s => s.DigestType == 1); // RFC 4509 3
        if (signers.Count == 0) // RFC 4035 5.2, RFC 6840 5.2
            return new(
                name,
                DnsSecurity.Insecure,
                [],
                dsTtl,
                $"{name} is signed only with algorithms or digests that are not supported"
            );
        try
        {
            var (keys, ttl, proof) = await JudgedAsync(
                name,
                RecordType.DNSKEY,
                budget,
                message =>
                {
                    var set = KeySet(message, name);
                    return Task.FromResult(
                        Entered(
                            name,
                            set,
                            Matching(name, set.Keys, signers, budget),
                            "no DNSKEY matches the DS of",
                            budget
                        )
                    );
                },
                _ => false,
                cancel
            );
            return new(name, DnsSecurity.Secure, keys, Shorter(ttl, dsTtl), $"signed zone {name}")
            {
                Proof = Proof.Weaker(ds.Proof, proof),
            };
        }
        catch (DnsUnavailableException e)
        {
            return Broken(name, DnsSecurity.Indeterminate, $"{name} DNSKEY: {e.Message}");
        }
    }

    private async Task<Zone> AnchoredAsync(
        DomainName name,
        TrustAnchors.Anchor anchor,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        try
        {
            var (keys, ttl, proof) = await JudgedAsync(
                name,
                RecordType.DNSKEY,
                budget,
                message =>
                {
                    var set = KeySet(message, name);
                    // That a zone with an anchor is signed is certain.
                    if (set.Records.Count > 0 && set.Signatures.Count == 0)
                        throw new UnfitException(
                            "strips DNSSEC signatures; set dns.resolvers to one that passes them on (unbound, BIND, Knot Resolver)"
                        );
                    var entries = Matching(name, set.Keys, anchor.Signers.FindAll(s => s.Supported), budget)
                        .Union(set.Keys.Where(k => anchor.Keys.Exists(a => a.AsSpan().SequenceEqual(k.Rdata))))
                        .ToList();
                    return Task.FromResult(
                        Entered(
                            name,
                            set,
                            entries,
                            "no DNSKEY matches the trust anchor (is dns.trustAnchors the right file?) of",
                            budget
                        )
                    );
                },
                _ => false,
                cancel
            );
            return new(name, DnsSecurity.Secure, keys, ttl, $"trust anchor {name}") { Proof = proof };
        }
        catch (DnsUnavailableException e)
        {
            return Broken(name, DnsSecurity.Indeterminate, $"{name} DNSKEY: {e.Message}");
        }
    }

    /// <summary>The DNSKEY records of an answer, and those of them that may sign for the zone.</summary>
    private readonly record struct ZoneKeys(List<DnsRecord> Records, List<RrSignature> Signatures, List<DnsKey> Keys);

    /// <summary>The keys of a zone, proved.</summary>
    private sealed record KeySetProof(IReadOnlyList<DnsKey> Keys, TimeSpan Ttl, Proof Proof);

    private static ZoneKeys KeySet(DnsMessage message, DomainName name)
    {
        var set = RrSet(message.Answer, name, RecordType.DNSKEY);
        var keys = set.Select(r => DnsKey.Read(r.Rdata))
            .OfType<DnsKey>()
            .Where(k => k.MaySignZone && SignatureCheck.IsSupported(k.Algorithm))
            .GroupBy(k => (k.Tag, k.Algorithm))
            .SelectMany(g => g.Take(WorkBudget.KeysPerTag))
            .ToList();
        return new(set, Signatures(message.Answer, name, RecordType.DNSKEY), keys);
    }

    /// <summary>
    /// Keys that a DS vouches for. Each digest is paid for: a thousand DS and a thousand keys of one tag are a million pairs.
    /// </summary>
    private static List<DnsKey> Matching(
        DomainName name,
        List<DnsKey> keys,
        List<DelegationSigner> signers,
        WorkBudget budget
    )
    {
        var byTag = signers.ToLookup(s => (s.Tag, s.Algorithm));
        return keys.FindAll(key =>
            byTag[(key.Tag, key.Algorithm)]
                .Any(signer =>
                {
                    budget.Digest();
                    return signer.Matches(name, key);
                })
        );
    }

    /// <summary>The keys of a zone, when one of them that <paramref name="entries"/> names has signed them all.</summary>
    private KeySetProof Entered(DomainName name, ZoneKeys set, List<DnsKey> entries, string mismatch, WorkBudget budget)
    {
        if (set.Records.Count == 0)
            throw new BogusException($"{name} has a DS but no DNSKEY");
        if (entries.Count == 0)
            throw new BogusException($"{mismatch} {name}");
        var (_, ttl, proof) = Verify(
            set.Records,
            set.Signatures,
            new Zone(name, DnsSecurity.Secure, entries, LongestTtl, ""),
            budget
        );
        return new(set.Keys, ttl, proof);
    }
}
