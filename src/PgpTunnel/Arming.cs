using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>
/// Whether our own domains look right from outside (PROTOCOL.md 6): until a peer can find and trust our key, what we seal would be
/// refused there.
/// </summary>
internal sealed class Arming(Settings settings, Peers peers, EventLog log)
{
    private readonly ConcurrentDictionary<string, string?> _missing = new();

    /// <summary>What a peer would miss of this domain; null = armed.</summary>
    public string? Missing(string domain) => _missing.TryGetValue(domain, out var missing) ? missing : $"{domain} has not been looked up yet";

    public bool Armed => settings.Configuration.Domains.All(d => Missing(d) is null);

    /// <summary>Looks our domains up as a stranger would.</summary>
    public async Task CheckAsync(CancellationToken cancel)
    {
        foreach (var domain in settings.Configuration.Domains)
        {
            var missing = await MissingAsync(domain, cancel);
            if (!_missing.TryGetValue(domain, out var before) || before != missing)
                log.Write(missing is null ? "armed" : "unarmed", ("domain", domain), ("key", settings.Keys.Active.Fingerprint), ("why", missing),
                    ("do", missing is null ? null : "publish the records that 'pgptunnel dns records' prints; mail that must be sealed waits until then"));
            _missing[domain] = missing;
        }
    }

    private async Task<string?> MissingAsync(string domain, CancellationToken cancel)
    {
        var state = await peers.FindAsync(domain, fresh: true, cancel);
        return state.Class != PeerClass.Usable ? $"{domain} is {state.Class} from outside: {state.Why}"
            : state.Keys.Any(k => k.Fingerprint == settings.Keys.Active.Fingerprint) ? null
            : $"{domain} publishes {string.Join(", ", state.Listed)}, not our key {settings.Keys.Active.Fingerprint}";
    }

    /// <summary>Checks daily, and every minute while something is missing.</summary>
    public async Task RunAsync(TimeProvider time, CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            await Task.Delay(Armed ? TimeSpan.FromDays(1) : TimeSpan.FromMinutes(1), time, cancel);
            await CheckAsync(cancel);
        }
    }
}
