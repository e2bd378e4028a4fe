using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>What A's people and B's DNS admin do in tests of trust, for <c>using static</c>.</summary>
internal static class TrustActs
{
    public const string Message = "From: x@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    public static readonly DomainName PolicyB = DomainName.Parse("_pgptunnel.b.example");

    /// <summary>One message from A; the reply to its end.</summary>
    public static async Task<string> SendAsync(Pair pair, string to = "<bob@b.example>") =>
        (await pair.A.SendAsync("<alice@a.example>", [to], Message))[0].ToString();

    /// <summary>What A remembers of a domain; null = nothing.</summary>
    public static async Task<PeerRecord?> RecordAsync(Company company, string domain)
    {
        await using var spool = Spool.Open(company.Configuration.SpoolFile, running: false);
        return spool.FindPeer(domain);
    }

    public static async Task<PeerRecord> RecordAsync(Pair pair) =>
        await RecordAsync(pair.A, "b.example") ?? new PeerRecord("b.example");

    /// <summary>A's administrator has compared a fingerprint.</summary>
    public static async Task VerifyAsync(Pair pair, string fingerprint, string domain = "b.example")
    {
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        await PeerMemory.ChangeAsync(spool, domain, r => r with { Verified = [fingerprint] });
    }

    /// <summary>B's records, in the place of those of before.</summary>
    public static void Publish(Pair pair, string policy, params byte[][] certificates)
    {
        var zone = pair.World.Zone("b.example");
        zone.Remove(PolicyB, RecordType.TXT);
        zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt(policy));
        var name = PolicyRecord.CertificateName(pair.B.Configuration.Gateway);
        zone.Remove(name, RecordType.OPENPGPKEY);
        foreach (var certificate in certificates)
            zone.Add(name, RecordType.OPENPGPKEY, certificate);
    }

    public static GatewayKey NewKey(Pair pair) =>
        GatewayKey.Generate(GatewayAlgorithm.Ed25519, pair.B.Configuration.Gateway, pair.World.Time.GetUtcNow());
}
