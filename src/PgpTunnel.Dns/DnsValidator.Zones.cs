namespace PgpTunnel.Dns;

public sealed partial class DnsValidator
{
    /// <summary>A zone and the keys that may sign for it, or the reason why there are none.</summary>
    private sealed record Zone(DomainName Name, DnsSecurity Security, IReadOnlyList<DnsKey> Keys, TimeSpan Ttl, string Why)
    {
        public Proof? Proof { get; init; }
    }

    /// <summary>
    /// The zone that holds <paramref name="name"/>: label by label down from the anchor, each step a DS answer or its proved absence
    /// (RFC 4035 5.2). Insecure, once proved, holds for everything below; a failure is never taken for it.
    /// </summary>
    private async Task<(Zone Zone, TimeSpan Left)> ZoneAsync(DomainName name, WorkBudget budget, CancellationToken cancel, bool fresh = false)
    {
        if (!fresh && _zones.Get(name, 0) is { } cached)
            return cached;
        Zone zone;
        try
        {
            zone = anchors.For(name) is { } anchor ? await AnchoredAsync(name, anchor, budget, cancel)
                : name.IsRoot ? new Zone(name, DnsSecurity.Indeterminate, [], LongestTtl, "no trust anchor covers the name")
                : await BelowAsync(name, budget, fresh, cancel);
        }
        catch (BogusException e)
        {
            zone = Broken(name, DnsSecurity.Bogus, e.Message);
        }
        if (!(fresh && zone.Security > DnsSecurity.Insecure && _zones.Get(name, 0) is { Value.Security: <= DnsSecurity.Insecure }))
            _zones.Put(name, 0, zone, zone.Ttl);
        return (zone, zone.Ttl);
    }

    private static Zone Broken(DomainName name, DnsSecurity security, string why) => new(name, security, [], FailureTtl, why);

    private async Task<Zone> BelowAsync(DomainName name, WorkBudget budget, bool fresh, CancellationToken cancel)
    {
        var (parent, parentLeft) = await ZoneAsync(name.Parent, budget, cancel, fresh);
        if (parent.Security != DnsSecurity.Secure)
            return parent with { Ttl = parentLeft };
        var (ds, left) = await LinkAsync(name, RecordType.DS, budget, cancel, fresh);
        var ttl = Shorter(left, parentLeft);
        return ds switch
        {
            { Security: DnsSecurity.Insecure } => new(name, DnsSecurity.Insecure, [], ttl, $"{name} may be an unsigned delegation: {ds.Why}"),
            { Security: not DnsSecurity.Secure } => Broken(name, ds.Security, ds.Why) with { Ttl = ttl },
            // A name that is an alias is no zone cut (RFC 1034 3.6.2).
            { Alias: not null } => parent with { Ttl = ttl },
            { Signer: var signer } when signer != parent.Name => throw new BogusException($"the DS of {name} is signed by {signer}, not by its parent {parent.Name}"),
            { Outcome: DnsOutcome.Answer } => await DelegatedAsync(name, ds, ttl, budget, cancel),
            { Delegation: true } => new(name, DnsSecurity.Insecure, [], ttl, $"{parent.Name} proves that {name} is delegated without DS: unsigned"),
            _ => parent with { Ttl = ttl },
        };
    }

    private async Task<Zone> DelegatedAsync(DomainName name, Link ds, TimeSpan dsTtl, WorkBudget budget, CancellationToken cancel)
    {
        var signers = ds.Data.Select(DelegationSigner.Read).OfType<DelegationSigner>().Where(d => d.Supported).ToList();
        if (signers.Count == 0) // RFC 4035 5.2, RFC 6840 5.2
            return new(name, DnsSecurity.Insecure, [], dsTtl, $"{name} is signed only with algorithms or digests that are not supported");
        var (keys, ttl, proof, why) = await KeysAsync(name, key => signers.Exists(s => s.Matches(name, key)), "no DNSKEY matches the DS of", budget, cancel);
        return why is null ? new(name, DnsSecurity.Secure, keys, Shorter(ttl, dsTtl), $"signed zone {name}") { Proof = Proof.Weaker(ds.Proof, proof) } : Broken(name, DnsSecurity.Indeterminate, why);
    }

    private async Task<Zone> AnchoredAsync(DomainName name, TrustAnchors.Anchor anchor, WorkBudget budget, CancellationToken cancel)
    {
        var (keys, ttl, proof, why) = await KeysAsync(name, key => anchor.Signers.Exists(s => s.Supported && s.Matches(name, key)) || anchor.Keys.Exists(k => k.AsSpan().SequenceEqual(key.Rdata)),
            "no DNSKEY matches the trust anchor (is dns.trustAnchors the right file?) of", budget, cancel);
        return why is null ? new(name, DnsSecurity.Secure, keys, ttl, $"trust anchor {name}") { Proof = proof } : Broken(name, DnsSecurity.Indeterminate, why);
    }

    /// <summary>The DNSKEY RRset of a zone, signed by one of its keys that <paramref name="entry"/> vouches for.</summary>
    private async Task<(IReadOnlyList<DnsKey> Keys, TimeSpan Ttl, Proof? Proof, string? Why)> KeysAsync(DomainName name, Func<DnsKey, bool> entry, string mismatch, WorkBudget budget, CancellationToken cancel)
    {
        budget.Query();
        DnsMessage message;
        try
        {
            message = await exchange.AskAsync(name, RecordType.DNSKEY, cancel);
        }
        catch (DnsUnavailableException e)
        {
            return ([], FailureTtl, null, e.Message);
        }
        if (message.Rcode != 0)
            return ([], FailureTtl, null, $"{name} DNSKEY: the resolver answers {RcodeName(message.Rcode)}");
        var set = RrSet(message.Answer, name, RecordType.DNSKEY);
        var signatures = Signatures(message.Answer, name, RecordType.DNSKEY);
        if (set.Count > 0 && signatures.Count == 0 && name.IsRoot)
            return ([], FailureTtl, null, $"the resolver {string.Join(", ", exchange.Resolvers)} strips DNSSEC signatures; set dns.resolvers to one that passes them on (unbound, BIND, Knot Resolver)");
        if (set.Count == 0)
            throw new BogusException($"{name} has a DS but no DNSKEY");
        var keys = set.Select(r => DnsKey.Read(r.Rdata)).OfType<DnsKey>().Where(k => k.MaySignZone && SignatureCheck.IsSupported(k.Algorithm)).ToList();
        var entries = keys.Where(entry).ToList();
        if (entries.Count == 0)
            throw new BogusException($"{mismatch} {name}");
        var (_, ttl, proof) = Verify(set, signatures, new Zone(name, DnsSecurity.Secure, entries, LongestTtl, ""), budget);
        return (keys, ttl, proof, null);
    }
}
