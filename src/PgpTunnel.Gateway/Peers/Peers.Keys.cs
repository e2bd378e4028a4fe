using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>The certificates of a domain: which of those its policy lists are usable, and which are trusted.</summary>
internal sealed partial class Peers
{
    /// <summary>
    /// Fingerprints of a policy, and look-ups for certificates that do not stand with the others: more are not looked at.
    /// </summary>
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
        var policySigned = policyAnswer.Security == DnsSecurity.Secure;
        policy = policySigned ? policy : Unsigned(policy);
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
        var found = new Found([
            .. answer.Data.Take(MaxRecords).Select(d => TryRead(d, lookup.Budget.Asker)).OfType<Certificate>(),
        ])
        {
            Security = Weaker(policyAnswer.Security, answer.Security),
            Ttl = Shorter(policyAnswer.Ttl, answer.Ttl),
        };
        foreach (var fingerprint in policy.Fingerprints.Take(MaxListed))
        {
            if (policy.Distrusted.Contains(fingerprint) || Distrusted(lookup.Record).Contains(fingerprint))
                found.Reasons.Add($"{fingerprint} is distrusted (xfp)");
            else if (await AddAsync(validator, lookup, policy, fingerprint, found, cancel) is { } failed)
                return failed;
        }
        var signed = found.Security == DnsSecurity.Secure;
        lookup = lookup with
        {
            WritesNothing =
                !signed
                || lookup.Budget.Asker == Asker.Stranger
                || PeerMemory.IsOlder(lookup.Record, new PolicySigning(policyAnswer.Steps)),
        };
        if (signed)
        {
            var revoked = await RevokedAsync(validator, lookup, policy, found, cancel);
            lookup = lookup with
            {
                Record =
                    lookup.Budget.Asker == Asker.Stranger
                        ? PeerMemory.WithoutRevoked(lookup.Record, revoked)
                        : await memory.RevokedAsync(lookup.Record, revoked),
            };
        }
        // Where only the certificate is not signed, what the policy distrusts stays so.
        var known = signed ? policy : Unsigned(policy) with { Distrusted = policy.Distrusted };
        return await ChooseAsync(lookup, known, policyAnswer, answer, found);
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
            GivesReceipts = false,
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
            certificate =
                ReadFallback(fallback.Data, lookup.Budget.Asker) is { } read && read.Fingerprint == fingerprint
                    ? read
                    : null;
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
            : $"{lookup.Domain} offers {string.Join(", ", keys.Select(k => k.Fingerprint))}, but only "
                + $"{string.Join(", ", lookup.TrustedFingerprints)} is trusted for it";
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
    private Certificate? TryRead(byte[] octets, Asker asker)
    {
        var hash = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(octets));
        if (_certificates.Get(hash, asker) is var (known, _))
            return known;
        try
        {
            var certificate = Certificate.Read(octets);
            _certificates.Put(hash, certificate, CertificateUse, asker);
            return certificate;
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }

    /// <summary><c>v=PGPK1; p=&lt;base64 certificate&gt;</c>, one certificate a name.</summary>
    private Certificate? ReadFallback(IReadOnlyList<byte[]> records, Asker asker)
    {
        var texts = records
            .Select(r => System.Text.Encoding.Latin1.GetString(CharacterStrings.Join(r)))
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
            ? TryRead(buffer[..length], asker)
            : null;
    }
}
