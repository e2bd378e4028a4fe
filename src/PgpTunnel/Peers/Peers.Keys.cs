using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>The certificates of a domain: which of those its policy lists are usable, and which are trusted.</summary>
internal sealed partial class Peers
{
    /// <summary>Fingerprints of a policy, and look-ups for certificates that do not stand with the others: more are not looked at.</summary>
    private const int MaxRecords = 8,
        MaxListed = 8,
        MaxFallbacks = 4,
        MaxFallbackOctets = 16 * 1024;
    private static readonly TimeSpan CertificateUse = TimeSpan.FromDays(1);

    /// <summary>The usable certificates among those the policy lists, in its order.</summary>
    private async Task<PeerState> FindKeysAsync(
        DnsValidator validator,
        Lookup lookup,
        PolicyRecord policy,
        DnsAnswer policyAnswer,
        CancellationToken cancel
    )
    {
        var answer = await validator.LookupAsync(
            PolicyRecord.CertificateName(policy.Gateway),
            RecordType.OPENPGPKEY,
            cancel,
            lookup.Fresh,
            lookup.Budget
        );
        if (NotGood(lookup, answer) is { } weak)
            return State(
                lookup,
                weak,
                answer.Security,
                policy,
                Shorter(policyAnswer.Ttl, answer.Ttl),
                $"the certificate: {answer.Why}"
            );
        var found = new Found([.. answer.Data.Take(MaxRecords).Select(TryRead).OfType<Certificate>()])
        {
            Security = Weaker(policyAnswer.Security, answer.Security),
            Ttl = Shorter(policyAnswer.Ttl, answer.Ttl),
        };
        foreach (var fingerprint in policy.Fingerprints.Take(MaxListed))
        {
            if (
                (found.Security == DnsSecurity.Secure && policy.Distrusted.Contains(fingerprint))
                || Distrusted(lookup.Record).Contains(fingerprint)
            )
                found.Reasons.Add($"{fingerprint} is distrusted (xfp)");
            else if (await AddAsync(validator, lookup, policy, fingerprint, found, cancel) is { } failed)
                return failed;
        }
        var signed = found.Security == DnsSecurity.Secure;
        lookup = lookup with
        {
            WritesNothing = !signed || PeerMemory.IsOlder(lookup.Record, new PolicySigning(policyAnswer.Steps)),
        };
        if (signed)
            lookup = lookup with
            {
                Record = await memory.RevokedAsync(
                    lookup.Record,
                    await RevokedAsync(validator, lookup, policy, found, cancel)
                ),
            };
        return await ChooseAsync(lookup, signed ? policy : Unsigned(policy), policyAnswer, answer, found);
    }

    /// <summary>What the certificates of one policy have come to.</summary>
    /// <param name="Published">Those of the OPENPGPKEY answer.</param>
    private sealed record Found(IReadOnlyList<Certificate> Published)
    {
        public List<PeerKey> Keys { get; } = [];
        public List<SignerKey> Signers { get; } = [];
        public List<string> Reasons { get; } = [];

        /// <summary>Those that are listed and not distrusted.</summary>
        public List<Certificate> Certificates { get; } = [];

        public DnsSecurity Security { get; set; }

        public TimeSpan Ttl { get; set; }

        public int Fallbacks { get; set; }
    }

    /// <summary>Of a record that anybody may have written only this is read: where the gateway is, and which keys it says it has.</summary>
    private static PolicyRecord Unsigned(PolicyRecord policy) =>
        policy with
        {
            Mode = PolicyMode.Enforce,
            Distrusted = [],
            Size = null,
            MaxAge = TimeSpan.Zero,
        };

    private static DnsSecurity Weaker(DnsSecurity a, DnsSecurity b) => a > b ? a : b;

    /// <summary>Finds and judges one listed certificate.</summary>
    /// <returns>The state of the domain when the look-up failed.</returns>
    private async Task<PeerState?> AddAsync(
        DnsValidator validator,
        Lookup lookup,
        PolicyRecord policy,
        string fingerprint,
        Found found,
        CancellationToken cancel
    )
    {
        var certificate = found.Published.FirstOrDefault(c => c.Fingerprint == fingerprint);
        if (certificate is null && found.Fallbacks++ < MaxFallbacks)
        {
            var fallback = await validator.LookupAsync(
                PolicyRecord.FallbackName(fingerprint, policy.Gateway),
                RecordType.TXT,
                cancel,
                lookup.Fresh,
                lookup.Budget
            );
            if (NotGood(lookup, fallback) is { } worse)
                return State(
                    lookup,
                    worse,
                    fallback.Security,
                    policy,
                    Shorter(found.Ttl, fallback.Ttl),
                    $"the certificate {fingerprint}: {fallback.Why}"
                );
            (found.Ttl, found.Security) = (Shorter(found.Ttl, fallback.Ttl), Weaker(found.Security, fallback.Security));
            certificate = ReadFallback(fallback.Data) is { } read && read.Fingerprint == fingerprint ? read : null;
        }
        var judgement =
            certificate?.Judge(policy.Gateway, time.GetUtcNow())
            ?? new Judgement(null, null, $"no certificate {fingerprint} is published");
        if (certificate is not null)
            found.Certificates.Add(certificate);
        if (judgement.Signer is not null)
            found.Signers.Add(judgement.Signer);
        if (judgement.Key is not null)
            found.Keys.Add(judgement.Key);
        else
            found.Reasons.Add(judgement.Refusal!);
        return null;
    }

    private async Task<PeerState> ChooseAsync(
        Lookup lookup,
        PolicyRecord policy,
        DnsAnswer policyAnswer,
        DnsAnswer answer,
        Found found
    )
    {
        var trustedNow = await SuccessorsAsync(lookup, policy, found.Certificates);
        var (keys, signers) = (found.Keys, found.Signers);
        if (lookup.Trusted) // only these count, for whatever purpose
            signers.RemoveAll(s => !trustedNow.Contains(s.Fingerprint));
        if (keys.Count == 0)
            return State(
                lookup,
                PeerClass.Unusable,
                found.Security,
                policy,
                found.Ttl,
                string.Join("; ", found.Reasons)
            ) with
            {
                Signers = signers,
            };
        var trusted = lookup.Trusted ? keys.Where(k => trustedNow.Contains(k.Fingerprint)).ToList() : keys;
        // Where fingerprints are trusted, only those are candidates; without one of them nothing is (PROTOCOL.md 3).
        var offered = !lookup.Trusted || trusted.Count > 0;
        var why = offered
            ? $"{policyAnswer.Why}; certificate {answer.Why}"
            : $"{lookup.Domain} offers {string.Join(", ", keys.Select(k => k.Fingerprint))}, but only {string.Join(", ", lookup.TrustedFingerprints)} is trusted for it";
        if (found.Security == DnsSecurity.Insecure)
            return State(
                lookup,
                offered ? PeerClass.Usable : PeerClass.Insecure,
                found.Security,
                policy,
                found.Ttl,
                offered ? $"the DNS is not signed, but offers the key that is trusted by its fingerprint: {why}" : why
            ) with
            {
                Keys = offered ? trusted : [],
                Signers = signers,
                TrustedOffered = offered,
                Mode = null,
            };
        return State(lookup, PeerClass.Usable, DnsSecurity.Secure, policy, found.Ttl, why) with
        {
            ToRemember = offered ? new PolicyToRemember(policy, new PolicySigning(policyAnswer.Steps)) : null,
            Keys = trusted.Count > 0 ? trusted : keys,
            Signers = signers,
            TrustedOffered = lookup.Trusted && trusted.Count > 0,
            Remembered = lookup.Remembered || policy.Mode == PolicyMode.Enforce,
        };
    }

    /// <summary>
    /// Listed or distrusted keys that have revoked themselves for good. A distrusted one that was known here is asked for in the
    /// fallback too, since its revocation outlasts the record.
    /// </summary>
    private async Task<IReadOnlyList<string>> RevokedAsync(
        DnsValidator validator,
        Lookup lookup,
        PolicyRecord policy,
        Found found,
        CancellationToken cancel
    )
    {
        var certificates = found.Published.Concat(found.Certificates).ToList();
        foreach (
            var fingerprint in policy
                .Distrusted.Where(d =>
                    !found.Published.Any(c => c.Fingerprint == d)
                    && Known(lookup, d)
                    && !PeerMemory.IsForEver(lookup.Record, d)
                )
                .Take(MaxFallbacks)
        )
            if (
                await validator.LookupAsync(
                    PolicyRecord.FallbackName(fingerprint, policy.Gateway),
                    RecordType.TXT,
                    cancel,
                    lookup.Fresh,
                    lookup.Budget
                )
                    is { Security: DnsSecurity.Secure } fallback
                && ReadFallback(fallback.Data) is { } certificate
            )
                certificates.Add(certificate);
        return
        [
            .. certificates
                .Where(c =>
                    c.IsHardRevoked
                    && (policy.Fingerprints.Contains(c.Fingerprint) || policy.Distrusted.Contains(c.Fingerprint))
                    && Known(lookup, c.Fingerprint)
                )
                .Select(c => c.Fingerprint)
                .Distinct(),
        ];
    }

    /// <summary>A key that has been in use here, or was distrusted: only of these anything is kept for ever.</summary>
    private static bool Known(Lookup lookup, string fingerprint) =>
        lookup.Record.Fingerprints.Contains(fingerprint)
        || lookup.TrustedFingerprints.Contains(fingerprint)
        || lookup.Record.Distrusted.ContainsKey(fingerprint);

    /// <summary>A trusted key that may vouch for a successor, and until what time it may have done so.</summary>
    private readonly record struct Former(Certificate Certificate, DateTimeOffset Until);

    /// <summary>
    /// Trusted fingerprints with those that a trusted key certifies as its successor, step by step; what is new is remembered as
    /// verified, since the former key will be gone one day. Certificates of trusted keys are kept, and count for a while when they are no
    /// longer published: a rollover may have been missed.
    /// </summary>
    /// <param name="certificates">Those that are listed and not distrusted.</param>
    private async Task<HashSet<string>> SuccessorsAsync(
        Lookup lookup,
        PolicyRecord policy,
        List<Certificate> certificates
    )
    {
        var trusted = lookup.TrustedFingerprints.ToHashSet();
        if (!lookup.Trusted)
            return trusted;
        var kept = memory
            .Certificates(lookup.Domain)
            .Select(k => (Certificate: TryRead(k.Octets), k.Listed))
            .Where(k => k.Certificate is not null)
            .Select(k => (Certificate: k.Certificate!, k.Listed))
            .ToList();
        var distrusted = Distrusted(lookup.Record).Concat(policy.Distrusted).ToHashSet();
        var former = certificates
            .Select(c => new Former(c, DateTimeOffset.MaxValue))
            .Concat(
                kept.Where(k =>
                        !certificates.Exists(c => c.Fingerprint == k.Certificate.Fingerprint)
                        && !distrusted.Contains(k.Certificate.Fingerprint)
                        && memory.MayStillVouch(k.Listed)
                    )
                    .Select(k => new Former(k.Certificate, PeerMemory.VouchesUntil(k.Listed)))
            )
            .ToList();
        bool Vouches(Former f, Certificate c) =>
            trusted.Contains(f.Certificate.Fingerprint) && c.IsSuccessorOf(f.Certificate, policy.Gateway, f.Until);
        while (
            certificates.Find(c => !trusted.Contains(c.Fingerprint) && former.Exists(f => Vouches(f, c))) is { } next
        )
        {
            var certifier = former.Find(f => Vouches(f, next)).Certificate.Fingerprint;
            trusted.Add(next.Fingerprint);
            if (!lookup.WritesNothing)
                await memory.SucceededAsync(lookup.Record, next.Fingerprint, certifier);
        }
        foreach (var certificate in certificates.Where(c => !lookup.WritesNothing && trusted.Contains(c.Fingerprint)))
            if (
                kept.Find(k => k.Certificate.Octets.AsSpan().SequenceEqual(certificate.Octets))
                    is not { Certificate: not null } same
                || memory.IsNewsOf(same.Listed)
            )
                await memory.KeepCertificateAsync(lookup.Domain, certificate.Fingerprint, certificate.Octets);
        return trusted;
    }

    private PeerState FromFile(Lookup lookup, Certificate certificate, string? gateway)
    {
        gateway ??= PolicyRecord.DefaultMailbox(lookup.Domain);
        var (key, signer, refusal) = certificate.Judge(gateway, time.GetUtcNow());
        var state = State(
            lookup,
            key is null ? PeerClass.Unusable : PeerClass.Usable,
            DnsSecurity.Indeterminate,
            null,
            TimeSpan.FromMinutes(5),
            refusal ?? "certificate from the configuration, no DNS needed"
        );
        return state with
        {
            Keys = key is null ? [] : [key],
            Signers = signer is null ? [] : [signer],
            Listed = [certificate.Fingerprint],
            Gateway = gateway,
            Trusted = true,
            TrustedOffered = key is not null,
            Mode = PolicyMode.Enforce,
        };
    }

    /// <summary>Reads a certificate, or takes the same one as it was read before, with what its signatures were found to be.</summary>
    private Certificate? TryRead(byte[] octets)
    {
        var hash = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(octets));
        if (_certificates.Get(hash, Asker.Ours) is var (known, _))
            return known;
        try
        {
            var certificate = Certificate.Read(octets);
            _certificates.Put(hash, certificate, CertificateUse, Asker.Ours);
            return certificate;
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }

    /// <summary><c>v=PGPK1; p=&lt;base64 certificate&gt;</c>, one certificate a name.</summary>
    private Certificate? ReadFallback(IReadOnlyList<byte[]> records)
    {
        var texts = records
            .Select(r => System.Text.Encoding.Latin1.GetString(PolicyRecord.Concatenate(r)))
            .Where(t => t.StartsWith("v=PGPK1;", StringComparison.Ordinal))
            .ToList();
        if (texts.Count != 1 || texts[0].Length > MaxFallbackOctets * 4 / 3 + 64)
            return null;
        var fields = texts[0]
            .Split(';')
            .Select(f => f.Trim(' ', '\t'))
            .Where(f => f.StartsWith("p=", StringComparison.Ordinal))
            .ToList();
        var buffer = new byte[texts[0].Length];
        return
            fields.Count == 1
            && Convert.TryFromBase64String(fields[0][2..], buffer, out var length)
            && length <= MaxFallbackOctets
            ? TryRead(buffer[..length])
            : null;
    }
}
