using PgpTunnel.Dns;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Looks at a domain as a stranger would, from the root of the DNS to the greeting of its gateway, and says what is wrong or about to
/// be: 1 the zones, 2 the policy, 3 the certificate, 4 the gateway's mail exchanger; of our own domains against what we hold.
/// </summary>
internal sealed partial class Doctor(Settings settings, Peers peers, NameService names, TimeProvider time)
{
    private static readonly TimeSpan Reach = TimeSpan.FromSeconds(15);
    private const int SmtpPort = 25;
    private readonly NextHops _hops = new(settings, names);

    public async Task<IReadOnlyList<Finding>> ExamineAsync(
        string domain,
        IProgress<Stage> progress,
        CancellationToken cancel
    )
    {
        progress.Report(new($"{domain}: its zones and its policy"));
        var own = settings.Configuration.Domains.Contains(domain);
        var findings = new List<Finding>();
        if (!own && settings.Configuration.Policy.Partners.GetValueOrDefault(domain)?.Certificate is not null)
            findings.Add(
                new(FindingLevel.Ok, "dns", $"the certificate of {domain} is configured; its DNS is not asked")
            );
        else
            findings.AddRange(await ZonesAsync(DomainName.Parse(domain).Prepend(PolicyRecord.Label), own, cancel));
        var peer = await peers.FindAsync(domain, fresh: true, cancel);
        findings.AddRange(await PolicyAsync(domain, peer, own, cancel));
        var gateway =
            peer.Gateway.Length > 0 ? GatewayAddress.DomainOf(peer.Gateway)
            : own ? settings.Configuration.GatewayDomain
            : null;
        if (gateway is null)
            return findings;
        if (own || peer.Class is PeerClass.Usable or PeerClass.Unusable)
        {
            progress.Report(new($"{domain}: its certificate"));
            findings.AddRange(await CertificateAsync(domain, peer, gateway, own, cancel));
        }
        progress.Report(new($"{domain}: its mail exchanger"));
        findings.AddRange(await ExchangersAsync(gateway, own, cancel));
        return findings;
    }

    // 1 the zones

    private async Task<IEnumerable<Finding>> ZonesAsync(DomainName name, bool own, CancellationToken cancel)
    {
        var findings = new List<Finding>();
        foreach (var zone in await names.Validator.ChainAsync(name, cancel))
        {
            var where = zone.Zone.IsRoot ? "." : zone.Zone.ToString();
            findings.Add(
                zone.Security switch
                {
                    DnsSecurity.Secure => Signed(
                        where,
                        $"{where} is signed ({string.Join(", ", zone.Algorithms.Select(Algorithm))})",
                        zone.Signed
                    ),
                    DnsSecurity.Insecure => new(
                        FindingLevel.Wrong,
                        "zone",
                        $"{where} is not signed: {zone.Why}",
                        own
                            ? "sign the zone with DNSSEC and have its DS published by the parent"
                            : "its keys cannot be trusted from DNS; a certificate file in policy.partners works without"
                    ),
                    _ => new(
                        FindingLevel.Wrong,
                        "zone",
                        $"{where} does not validate: {zone.Why}",
                        own
                            ? "mend the zone's DNSSEC, or see that the resolvers answer"
                            : "tell its DNS administrator, or see that the resolvers answer; until then its mail waits"
                    ),
                }
            );
        }
        return findings;
    }

    private Finding Signed(string where, string what, SignaturePeriod? period) =>
        period is null ? new(FindingLevel.Ok, "zone", what)
        : period.RunsOut(time.GetUtcNow())
            ? new(
                FindingLevel.Warning,
                "zone",
                $"{what}, but its signatures expire at {InnerHeader.Time(period.Until)}",
                $"see that the signer of {where} still runs; when they expire, mail waits"
            )
        : new(FindingLevel.Ok, "zone", $"{what}, signatures until {InnerHeader.Time(period.Until)}");

    private static string Algorithm(byte number) =>
        number switch
        {
            8 => "RSASHA256",
            10 => "RSASHA512",
            13 => "ECDSAP256SHA256",
            14 => "ECDSAP384SHA384",
            15 => "ED25519",
            16 => "ED448",
            _ => $"algorithm {number}",
        };

    // 2 the policy

    private async Task<IEnumerable<Finding>> PolicyAsync(
        string domain,
        PeerState peer,
        bool own,
        CancellationToken cancel
    )
    {
        const string check = "policy";
        if (
            peer.Class is PeerClass.None or PeerClass.Insecure or PeerClass.Temporary
            || (peer.Class == PeerClass.Unusable && peer.Listed.Count == 0)
        )
            return
            [
                new(
                    FindingLevel.Wrong,
                    check,
                    $"{domain} is {peer.Class}: {peer.Why}",
                    own && peer.Class != PeerClass.Temporary
                        ? "publish what 'pgptunnel dns records' prints"
                        : Advice(peer)
                ),
            ];
        var findings = new List<Finding>
        {
            new(
                FindingLevel.Ok,
                check,
                $"mode {peer.Mode?.ToString().ToLowerInvariant() ?? "enforce"}, gateway {peer.Gateway}, keys "
                    + $"{string.Join(", ", peer.Listed)}, {(peer.GivesReceipts ? "gives receipts" : "gives no receipts")}"
            ),
        };
        if (peer.Trusted && !peer.TrustedOffered)
            findings.Add(new(FindingLevel.Wrong, check, peer.Why, Alarms.Advice(domain)));
        if (!own)
            return findings;
        var (configuration, ring) = (settings.Configuration, settings.Keys);
        var answer = await names.Validator.LookupAsync(
            DomainName.Parse(domain).Prepend(PolicyRecord.Label),
            RecordType.TXT,
            cancel
        );
        if (answer.Signed is { } period && period.RunsOut(time.GetUtcNow()))
            findings.Add(Signed(domain, "the policy is signed", period) with { Check = check });
        if (!peer.Listed.SequenceEqual(ring.Published.Select(k => k.Fingerprint)))
            findings.Add(
                peer.Listed.Contains(ring.Active.Fingerprint)
                    ? new(
                        FindingLevel.Warning,
                        check,
                        $"the policy lists {string.Join(", ", peer.Listed)}; this gateway would publish "
                            + $"{string.Join(", ", ring.Published.Select(k => k.Fingerprint))}",
                        "publish what 'pgptunnel dns records' prints"
                    )
                    : new(
                        FindingLevel.Wrong,
                        check,
                        $"the policy lists {string.Join(", ", peer.Listed)}, not our key {ring.Active.Fingerprint}",
                        "publish what 'pgptunnel dns records' prints, or restore the key that is published"
                    )
            );
        if (peer.Gateway != configuration.Gateway)
            findings.Add(
                new(
                    FindingLevel.Wrong,
                    check,
                    $"the policy names the gateway {peer.Gateway}, the configuration {configuration.Gateway}",
                    "make the two agree"
                )
            );
        if (peer.Size is { } size && size > configuration.Limits.MessageSize)
            findings.Add(
                new(
                    FindingLevel.Warning,
                    check,
                    $"the policy promises messages of {size} octets, limits.messageSize allows {configuration.Limits.MessageSize}",
                    "publish what 'pgptunnel dns records' prints"
                )
            );
        if (peer.GivesReceipts && configuration is { Evidence.Keep: false })
            findings.Add(
                new(
                    FindingLevel.Warning,
                    check,
                    "the policy says that receipts are given (rct=1), and this gateway gives none: partners miss them",
                    "publish what 'pgptunnel dns records' prints, or keep records (evidence.keep)"
                )
            );
        if (answer.PublishedTtl is { } ttl && ttl.TotalSeconds > PublishedRecord.Ttl)
            findings.Add(
                new(
                    FindingLevel.Warning,
                    check,
                    $"the policy has a TTL of {ttl.TotalSeconds:0} s; 'key rotate' counts with {PublishedRecord.Ttl} s",
                    $"lower it, or wait {2 * ttl.TotalSeconds:0} s between the steps of a rollover"
                )
            );
        return findings;
    }

    private static string Advice(PeerState peer) =>
        peer.Class switch
        {
            PeerClass.None => "mail goes as the local policy says for a domain without gateway",
            PeerClass.Insecure => "ask for DNSSEC there, or set the partner's certificate file in policy.partners",
            PeerClass.Temporary => "see that dns.resolvers answer; if they do, the trouble is in its zones",
            _ => "tell its administrator; until it is mended mail waits",
        };

    // 3 the certificate

    private async Task<IEnumerable<Finding>> CertificateAsync(
        string domain,
        PeerState peer,
        string gateway,
        bool own,
        CancellationToken cancel
    )
    {
        const string check = "certificate";
        if (peer.Keys.Count == 0)
            return
            [
                new(
                    FindingLevel.Wrong,
                    check,
                    peer.Why,
                    own
                        ? "publish what 'pgptunnel dns records' prints"
                        : "tell its administrator; until it is mended mail waits"
                ),
            ];
        var findings = new List<Finding>();
        foreach (var key in peer.Keys)
            findings.Add(
                key.Expires is { } end && end - time.GetUtcNow() < TimeSpan.FromDays(30)
                    ? new(
                        FindingLevel.Warning,
                        check,
                        $"{key.Fingerprint} expires at {InnerHeader.Time(end)}",
                        own ? "'pgptunnel key rotate' changes to a new key" : $"tell {domain}"
                    )
                    : new(
                        FindingLevel.Ok,
                        check,
                        $"{key.Fingerprint} is usable{(key.Expires is { } later ? $" until {InnerHeader.Time(later)}" : "")}"
                    )
            );
        if (
            own
            && peer.Keys.FirstOrDefault(k => k.Fingerprint == settings.Keys.Active.Fingerprint) is { } ours
            && ours.EncryptionFingerprint != settings.Keys.Active.EncryptionFingerprint
        )
            findings.Add(
                new(
                    FindingLevel.Warning,
                    check,
                    $"the published certificate of {ours.Fingerprint} lacks our newest encryption subkey "
                        + $"{settings.Keys.Active.EncryptionFingerprint}",
                    "publish what 'pgptunnel dns records' prints"
                )
            );
        if (
            !DomainName.Parse(domain).IsWithin(DomainName.Parse(gateway))
            && !DomainName.Parse(gateway).IsWithin(DomainName.Parse(domain))
        )
            findings.AddRange(
                (await ZonesAsync(DomainName.Parse(gateway), own, cancel)).Where(f => f.Level != FindingLevel.Ok)
            );
        return findings;
    }

    // 4 the mail exchanger
}
