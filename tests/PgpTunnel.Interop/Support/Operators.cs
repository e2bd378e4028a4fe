using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>Companies A and B set up as their operators would: init, the printed records into the zone, signed and served by NSD.</summary>
internal sealed class Operators : IAsyncDisposable
{
    private Operators(string directory, DnsWorld dns, IReadOnlyDictionary<string, string> records) =>
        (Directory, Dns, Records) = (directory, dns, records);

    public string Directory { get; }
    public DnsWorld Dns { get; }

    /// <summary>The records that were published, by zone.</summary>
    public IReadOnlyDictionary<string, string> Records { get; }

    public string Config(string company) => Path.Combine(Directory, company, "pgptunnel.json");

    public string KeyFile(string company) =>
        System.IO.Directory.EnumerateFiles(Path.Combine(Directory, company, "keys"), "*.key").Single();

    /// <param name="ttl">Of all records, in seconds.</param>
    /// <param name="more">Zone-file lines to add to a company's zone.</param>
    public static async Task<Operators> SetUpAsync(
        string algorithm = "ed25519",
        string format = "zone",
        string resolver = DnsWorld.Plain,
        int? ttl = null,
        Func<string, string>? more = null
    )
    {
        var directory = System.IO.Directory.CreateTempSubdirectory("pgptunnel-operators-").FullName;
        var records = new Dictionary<string, string>();
        foreach (var company in new[] { "a", "b" })
        {
            var config = Path.Combine(directory, company, "pgptunnel.json");
            (
                await Run.PgpTunnelAsync(
                    "init",
                    "--domain",
                    $"{company}.example",
                    "--algorithm",
                    algorithm,
                    "--directory",
                    Path.Combine(directory, company)
                )
            ).Expect(0);
            records[$"{company}.example"] =
                (await Run.PgpTunnelAsync("dns", "records", "--config", config, "--format", format))
                    .Expect(0)
                    .Text.Replace(" 3600 IN ", $" {ttl ?? 3600} IN ") + more?.Invoke(company);
        }
        var operators = new Operators(directory, await DnsWorld.StartAsync(records, ttl), records);
        foreach (var company in new[] { "a", "b" })
            operators.Change(
                company,
                c =>
                    c["dns"] = new JsonObject
                    {
                        ["resolvers"] = new JsonArray(resolver),
                        ["trustAnchors"] = operators.Dns.Anchors,
                    }
            );
        return operators;
    }

    public void Change(string company, Action<JsonObject> change)
    {
        var root = JsonNode
            .Parse(
                File.ReadAllText(Config(company)),
                null,
                new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip }
            )!
            .AsObject();
        change(root);
        File.WriteAllText(Config(company), root.ToJsonString());
    }

    public async ValueTask DisposeAsync()
    {
        await Dns.DisposeAsync();
        System.IO.Directory.Delete(Directory, true);
    }
}
