using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>
/// Looks our own domains up as a stranger would (PROTOCOL.md 6): until a peer can find and trust our key, what we seal would be refused
/// there.
/// </summary>
internal sealed class Arming(Settings settings, Peers peers, EventLog log, TimeProvider time)
{
    private static readonly TimeSpan Daily = TimeSpan.FromDays(1),
        Often = TimeSpan.FromMinutes(1),
        Soon = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<string, (ArmState State, string Key)> _states = new();
    private readonly ConcurrentDictionary<string, bool> _doubted = new(); // a reload looks too, while the daily look goes on
    private DateTimeOffset _checked;
    private bool _failed;

    public ArmState State(string domain) =>
        _states.TryGetValue(domain, out var known) && known.Key == settings.Keys.Active.Fingerprint
            ? known.State
            : new($"{domain} has not been looked up yet", false);

    public bool Armed => settings.Configuration.Domains.All(d => State(d).IsArmed);

    public async Task CheckAsync(CancellationToken cancel)
    {
        (_checked, _failed) = (time.GetUtcNow(), false);
        foreach (var domain in settings.Configuration.Domains)
        {
            var state = await LookUpAsync(domain, cancel);
            var before = _states.TryGetValue(domain, out var known) ? known.State : (ArmState?)null;
            if (before != state)
                log.Write(
                    state.IsArmed ? "armed" : "unarmed",
                    ("domain", domain),
                    ("key", settings.Keys.Active.Fingerprint),
                    ("why", state.Missing),
                    (
                        "do",
                        state.IsArmed ? null
                        : state.Known
                            ? "publish the records that 'pgptunnel dns records' prints; mail that must be sealed waits until then"
                        : "see that dns.resolvers answer; mail waits until then"
                    )
                );
            _states[domain] = (state, settings.Keys.Active.Fingerprint);
        }
    }

    private async Task<ArmState> LookUpAsync(string domain, CancellationToken cancel)
    {
        var peer = await peers.FindAsync(domain, fresh: true, cancel);
        // An old denial that is played back, or a delegation that is signed no more, would take the gateway out of service for all
        // partners.
        var doubtful = peer.Outdated || peer is { Class: PeerClass.Insecure, Remembered: true };
        if (doubtful && _doubted.TryAdd(domain, true))
            log.Write(
                "own-records-in-doubt",
                ("domain", domain),
                ("alarm", true),
                ("why", peer.Why),
                (
                    "do",
                    $"what was found before stands; 'pgptunnel doctor {domain}' here and from elsewhere, and see what dns.resolvers answer"
                )
            );
        if (!doubtful)
            _doubted.TryRemove(domain, out _);
        if (doubtful || peer.Class == PeerClass.Temporary)
        {
            // What was found before, of this key, stands until an answer says otherwise.
            _failed = true;
            return State(domain) is { Known: true } before
                ? before
                : new($"{domain} cannot be looked up: {peer.Why}", false);
        }
        return peer.Class != PeerClass.Usable ? new($"{domain} is {peer.Class} from outside: {peer.Why}", true)
            : peer.Keys.Any(k => k.Fingerprint == settings.Keys.Active.Fingerprint) ? ArmState.Armed
            : new(
                $"{domain} publishes {string.Join(", ", peer.Listed)}, not our key {settings.Keys.Active.Fingerprint}",
                true
            );
    }

    /// <summary>
    /// Checks daily, every minute while something is missing, and every few seconds while it cannot be looked up, until cancelled.
    /// </summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                await Task.Delay(_failed ? Soon : Often, time, cancel);
                if (Armed && !_failed && (time.GetUtcNow() - _checked).Duration() < Daily)
                    continue;
                try
                {
                    await CheckAsync(cancel);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    log.Write(
                        "error",
                        ("what", "looking our own domains up"),
                        ("why", e.Message),
                        ("do", "it is tried again in a minute")
                    );
                }
            }
        }
        catch (OperationCanceledException) { }
    }
}
