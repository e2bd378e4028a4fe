using PgpTunnel.Dns;

namespace PgpTunnel.Fuzz;

/// <summary>Proofs of what the DNS said.</summary>
internal static partial class Targets
{
    /// <summary>A policy and the denial of another name, signed by nobody.</summary>
    private static byte[] ProofSeed()
    {
        var (owner, zone) = (DomainName.Parse("_pgptunnel.a.example"), DomainName.Parse("a.example"));
        DnsRecord Record(DomainName name, ushort type, byte[] rdata) => new(name, type, DnsMessage.ClassIn, 300, rdata);
        DnsRecord Signature(DomainName name, ushort type) =>
            Record(
                name,
                RecordType.RRSIG,
                [0, (byte)type, 13, 3, .. new byte[] { 0, 0, 1, 44 }, .. new byte[10], .. zone.Wire, .. new byte[64]]
            );
        byte[] next = [.. DomainName.Parse("x.a.example").Wire, 0, 1, 0x40];
        return new DnsProof(
            owner,
            RecordType.TXT,
            [
                new([Record(zone, RecordType.NSEC, next)], Signature(zone, RecordType.NSEC), null),
                new([Record(owner, RecordType.TXT, [5, .. "v=PGP"u8])], Signature(owner, RecordType.TXT), null),
            ]
        ).ToStream();
    }

    private static void Proofs(byte[] input)
    {
        try
        {
            var (name, type, records) = DnsProof.Read(input);
            var validator = new DnsValidator(new RecordedAnswers(records), TrustAnchors.BuiltIn, TimeProvider.System);
            if (validator.LookupAsync(name, type, CancellationToken.None).Result.Security <= DnsSecurity.Insecure)
                throw new InvalidDataException("it was believed, and nobody has signed it");
        }
        catch (DnsFormatException) { }
    }
}
