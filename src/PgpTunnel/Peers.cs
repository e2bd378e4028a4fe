using System.Collections.Concurrent;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What is known of a domain's gateway now.</summary>
/// <param name="Keys">Usable keys in the domain's order of preference; none unless the class is Usable.</param>
/// <param name="Signers">What verifies the domain's parcels: its usable keys, and expired ones for what they signed before.</param>
/// <param name="Listed">Fingerprints the policy lists, usable or not.</param>
/// <param name="Distrusted">Fingerprints the policy distrusts (<c>xfp</c>).</param>
/// <param name="Until">Until when this may be used.</param>
/// <param name="Why">One sentence for people.</param>
public sealed record PeerState(string Domain, PeerClass Class, DnsSecurity Security, PolicyMode? Mode, IReadOnlyList<PeerKey> Keys, IReadOnlyList<SignerKey> Signers, IReadOnlyList<string> Listed,
    IReadOnlyList<string> Distrusted, string Gateway, long? Size, bool Trusted, bool TrustedOffered, bool Remembered, DateTimeOffset Until, string Why)
{
    public PolicyFacts Facts => new(Class, Mode ?? PolicyMode.Enforce, Remembered, Trusted, TrustedOffered, Security == DnsSecurity.Bogus, Outdated);

    /// <summary>It denies what was seen to be signed no earlier: it may be an old answer, played back.</summary>
    public bool Outdated { get; init; }

    /// <summary>What to remember of it; null = nothing.</summary>
    internal PolicyToRemember? ToRemember { get; init; }

    /// <summary>The key to seal for. Only what was judged usable is here.</summary>
    public PeerKey Preferred => Keys[0];
}

/// <summary>A policy that is written to memory once, when the first who may asks for it.</summary>
internal sealed class PolicyToRemember(PolicyRecord policy, PolicySigning signing)
{
    public PolicyRecord Policy => policy;

    public PolicySigning Signing => signing;

    /// <summary>1 once it has been written.</summary>
    public int Written;
}

/// <summary>
/// Finds the gateway of a domain: zone security first, then the policy, then the certificates (PROTOCOL.md 2, 3). Every answer
/// carries its DNSSEC state, judged before anything in it is read.
/// </summary>
internal sealed class Peers(Func<DnsValidator> validators, PeerMemory memory, Func<string, Partner?> partners, TimeProvider time)
{
    private const int MaxRecords = 8, MaxFallback = 16 * 1024, MaxCached = 10_000, LongestDomain = 253 - 31; // with _pgptunnel and the default gateway's labels in front
    private static readonly TimeSpan ShortestUse = TimeSpan.FromSeconds(1), OutdatedUse = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, (PeerState State, DateTimeOffset Made)> _cache = new();
    private volatile string _version = "";
    private int _generation;

    /// <summary>The state of a domain (A-label form), from memory while its TTL runs.</summary>
    /// <param name="fresh">Ask the resolvers again.</param>
    public async Task<PeerState> FindAsync(string domain, bool fresh, CancellationToken cancel)
    {
        var state = await AskAsync(domain, fresh, cancel);
        await RememberAsync(state);
        return state;
    }

    /// <summary>Writes down what a usable answer says, once.</summary>
    public async Task RememberAsync(PeerState state)
    {
        if (state.ToRemember is { } policy && Interlocked.Exchange(ref policy.Written, 1) == 0)
            await memory.UsableAsync(memory.Recall(state.Domain), policy.Policy, policy.Signing);
    }

    /// <summary>As <see cref="FindAsync"/>, but a usable answer is not remembered: of domains that a stranger names, until a parcel shows that it is theirs.</summary>
    public async Task<PeerState> AskAsync(string domain, bool fresh, CancellationToken cancel)
    {
        if (memory.Version is var version && version != _version)
        {
            _version = version; // an administrator has changed what is remembered
            Clear();
        }
        if (!fresh && _cache.TryGetValue(domain, out var cached) && cached.Made <= time.GetUtcNow() && cached.State.Until > time.GetUtcNow())
            return cached.State;
        var generation = _generation;
        var state = await LookUpAsync(domain, fresh, cancel);
        if (_cache.Count >= MaxCached)
            _cache.Clear();
        if (generation == _generation) // not what was looked up under a configuration that is gone
            _cache[domain] = (state, time.GetUtcNow());
        return state;
    }

    /// <summary>True when an administrator has verified a fingerprint of the domain.</summary>
    public bool IsVerified(string domain) => memory.Recall(domain).Verified.Count > 0;

    /// <summary>Forgets what was looked up, when the configuration has changed.</summary>
    public void Clear()
    {
        Interlocked.Increment(ref _generation);
        _cache.Clear();
    }

    private async Task<PeerState> LookUpAsync(string domain, bool fresh, CancellationToken cancel)
    {
        var partner = partners(domain);
        var record = memory.Recall(domain);
        var lookup = new Lookup(domain, record, memory.RemembersEnforce(record), partner?.Fingerprints ?? []);
        if (partner?.Certificate is { } certificate)
            return FromFile(lookup, certificate, partner.Gateway);
        if (!DomainName.TryParse(domain, out var name) || domain.Length > LongestDomain)
            return State(lookup, PeerClass.None, DnsSecurity.Indeterminate, null, TimeSpan.FromDays(1), "no policy record can stand at a name this long");
        var validator = validators();
        var zone = await validator.SettleAsync(name, cancel, fresh);
        if (zone.Security == DnsSecurity.Insecure && partner is null && !lookup.Trusted)
            return State(lookup, PeerClass.Insecure, zone.Security, null, zone.Ttl, zone.Why);
        if (zone.Security is DnsSecurity.Bogus or DnsSecurity.Indeterminate)
            return State(lookup, PeerClass.Temporary, zone.Security, null, zone.Ttl, zone.Why);
        var answer = await validator.LookupAsync(name.Prepend(PolicyRecord.Label), RecordType.TXT, cancel, fresh);
        if (NotSecure(answer) is { } weak)
            return State(lookup, weak, answer.Security, null, answer.Ttl, answer.Why);
        PolicyRecord? policy;
        try
        {
            policy = PolicyRecord.Find(answer.Data, domain);
        }
        catch (PolicyRecordException e)
        {
            return State(lookup, PeerClass.Unusable, answer.Security, null, answer.Ttl, e.Message);
        }
        if (policy is null or { Mode: PolicyMode.None })
            return await DeniedAsync(lookup, policy, answer);
        return await FindKeysAsync(validator, lookup, policy, answer, fresh, cancel);
    }

    /// <summary>A secure denial, or <c>m=none</c>: counted against what is remembered, unless it is no younger than that.</summary>
    private async Task<PeerState> DeniedAsync(Lookup lookup, PolicyRecord? policy, DnsAnswer answer)
    {
        var (signing, why) = (new PolicySigning(answer.Steps), policy is null ? $"no policy: {answer.Why}" : "the policy says m=none");
        if (memory.IsOutdated(lookup.Record, signing))
            return State(lookup, PeerClass.None, answer.Security, policy, Shorter(answer.Ttl, OutdatedUse), $"{why}, but that was not signed after the policy that was seen here: an old answer is played back, or a name server lags behind") with { Outdated = true };
        var record = await memory.DeniedAsync(lookup.Record, signing);
        return State(lookup with { Remembered = memory.RemembersEnforce(record) }, PeerClass.None, answer.Security, policy, answer.Ttl, why);
    }

    /// <param name="Configured">Trusted fingerprints of the configuration.</param>
    private sealed record Lookup(string Domain, PeerRecord Record, bool Remembered, IReadOnlyList<string> Configured)
    {
        /// <summary>Configured and verified ones; where there are any, only they are candidates.</summary>
        public IReadOnlyList<string> TrustedFingerprints => [.. Configured, .. Record.Verified];

        public bool Trusted => TrustedFingerprints.Count > 0;

        /// <summary>The answer is older than one that was seen: nothing of it is remembered.</summary>
        public bool Lagging { get; init; }
    }

    private IEnumerable<string> Distrusted(PeerRecord record) => record.Distrusted.Where(d => d.Value > time.GetUtcNow()).Select(d => d.Key);

    private static PeerClass? NotSecure(DnsAnswer answer) => answer.Security switch
    {
        DnsSecurity.Secure => null,
        DnsSecurity.Insecure => PeerClass.Insecure,
        _ => PeerClass.Temporary,
    };

    private PeerState State(Lookup lookup, PeerClass @class, DnsSecurity security, PolicyRecord? policy, TimeSpan ttl, string why) =>
        new(lookup.Domain, @class, security, policy?.Mode, [], [], policy?.Fingerprints ?? [], [.. policy?.Distrusted ?? [], .. Distrusted(lookup.Record)], policy?.Gateway ?? "", policy?.Size, lookup.Trusted, false,
            lookup.Remembered, time.GetUtcNow() + (ttl > ShortestUse ? ttl : ShortestUse), why);

    /// <summary>The usable certificates among those the policy lists, in its order.</summary>
    private async Task<PeerState> FindKeysAsync(DnsValidator validator, Lookup lookup, PolicyRecord policy, DnsAnswer policyAnswer, bool fresh, CancellationToken cancel)
    {
        var answer = await validator.LookupAsync(PolicyRecord.CertificateName(policy.Gateway), RecordType.OPENPGPKEY, cancel, fresh);
        if (NotSecure(answer) is { } weak)
            return State(lookup, weak, answer.Security, policy, Shorter(policyAnswer.Ttl, answer.Ttl), $"the certificate: {answer.Why}");
        var ttl = Shorter(policyAnswer.Ttl, answer.Ttl);
        var published = answer.Data.Take(MaxRecords).Select(TryRead).OfType<Certificate>().ToList();
        var (keys, signers, reasons, certificates) = (new List<PeerKey>(), new List<SignerKey>(), new List<string>(), new List<Certificate>());
        foreach (var fingerprint in policy.Fingerprints)
        {
            if (policy.Distrusted.Contains(fingerprint) || Distrusted(lookup.Record).Contains(fingerprint))
            {
                reasons.Add($"{fingerprint} is distrusted (xfp)");
                continue;
            }
            var certificate = published.Find(c => c.Fingerprint == fingerprint);
            if (certificate is null)
            {
                var fallback = await validator.LookupAsync(PolicyRecord.FallbackName(fingerprint, policy.Gateway), RecordType.TXT, cancel, fresh);
                if (NotSecure(fallback) is { } worse)
                    return State(lookup, worse, fallback.Security, policy, Shorter(ttl, fallback.Ttl), $"the certificate {fingerprint}: {fallback.Why}");
                ttl = Shorter(ttl, fallback.Ttl);
                certificate = ReadFallback(fallback.Data) is { } read && read.Fingerprint == fingerprint ? read : null;
            }
            var judgement = certificate?.Judge(policy.Gateway, time.GetUtcNow()) ?? new Judgement(null, null, $"no certificate {fingerprint} is published");
            if (certificate is not null)
                certificates.Add(certificate);
            if (judgement.Signer is not null)
                signers.Add(judgement.Signer);
            if (judgement.Key is not null)
                keys.Add(judgement.Key);
            else
                reasons.Add(judgement.Refusal!);
        }
        var signing = new PolicySigning(policyAnswer.Steps);
        lookup = lookup with { Lagging = PeerMemory.IsOlder(lookup.Record, signing), Record = await memory.RevokedAsync(lookup.Record, await RevokedAsync(validator, lookup, policy, [.. published, .. certificates], fresh, cancel)) };
        var trustedNow = await SuccessorsAsync(lookup, policy, certificates);
        if (lookup.Trusted) // only these count, for whatever purpose
            signers.RemoveAll(s => !trustedNow.Contains(s.Fingerprint));
        if (keys.Count == 0)
            return State(lookup, PeerClass.Unusable, DnsSecurity.Secure, policy, ttl, string.Join("; ", reasons)) with { Signers = signers };
        var trusted = lookup.Trusted ? keys.Where(k => trustedNow.Contains(k.Fingerprint)).ToList() : keys;
        var state = State(lookup, PeerClass.Usable, DnsSecurity.Secure, policy, ttl, $"{policyAnswer.Why}; certificate {answer.Why}");
        // Where fingerprints are trusted, only those are candidates; without one of them nothing is (PROTOCOL.md 3).
        if (lookup.Trusted && trusted.Count == 0)
            state = state with { Why = $"{lookup.Domain} offers {string.Join(", ", keys.Select(k => k.Fingerprint))}, but only {string.Join(", ", lookup.TrustedFingerprints)} is trusted for it" };
        if (!lookup.Trusted || trusted.Count > 0)
            state = state with { ToRemember = new PolicyToRemember(policy, signing) };
        return state with { Keys = trusted.Count > 0 ? trusted : keys, Signers = signers, TrustedOffered = lookup.Trusted && trusted.Count > 0, Remembered = lookup.Remembered || policy.Mode == PolicyMode.Enforce };
    }

    /// <summary>
    /// Listed or distrusted keys that have revoked themselves for good. A distrusted one that was known here is asked for in the
    /// fallback too, since its revocation outlasts the record.
    /// </summary>
    private static async Task<IReadOnlyList<string>> RevokedAsync(DnsValidator validator, Lookup lookup, PolicyRecord policy, List<Certificate> published, bool fresh, CancellationToken cancel)
    {
        var found = published.ToList();
        foreach (var fingerprint in policy.Distrusted.Where(d => !published.Exists(c => c.Fingerprint == d) && Known(lookup, d) && !PeerMemory.IsForEver(lookup.Record, d)))
            if (await validator.LookupAsync(PolicyRecord.FallbackName(fingerprint, policy.Gateway), RecordType.TXT, cancel, fresh) is { Security: DnsSecurity.Secure } fallback && ReadFallback(fallback.Data) is { } certificate)
                found.Add(certificate);
        return [.. found.Where(c => c.IsHardRevoked && (policy.Fingerprints.Contains(c.Fingerprint) || policy.Distrusted.Contains(c.Fingerprint)) && Known(lookup, c.Fingerprint)).Select(c => c.Fingerprint).Distinct()];
    }

    /// <summary>A key that has been in use here, or was distrusted: only of these anything is kept for ever.</summary>
    private static bool Known(Lookup lookup, string fingerprint) =>
        lookup.Record.Fingerprints.Contains(fingerprint) || lookup.TrustedFingerprints.Contains(fingerprint) || lookup.Record.Distrusted.ContainsKey(fingerprint);

    /// <summary>
    /// Trusted fingerprints with those that a trusted key certifies as its successor, step by step; what is new is remembered as
    /// verified, since the former key will be gone one day. Certificates of trusted keys are kept, and count when they are no longer
    /// published: a rollover may have been missed.
    /// </summary>
    /// <param name="certificates">Those that are listed and not distrusted.</param>
    private async Task<HashSet<string>> SuccessorsAsync(Lookup lookup, PolicyRecord policy, List<Certificate> certificates)
    {
        var trusted = lookup.TrustedFingerprints.ToHashSet();
        if (!lookup.Trusted)
            return trusted;
        var kept = memory.Certificates(lookup.Domain).Select(TryRead).OfType<Certificate>().ToList();
        var distrusted = Distrusted(lookup.Record).Concat(policy.Distrusted).ToHashSet();
        var former = certificates.Concat(kept.Where(k => !certificates.Exists(c => c.Fingerprint == k.Fingerprint) && !distrusted.Contains(k.Fingerprint))).ToList();
        for (var found = true; found;)
        {
            var next = certificates.Find(c => !trusted.Contains(c.Fingerprint) && former.Exists(f => trusted.Contains(f.Fingerprint) && c.IsSuccessorOf(f, policy.Gateway)));
            var certifier = former.Find(f => next is not null && trusted.Contains(f.Fingerprint) && next.IsSuccessorOf(f, policy.Gateway));
            found = next is not null && trusted.Add(next.Fingerprint);
            if (found && !lookup.Lagging)
                await memory.SucceededAsync(lookup.Record, next!.Fingerprint, certifier!.Fingerprint);
        }
        foreach (var certificate in certificates.Where(c => !lookup.Lagging && trusted.Contains(c.Fingerprint) && !kept.Exists(k => k.Octets.AsSpan().SequenceEqual(c.Octets))))
            await memory.KeepCertificateAsync(lookup.Domain, certificate.Fingerprint, certificate.Octets);
        return trusted;
    }

    private PeerState FromFile(Lookup lookup, Certificate certificate, string? gateway)
    {
        gateway ??= $"{PolicyRecord.DefaultLocalPart}@{PolicyRecord.DefaultLocalPart}.{lookup.Domain}";
        var (key, signer, refusal) = certificate.Judge(gateway, time.GetUtcNow());
        var state = State(lookup, key is null ? PeerClass.Unusable : PeerClass.Usable, DnsSecurity.Indeterminate, null, TimeSpan.FromMinutes(5), refusal ?? "certificate from the configuration, no DNS needed");
        return state with { Keys = key is null ? [] : [key], Signers = signer is null ? [] : [signer], Listed = [certificate.Fingerprint], Gateway = gateway, Trusted = true, TrustedOffered = key is not null, Mode = PolicyMode.Enforce };
    }

    private static Certificate? TryRead(byte[] octets)
    {
        try
        {
            return Certificate.Read(octets);
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }

    /// <summary><c>v=PGPK1; p=&lt;base64 certificate&gt;</c>, one certificate a name.</summary>
    private static Certificate? ReadFallback(IReadOnlyList<byte[]> records)
    {
        var texts = records.Select(r => System.Text.Encoding.Latin1.GetString(PolicyRecord.Concatenate(r))).Where(t => t.StartsWith("v=PGPK1;", StringComparison.Ordinal)).ToList();
        if (texts.Count != 1 || texts[0].Length > MaxFallback * 4 / 3 + 64)
            return null;
        var fields = texts[0].Split(';').Select(f => f.Trim(' ', '\t')).Where(f => f.StartsWith("p=", StringComparison.Ordinal)).ToList();
        var buffer = new byte[texts[0].Length];
        return fields.Count == 1 && Convert.TryFromBase64String(fields[0][2..], buffer, out var length) && length <= MaxFallback ? TryRead(buffer[..length]) : null;
    }

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
