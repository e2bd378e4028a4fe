using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>Companies A and B set up as their operators would: init, the printed records into the zone, signed and served by NSD.</summary>
internal sealed class Operators : IAsyncDisposable
{
    private Operators(string directory, DnsWorld dns) => (Directory, Dns) = (directory, dns);

    public string Directory { get; }
    public DnsWorld Dns { get; }

    public string Config(string company) => Path.Combine(Directory, company, "pgptunnel.json");

    public string KeyFile(string company) => System.IO.Directory.EnumerateFiles(Path.Combine(Directory, company, "keys"), "*.key").Single();

    public static async Task<Operators> SetUpAsync(string algorithm = "ed25519", string format = "zone", string resolver = DnsWorld.Plain)
    {
        var directory = System.IO.Directory.CreateTempSubdirectory("pgptunnel-operators-").FullName;
        var records = new Dictionary<string, string>();
        foreach (var company in new[] { "a", "b" })
        {
            var config = Path.Combine(directory, company, "pgptunnel.json");
            (await Run.PgpTunnelAsync("init", "--domain", $"{company}.example", "--algorithm", algorithm, "--directory", Path.Combine(directory, company))).Expect(0);
            records[$"{company}.example"] = (await Run.PgpTunnelAsync("dns", "records", "--config", config, "--format", format)).Expect(0).Text;
        }
        var operators = new Operators(directory, await DnsWorld.StartAsync(records));
        foreach (var company in new[] { "a", "b" })
            operators.Change(company, c => c["dns"] = new JsonObject { ["resolvers"] = new JsonArray(resolver), ["trustAnchors"] = operators.Dns.Anchors });
        return operators;
    }

    public void Change(string company, Action<JsonObject> change)
    {
        var root = JsonNode.Parse(File.ReadAllText(Config(company)), null, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip })!.AsObject();
        change(root);
        File.WriteAllText(Config(company), root.ToJsonString());
    }

    public async ValueTask DisposeAsync()
    {
        await Dns.DisposeAsync();
        System.IO.Directory.Delete(Directory, true);
    }
}
