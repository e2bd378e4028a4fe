namespace PgpTunnel.Interop;

/// <summary>
/// NSD and unbound on loopback:
/// <code>
///   nsd 127.0.53.1 (root)  nsd 127.0.53.2 (example)  nsd 127.0.53.3 (leaf zones)      port 5300
///            \                     |                      /
///      unbound 127.0.53.10 (validating)   unbound 127.0.53.11 (not validating)        port 5310
/// </code>
/// </summary>
internal sealed class DnsWorld : IAsyncDisposable
{
    public const string Validating = "127.0.53.10:5310",
        Plain = "127.0.53.11:5310";

    private readonly string _directory;

    private readonly int? _ttl;

    private DnsWorld(string directory, int? ttl) => (_directory, _ttl) = (directory, ttl);

    public string Anchors => Path.Combine(_directory, "root.ds");

    /// <param name="records">Records to add, zone-file lines by zone name without final dot.</param>
    /// <param name="ttl">Of all records, in seconds; null = 300.</param>
    public static async Task<DnsWorld> StartAsync(IReadOnlyDictionary<string, string>? records = null, int? ttl = null)
    {
        Need.Programs("nsd", "unbound", "ldns-signzone", "ldns-keygen", "dig", "python3");
        var directory = Directory.CreateTempSubdirectory("pgptunnel-dns-").FullName;
        var world = new DnsWorld(directory, ttl);
        (await world.ScriptAsync(["up"], records ?? new Dictionary<string, string>())).Expect(0);
        return world;
    }

    /// <summary>Changes a zone while its servers run.</summary>
    /// <param name="how"><c>nods</c>, <c>ds</c>, <c>bogus</c>, or <c>records</c> with the records to serve from now on.</param>
    public async Task ChangeAsync(string zone, string how, string records = "") =>
        (await ScriptAsync(["change", zone, how], new Dictionary<string, string> { [zone] = records })).Expect(0);

    private async Task<Finished> ScriptAsync(string[] words, IReadOnlyDictionary<string, string> records)
    {
        var extra = Directory.CreateTempSubdirectory("pgptunnel-extra-").FullName;
        foreach (var (zone, text) in records)
            await File.WriteAllTextAsync(Path.Combine(extra, zone), text);
        var environment = new Dictionary<string, string> { ["W"] = _directory, ["EXTRA"] = extra };
        if (_ttl is { } ttl)
            environment["TTL"] = ttl.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var finished = await Run.ProgramAsync(
            "bash",
            [Path.Combine(AppContext.BaseDirectory, "DnsWorld", "world.sh"), .. words],
            environment: environment
        );
        Directory.Delete(extra, true);
        return finished;
    }

    public async ValueTask DisposeAsync()
    {
        await ScriptAsync(["down"], new Dictionary<string, string>());
        Directory.Delete(_directory, true);
    }
}
