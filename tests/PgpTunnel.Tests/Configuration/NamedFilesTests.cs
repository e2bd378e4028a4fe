using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>A backup knows of every file that a configuration names.</summary>
public sealed class NamedFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-named-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_the_gateway_watches_is_what_a_backup_has_or_names()
    {
        var now = TimeProvider.System.GetUtcNow();
        var partner = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.b.example", now);
        File.WriteAllBytes(Path.Combine(_folder, "b.pgp"), partner.ExportCertificate());
        File.WriteAllText(Path.Combine(_folder, "root.ds"), ". IN DS 20326 8 2 " + new string('a', 64));
        foreach (var name in new[] { "auditor.pgp", "secret", "password", "out.pem", "out.key", "in.pem", "in.key" })
            File.WriteAllText(Path.Combine(_folder, name), "x");
        const string text = """
            { // with comments, and in whatever case
              "domains": ["a.example"],
              "DNS": { "trustAnchors": "root.ds" },
              "listen": { "outbound": { "tls": { "certificate": "out.pem", "key": "out.key" } },
                          "inbound": { "tls": { "certificate": "in.pem", "key": "in.key" } } },
              "deliver": { "local": { "host": "127.0.0.1:26", "tls": "none" },
                           "relay": { "host": "r.example:25", "tls": "verify", "login": { "user": "u", "passwordFile": "password" } } },
              "keys": { "passphraseFile": "secret" },
              "evidence": { "auditors": ["auditor.pgp"] },
              "policy": { "partners": { "b.example": { "certificate": "b.pgp" } } },
            }
            """;
        var file = Path.Combine(_folder, "pgptunnel.json");
        File.WriteAllText(file, text);
        var named = NamedFiles.Of(text);
        Assert.Equal(["auditor.pgp", "b.pgp", "root.ds"], named.Kept.Order());
        Assert.Equal(["in.key", "in.pem", "out.key", "out.pem", "password", "secret"], named.Left.Order());
        var all = named.Kept.Concat(named.Left).Select(f => Path.Combine(_folder, f)).ToHashSet();
        var configuration = ConfigurationReader.Read(file);
        Assert.Equal(
            [],
            configuration
                .Files.Where(f => f != file && !f.StartsWith(configuration.Keys.Directory, StringComparison.Ordinal))
                .Except(all)
        );
    }
}
