using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>One record to publish.</summary>
/// <param name="Value">RDATA in presentation format.</param>
/// <param name="Rdata">RDATA in wire format.</param>
internal sealed record PublishedRecord(DomainName Name, ushort Type, string Value, byte[] Rdata)
{
    public const int Ttl = 3600;

    /// <summary>Characters of the value when a key has been rotated, or revoked.</summary>
    public int Growth { get; init; }

    public string ZoneLine => $"{Name}. {Ttl} IN {RecordType.Name(Type)} {Value}";
}

/// <summary>The records that make our domains usable for others (PROTOCOL.md 2).</summary>
internal static class PublishedRecords
{
    private const int LongestString = 255;

    /// <param name="asTxt">Certificates as <c>_key</c> TXT, for DNS hosts without type OPENPGPKEY.</param>
    public static List<PublishedRecord> For(GatewayConfiguration configuration, KeyRing ring, bool asTxt) =>
        For(
            configuration,
            ring.Published,
            ring.Keys.Where(k => ring.Plan.Revoked.ContainsKey(k.Fingerprint))
                .Select(k => (k, ring.Plan.Revoked[k.Fingerprint]))
                .ToList(),
            asTxt
        );

    /// <summary>Who keeps no records gives no receipts, and who hears nothing from outside owes none.</summary>
    private static string Receipts(GatewayConfiguration configuration) =>
        configuration is { Evidence.Keep: true, Listen.Inbound: not null } ? "; rct=1" : "";

    public static List<PublishedRecord> For(
        GatewayConfiguration configuration,
        IReadOnlyList<GatewayKey> keys,
        IReadOnlyList<(GatewayKey Key, DateTimeOffset When)> revoked,
        bool asTxt
    )
    {
        var records = new List<PublishedRecord>();
        var fingerprints = string.Join(',', keys.Select(k => k.Fingerprint));
        var distrusted = revoked.Count == 0 ? "" : $"; xfp={string.Join(',', revoked.Select(r => r.Key.Fingerprint))}";
        foreach (var domain in configuration.Domains)
            records.Add(
                Txt(
                    DomainName.Parse(domain).Prepend(PolicyRecord.Label),
                    $"v=PGPT1; m=enforce; fp={fingerprints}{distrusted}; gw={configuration.Gateway}; a=604800; "
                        + $"sz={configuration.Limits.MessageSize}{Receipts(configuration)}"
                ) with
                {
                    Growth = LaterFingerprints,
                }
            );
        foreach (
            var (key, certificate) in keys.Select(k => (k, k.ExportCertificate()))
                .Concat(revoked.Select(r => (r.Key, r.Key.ExportCertificate(r.When))))
        )
        {
            var certified = asTxt
                ? Txt(
                    PolicyRecord.FallbackName(key.Fingerprint, configuration.Gateway),
                    $"v=PGPK1; p={Convert.ToBase64String(certificate)}"
                )
                : new(
                    PolicyRecord.CertificateName(configuration.Gateway),
                    RecordType.OPENPGPKEY,
                    Convert.ToBase64String(certificate),
                    certificate
                );
            var growth = (key.LargestCertificate - certificate.Length) * 4 / 3;
            records.Add(certified with { Growth = Math.Max(0, growth) });
        }
        var gateway = DomainName.Parse(configuration.GatewayDomain);
        var host = DomainName.Parse(configuration.Hostname);
        records.Add(new(gateway, RecordType.MX, $"10 {host}.", [0, 10, .. host.Wire]));
        records.Add(
            Txt(
                gateway,
                $"v=spf1 a:{host}{(configuration.Deliver.Relay is { } relay ? $" {SpfOf(relay.Host)}" : "")} -all"
            )
        );
        return records;
    }

    /// <summary>RFC 7208 5.6, 5.3: an address by its own mechanism, a host by its name.</summary>
    private static string SpfOf(string host) =>
        !System.Net.IPAddress.TryParse(host, out var address) ? $"a:{host}"
        : address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"ip6:{address}"
        : $"ip4:{address}";

    private static readonly int[] PanelLimits = [LongestString, 1024, 4096];

    /// <summary>
    /// For web panels: type, name relative to the zone, value without quotes, and whether it fits what panels allow, now and after a
    /// rotation or a revocation.
    /// </summary>
    public static string AsPanel(GatewayConfiguration configuration, IReadOnlyList<PublishedRecord> records)
    {
        var text = new StringBuilder();
        foreach (var record in records)
        {
            var name = record.Name.ToString();
            var zone =
                configuration
                    .Domains.Append(configuration.GatewayDomain)
                    .Where(d => name == d || name.EndsWith($".{d}", StringComparison.Ordinal))
                    .MinBy(d => d.Length)
                ?? "";
            var value =
                record.Type == RecordType.TXT
                    ? Encoding.ASCII.GetString(CharacterStrings.Join(record.Rdata))
                    : record.Value;
            text.AppendLine($"zone   {zone}")
                .AppendLine($"type   {RecordType.Name(record.Type)}")
                .AppendLine($"name   {(name == zone ? "@" : zone.Length == 0 ? name : name[..^(zone.Length + 1)])}")
                .AppendLine($"value  {value}")
                .AppendLine($"length {Fits(value, record.Growth)}");
            if (Note(record, configuration) is { } note)
                text.AppendLine($"note   {note}");
            text.AppendLine();
        }
        return text.ToString();
    }

    private static string Fits(string value, int growth)
    {
        string Word(int limit) =>
            value.Length > limit ? $"more than {limit}"
            : value.Length + growth > limit ? $"fits {limit}, but not after a rotation or a revocation"
            : $"fits {limit}";
        return $"{value.Length}: {string.Join(", ", PanelLimits.Select(Word))}";
    }

    private static string? Note(PublishedRecord record, GatewayConfiguration configuration) =>
        record.Type == RecordType.OPENPGPKEY ? "a host without this type takes what '--format panel-txt' prints instead"
        : record.Type == RecordType.MX ? $"{configuration.Hostname} needs an A or AAAA record"
        : record.Value.Contains("v=spf1", StringComparison.Ordinal)
            ? "suggested; where a provider sends for the gateway, the include: that it documents takes the place of the a:"
        : null;

    /// <summary>A second fingerprint, and one in xfp.</summary>
    private const int LaterFingerprints = 41 + 46;

    private static PublishedRecord Txt(DomainName name, string text)
    {
        var (strings, rdata) = (new List<string>(), new List<byte>());
        foreach (var part in text.Chunk(LongestString).Select(c => new string(c)))
        {
            strings.Add($"\"{part}\"");
            rdata.Add((byte)part.Length);
            rdata.AddRange(Encoding.ASCII.GetBytes(part));
        }
        return new(name, RecordType.TXT, string.Join(' ', strings), [.. rdata]);
    }

    /// <summary>Ready to paste into a zone file: absolute names, comments where an operator must think.</summary>
    public static string AsZone(GatewayConfiguration configuration, List<PublishedRecord> records, bool asTxt)
    {
        var text = new StringBuilder();
        foreach (var record in records)
            text.AppendLine(Comment(record, configuration)).AppendLine(record.ZoneLine);
        if (!asTxt)
            text.AppendLine(
                "; If your DNS host does not know the type OPENPGPKEY, use 'pgptunnel dns records --format txt' instead."
            );
        return text.ToString();
    }

    private static string Comment(PublishedRecord record, GatewayConfiguration configuration) =>
        record.Type switch
        {
            RecordType.OPENPGPKEY =>
                $"; The gateway's certificate. The zone of {configuration.GatewayDomain} must be DNSSEC-signed too.",
            RecordType.MX =>
                $"; Sealed mail and bounces come here; {configuration.Hostname} needs an A or AAAA record.",
            RecordType.TXT when record.Value.Contains("v=spf1") =>
                "; Suggested: only the gateway (and its relay) sends for the gateway's domain. Where a provider "
                    + "sends, use the include: it documents instead of the a:.",
            RecordType.TXT when record.Value.Contains("v=PGPK1") =>
                "; The gateway's certificate as TXT. Some DNS hosts limit TXT to 2048 or 4096 characters in all; an Ed25519 key fits.",
            _ => "; The policy. To try first without risk of delay, publish m=testing; m=enforce makes senders wait "
                + "rather than send in clear.",
        };
}
