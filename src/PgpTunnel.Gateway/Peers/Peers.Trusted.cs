using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What keys that are trusted already say of others: revocations and successors.</summary>
internal sealed partial class Peers
{
    /// <summary>
    /// Known keys that have revoked themselves for good, whether listed still or not. A distrusted one that was known here is asked for
    /// in the fallback too, since its revocation outlasts the record.
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
                && ReadFallback(fallback.Data, lookup.Budget.Asker) is { } certificate
            )
                certificates.Add(certificate);
        return
        [
            .. certificates
                .Where(c => c.IsHardRevoked && Known(lookup, c.Fingerprint))
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
            .Select(k => (Certificate: TryRead(k.Octets, lookup.Budget.Asker), k.Listed))
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
}
