using System.Globalization;
using System.Text;

namespace PgpTunnel.Dns;

/// <summary>
/// A proof of the DNS as zone files, from which other software comes to the same verdict, such as unbound with its auth-zones.
/// </summary>
public static class OfflineZones
{
    /// <exception cref="DnsFormatException">It is no proof.</exception>
    public static IReadOnlyList<(string Zone, string Text)> Of(ReadOnlySpan<byte> stream) =>
        [.. Zones(DnsProof.Read(stream).Records).Select(z => (z.Key.ToString(), Text(z)))];

    /// <summary>The records by the zone that signed them.</summary>
    private static IEnumerable<IGrouping<DomainName, DnsRecord>> Zones(IReadOnlyList<DnsRecord> records) =>
        records.GroupBy(r => SignerOf(r, records) ?? r.Name).Where(z => z.Any(r => r.Type == RecordType.RRSIG));

    private static DomainName? SignerOf(DnsRecord record, IReadOnlyList<DnsRecord> records) =>
        record.Type == RecordType.RRSIG
            ? RrSignature.Read(record.Rdata)?.Signer
            : records
                .Where(r => r.Type == RecordType.RRSIG && r.Name == record.Name)
                .Select(r => RrSignature.Read(r.Rdata))
                .FirstOrDefault(s => s?.TypeCovered == record.Type)
                ?.Signer;

    /// <summary>
    /// Each record in the form that needs no knowledge of its type (RFC 3597 5). SOA and NS, which every zone file must have, and
    /// NSEC3PARAM, without which unbound uses no NSEC3, are not signed here, and so prove nothing.
    /// </summary>
    private static string Text(IGrouping<DomainName, DnsRecord> zone)
    {
        var text = new StringBuilder();
        void Line(DomainName owner, string rest) => text.Append($"{owner.ToString().TrimEnd('.')}. {rest}\n");
        if (!zone.Any(r => r.Type == RecordType.SOA))
            Line(zone.Key, "3600 IN SOA invalid. invalid. 1 3600 600 86400 3600");
        Line(zone.Key, "3600 IN NS invalid.");
        if (zone.FirstOrDefault(r => r.Type == RecordType.NSEC3) is { } nsec3)
            Line(zone.Key, $"0 IN TYPE51 {Octets(nsec3.Rdata.AsSpan(0, 5 + nsec3.Rdata[4]))}");
        foreach (var record in zone)
            Line(
                record.Name,
                string.Create(CultureInfo.InvariantCulture, $"{record.Ttl} IN TYPE{record.Type} {Octets(record.Rdata)}")
            );
        return text.ToString();
    }

    private static string Octets(ReadOnlySpan<byte> rdata) =>
        string.Create(CultureInfo.InvariantCulture, $"\\# {rdata.Length} {Convert.ToHexString(rdata)}");
}
