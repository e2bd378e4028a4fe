namespace PgpTunnel.Dns;

/// <summary>A record set as it came.</summary>
/// <param name="Signature">The RRSIG that proves it; null where its zone is not signed.</param>
/// <param name="Period">When that is valid.</param>
public sealed record ProvenSet(IReadOnlyList<DnsRecord> Records, DnsRecord? Signature, SignaturePeriod? Period)
{
    public DomainName Owner => Records[0].Name;
    public ushort Type => Records[0].Type;
}
