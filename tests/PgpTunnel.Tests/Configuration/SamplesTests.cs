using PgpTunnel.Demo;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>Everything in samples/ and dns-records/ is loaded, so that nothing an operator copies is wrong.</summary>
public class SamplesTests
{
    private static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, name);

    [Theory]
    [InlineData("a.example")]
    [InlineData("b.example")]
    public void The_configurations_are_valid(string company)
    {
        var configuration = ConfigurationReader.Read(Path.Combine(Folder("samples"), company, "pgptunnel.json"));
        Assert.Equal([company], configuration.Domains);
        Assert.Equal(LocalPolicy.Require, configuration.PolicyFor(company == "a.example" ? "b.example" : "a.example"));
        Assert.Equal(LocalPolicy.Prefer, configuration.PolicyFor("c.example"));
    }

    [Fact]
    public void The_sample_messages_are_messages()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Folder("samples"), "mail"), "*.eml"))
            Assert.Null(Smtp.MessageContent.Refusal(File.ReadAllBytes(file)));
    }

    [Fact]
    public void The_systemd_unit_starts_the_gateway_and_keeps_secrets_out_of_cores()
    {
        var unit = File.ReadAllText(Path.Combine(Folder("samples"), "systemd", "pgptunnel.service"));
        foreach (
            var line in new[]
            {
                "Type=notify",
                "ExecStart=/usr/bin/pgptunnel run --config /etc/pgptunnel/pgptunnel.json",
                "LimitCORE=0",
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
            }
        )
            Assert.Contains($"\n{line}\n", unit);
        Assert.DoesNotContain("\nMemoryDenyWriteExecute", unit); // the runtime could not start
    }

    /// <summary>Each zone template, filled in and signed, is looked up by the very code that peers use.</summary>
    [Theory]
    [InlineData("partner.zone", null, "b.example", PeerClass.Usable)]
    [InlineData("txt-host.zone", null, "b.example", PeerClass.Usable)]
    [InlineData("provider.zone", "hosted.zone", "b.example", PeerClass.Usable)]
    [InlineData("withdrawn.zone", null, "b.example", PeerClass.None)]
    public async Task The_zone_templates_do_what_they_say(string file, string? also, string domain, PeerClass expected)
    {
        await using var world = new TestWorld();
        var gateway = also is null ? "pgptunnel@pgptunnel.b.example" : "pgptunnel@pgptunnel.provider.example";
        var key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, gateway, world.Time.GetUtcNow());
        foreach (var template in new[] { file, also }.OfType<string>())
            Load(world, File.ReadAllText(Path.Combine(Folder("dns-records"), template)), key);
        var peer = await new Peers(
            world.Validator,
            new PeerMemory(null, null, world.Time),
            _ => null,
            world.Time
        ).FindAsync(domain, false, CancellationToken.None);
        Assert.True(expected == peer.Class, $"{peer.Class}: {peer.Why}");
        if (expected == PeerClass.Usable)
            Assert.Equal((key.Fingerprint, gateway), (peer.Preferred.Fingerprint, peer.Gateway));
    }

    /// <summary>A small zone-file reader: $ORIGIN, comments, one record a line.</summary>
    private static void Load(TestWorld world, string text, GatewayKey key)
    {
        var certificate = Convert.ToBase64String(key.ExportCertificate());
        var txt = string.Join(' ', $"v=PGPK1; p={certificate}".Chunk(255).Select(c => $"\"{new string(c)}\""));
        SignedZone? zone = null;
        var origin = "";
        foreach (
            var raw in text.Replace("<fingerprint>", key.Fingerprint)
                .Replace("<certificate-txt>", txt)
                .Replace("<certificate>", certificate)
                .Split('\n')
        )
        {
            var line = raw.StartsWith(';') ? "" : raw.Trim();
            if (line.StartsWith("$ORIGIN", StringComparison.Ordinal))
                zone = world.AddZoneOnce((origin = line.Split(' ')[1]).TrimEnd('.'));
            if (line.Length == 0 || line[0] == '$')
                continue;
            var cells = line.Split((char[]?)null, 3, StringSplitOptions.RemoveEmptyEntries);
            DomainName Name(string n) => DomainName.Parse(n.EndsWith('.') ? n : $"{n}.{origin}");
            Assert.True(RecordType.TryParse(cells[1], out var type), line);
            byte[] rdata = cells[1] switch
            {
                "TXT" =>
                [
                    .. System
                        .Text.RegularExpressions.Regex.Matches(cells[2], "\"([^\"]*)\"")
                        .SelectMany(m => TestWorld.Txt(m.Groups[1].Value)),
                ],
                "OPENPGPKEY" => Convert.FromBase64String(cells[2]),
                "CNAME" => [.. Name(cells[2]).Wire],
                "MX" =>
                [
                    0,
                    byte.Parse(cells[2].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture),
                    .. Name(cells[2].Split(' ')[^1]).Wire,
                ],
                "A" => System.Net.IPAddress.Parse(cells[2]).GetAddressBytes(),
                _ => throw new InvalidOperationException(line),
            };
            zone!.Add(Name(cells[0]), type, rdata);
        }
    }
}
