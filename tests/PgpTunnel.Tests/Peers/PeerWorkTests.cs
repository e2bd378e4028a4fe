using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>
/// Domains that are made to cost whoever looks them up as much as can be: all that one look-up causes, policy, certificates, fallbacks and
/// aliases together, comes out of one purse, and who empties it has proved nothing.
/// </summary>
public sealed class PeerWorkTests
{
    private const int Queries = 100; // of WorkBudget

    [Theory]
    [InlineData("aliases through many zones")]
    [InlineData("aliases that come back")]
    [InlineData("a long name of empty zones")]
    [InlineData("missing certificates, each an alias")]
    [InlineData("keys and digests of one tag in each zone")]
    public async Task One_purse_for_one_look_up(string how)
    {
        await using var world = new TestWorld();
        var policy = Build(world, how);
        var asked = 0;
        var before = world.Forge;
        world.Forge = (name, type, answer) =>
        {
            Interlocked.Increment(ref asked);
            return before?.Invoke(name, type, answer) ?? answer;
        };
        var peers = new Peers(world.Validator, new PeerMemory(null, null, world.Time), _ => null, world.Time);
        var peer = await peers.FindAsync(policy, fresh: true, CancellationToken.None);
        Assert.True(peer.Class is PeerClass.Temporary or PeerClass.Unusable, $"{peer.Class}: {peer.Why}");
        Assert.InRange(asked, 1, Queries);
    }

    private static string Build(TestWorld world, string how)
    {
        static byte[] Policy(int keys) =>
            TestWorld.Txt(
                $"v=PGPT1; m=enforce; {string.Join("; ", Enumerable.Range(1, keys).Select(i => $"fp={i:x40}"))}; "
                    + $"{string.Join("; ", Enumerable.Range(1, keys).Select(i => $"xfp={i + 100:x40}"))}"
            );
        var name = DomainName.Parse("_pgptunnel.burn.example");
        switch (how)
        {
            case "aliases through many zones":
                Chain(world, name, 40, TestWorld.Txt("v=PGPT1; m=none"));
                return "burn.example";
            case "aliases that come back":
                var zone = world.AddZone("burn.example");
                zone.Add(name, RecordType.CNAME, DomainName.Parse("_other.burn.example").Wire.ToArray());
                zone.Add(DomainName.Parse("_other.burn.example"), RecordType.CNAME, name.Wire.ToArray());
                return "burn.example";
            case "a long name of empty zones":
                var domain = "example";
                for (var i = 0; i < 60; i++)
                    world.AddZone(domain = $"z.{domain}");
                world.Zone(domain).Add(DomainName.Parse($"_pgptunnel.{domain}"), RecordType.TXT, Policy(8));
                return domain;
            case "missing certificates, each an alias":
                world.AddZone("burn.example").Add(name, RecordType.TXT, Policy(8));
                for (var i = 1; i <= 8; i++)
                    Chain(
                        world,
                        PolicyRecord.FallbackName($"{i:x40}", "pgptunnel@pgptunnel.burn.example"),
                        6,
                        null,
                        $"f{i}-"
                    );
                return "burn.example";
            default:
                Chain(world, name, 12, Policy(8));
                foreach (var burning in Enumerable.Range(0, 12).Select(i => i == 0 ? "burn.example" : $"c{i}.example"))
                    Burn(world, burning);
                return "burn.example";
        }
    }

    /// <summary>From a name through a zone of its own for each step.</summary>
    private static void Chain(TestWorld world, DomainName from, int steps, byte[]? end, string prefix = "c")
    {
        var (at, zone) = (from, world.TryZone("burn.example") ?? world.AddZone("burn.example"));
        for (var i = 1; i < steps; i++)
        {
            var next = world.AddZone($"{prefix}{i}.example");
            var target = DomainName.Parse($"_p.{prefix}{i}.example");
            zone.Add(at, RecordType.CNAME, target.Wire.ToArray());
            (at, zone) = (target, next);
        }
        if (end is not null)
            zone.Add(at, RecordType.TXT, end);
    }

    /// <summary>A hundred keys of one tag, and as many digests that fit none of them.</summary>
    private static void Burn(TestWorld world, string zone)
    {
        var name = DomainName.Parse(zone);
        var keys = Enumerable
            .Range(0, 100)
            .Select(i => (byte[])[1, 1, 3, 13, (byte)(i + 1), 0, (byte)(250 - i), .. new byte[61]])
            .ToList(); // octets moved between even places leave the tag
        foreach (var key in keys)
            world.Zone(zone).Add(name, RecordType.DNSKEY, key);
        var tag = DnsKey.Read(keys[0])!.Tag;
        for (var i = 0; i < 30; i++)
            world
                .Zone("example")
                .Add(
                    name,
                    RecordType.DS,
                    [(byte)(tag >> 8), (byte)tag, 13, 2, .. System.Security.Cryptography.SHA256.HashData([(byte)i])]
                );
    }
}
