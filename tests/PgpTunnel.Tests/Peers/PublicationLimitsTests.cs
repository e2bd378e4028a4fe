using System.Security.Cryptography;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>Records at the sizes PROTOCOL.md 2 allows and past them, as a DNS host would really answer them.</summary>
public class PublicationLimitsTests
{
    private const string Gateway = "pgptunnel@pgptunnel.b.example";

    private static async Task<PeerState> FindAsync(TestWorld world) =>
        await new Peers(world.Validator, new PeerMemory(null, null, world.Time), _ => null, world.Time).FindAsync(
            "b.example",
            true,
            CancellationToken.None
        );

    /// <summary>An otherwise good certificate with a User ID more, of any length; it stands behind the primary's own.</summary>
    private static byte[] Padded(GatewayKey key, int size)
    {
        var octets = key.ExportCertificate();
        var room = size - octets.Length - 6;
        return room <= 0
            ? octets
            :
            [
                .. octets,
                0xCD,
                0xFF,
                (byte)(room >> 24),
                (byte)(room >> 16),
                (byte)(room >> 8),
                (byte)room,
                .. RandomNumberGenerator.GetBytes(room),
            ];
    }

    private static TestWorld World(GatewayKey key, int size, bool fallback)
    {
        var world = new TestWorld();
        var zone = world.AddZone("b.example");
        zone.Add(
            DomainName.Parse("_pgptunnel.b.example"),
            RecordType.TXT,
            TestWorld.Txt($"v=PGPT1; m=enforce; fp={key.Fingerprint}")
        );
        var certificate = Padded(key, size);
        if (fallback)
            zone.Add(
                PolicyRecord.FallbackName(key.Fingerprint, Gateway),
                RecordType.TXT,
                TestWorld.Txt($"v=PGPK1; p={Convert.ToBase64String(certificate)}")
            );
        else
            zone.Add(PolicyRecord.CertificateName(Gateway), RecordType.OPENPGPKEY, certificate);
        return world;
    }

    [Theory]
    [InlineData(GatewayAlgorithm.Ed25519, 0, false, true)]
    [InlineData(GatewayAlgorithm.Ed25519, 4096, true, true)]
    [InlineData(GatewayAlgorithm.P256, 32 * 1024, false, true)]
    [InlineData(GatewayAlgorithm.P256, 32 * 1024 + 1, false, false)]
    [InlineData(GatewayAlgorithm.Rsa3072, 30_000, false, true)]
    [InlineData(GatewayAlgorithm.Ed25519, 16 * 1024, true, true)]
    [InlineData(GatewayAlgorithm.Ed25519, 16 * 1024 + 1, true, false)]
    public async Task Certificates_up_to_the_limit_are_found_and_larger_ones_unusable(
        GatewayAlgorithm algorithm,
        int size,
        bool fallback,
        bool usable
    )
    {
        var key = GatewayKey.Generate(algorithm, Gateway, TimeProvider.System.GetUtcNow().AddDays(-1));
        await using var world = World(key, size, fallback);
        var peer = await FindAsync(world);
        Assert.Equal(usable ? PeerClass.Usable : PeerClass.Unusable, peer.Class);
    }

    [Theory]
    [InlineData(8, PeerClass.Usable)]
    [InlineData(9, PeerClass.Unusable)]
    public async Task Eight_records_are_looked_at(int records, PeerClass expected)
    {
        var keys = Enumerable
            .Range(0, records)
            .Select(_ =>
                GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, TimeProvider.System.GetUtcNow().AddDays(-1))
            )
            .ToList();
        await using var world = World(keys[0], 0, false);
        foreach (var other in keys.Skip(1))
            world
                .Zone("b.example")
                .Add(PolicyRecord.CertificateName(Gateway), RecordType.OPENPGPKEY, other.ExportCertificate());
        // The answer's order is the resolver's; the one that is wanted comes last.
        world.Forge = (_, type, answer) =>
            type == RecordType.OPENPGPKEY
                ? answer with
                {
                    Answer =
                    [
                        .. answer.Answer.OrderBy(r =>
                            r.Type == type && Certificate.Read(r.Rdata).Fingerprint == keys[0].Fingerprint
                        ),
                    ],
                }
                : answer;
        Assert.Equal(expected, (await FindAsync(world)).Class);
    }

    [Fact]
    public async Task An_answer_larger_than_a_datagram_goes_over_tcp_and_one_that_is_cut_short_is_temporary()
    {
        var key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, TimeProvider.System.GetUtcNow().AddDays(-1));
        await using var world = World(key, 12_000, true);
        Assert.Equal(PeerClass.Usable, (await FindAsync(world)).Class);
        var fallback = PolicyRecord.FallbackName(key.Fingerprint, Gateway);
        // a fallback that fails is no absence
        world.Forge = (name, _, answer) => name == fallback ? new Demo.WorldAnswer(2, [], []) : answer;
        Assert.Equal(PeerClass.Temporary, (await FindAsync(world)).Class);
    }

    [Fact]
    public async Task An_rsa_4096_certificate_with_several_subkeys_made_by_gpg_is_usable()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Vectors", "gpg-rsa4096.asc");
        var octets = Armor.Decode(Armor.PublicKeyBlock, await File.ReadAllBytesAsync(path));
        var certificate = Certificate.Read(octets);
        await using var world = new TestWorld();
        var zone = world.AddZone("b.example");
        zone.Add(
            DomainName.Parse("_pgptunnel.b.example"),
            RecordType.TXT,
            TestWorld.Txt($"v=PGPT1; m=enforce; fp={certificate.Fingerprint}")
        );
        zone.Add(PolicyRecord.CertificateName(Gateway), RecordType.OPENPGPKEY, octets);
        var peer = await FindAsync(world);
        Assert.Equal((PeerClass.Usable, true), (peer.Class, octets.Length > 4000));
        // Of three encryption subkeys one is revoked and the newest of the others counts.
        Assert.Equal(
            await File.ReadAllTextAsync(Path.ChangeExtension(path, ".subkey")),
            peer.Preferred.EncryptionFingerprint + "\n"
        );
    }
}
