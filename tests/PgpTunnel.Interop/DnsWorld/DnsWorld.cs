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
    public const string Validating = "127.0.53.10:5310", Plain = "127.0.53.11:5310";

    private readonly string _directory;

    private DnsWorld(string directory) => _directory = directory;

    public string Anchors => Path.Combine(_directory, "root.ds");

    /// <param name="records">Records to add, zone-file lines by zone name without final dot.</param>
    public static async Task<DnsWorld> StartAsync(IReadOnlyDictionary<string, string>? records = null)
    {
        Need.Programs("nsd", "unbound", "ldns-signzone", "ldns-keygen", "dig", "python3");
        var directory = Directory.CreateTempSubdirectory("pgptunnel-dns-").FullName;
        var extra = Directory.CreateDirectory(directory + "-extra").FullName;
        foreach (var (zone, text) in records ?? new Dictionary<string, string>())
            await File.WriteAllTextAsync(Path.Combine(extra, zone), text);
        var world = new DnsWorld(directory);
        (await world.ScriptAsync("up", extra)).Expect(0);
        Directory.Delete(extra, true);
        return world;
    }

    private Task<Finished> ScriptAsync(string verb, string extra) => Run.ProgramAsync("bash", [Path.Combine(AppContext.BaseDirectory, "DnsWorld", "world.sh"), verb],
        environment: new Dictionary<string, string> { ["W"] = _directory, ["EXTRA"] = extra });

    public async ValueTask DisposeAsync()
    {
        await ScriptAsync("down", "");
        Directory.Delete(_directory, true);
    }
}
