using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// What a gateway does besides mail: takes over files that change, looks remembered partners up before they are forgotten, and checks
/// itself at start and daily.
/// </summary>
internal sealed class Upkeep(
    Site site,
    Peers peers,
    Doctor doctor,
    Witness witness,
    ClockWatch clock,
    Func<Task> reload
)
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(10),
        Hourly = TimeSpan.FromHours(1),
        Daily = TimeSpan.FromDays(1);
    private static readonly int[] ExpiryDays = [1, 7, 14, 30];
    private const int RefreshesAnHour = 20_000,
        RefreshesAtOnce = 8;

    private readonly Dictionary<string, int> _warned = [];

    /// <summary>Tasks that do not wait for each other, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        try
        {
            await Task.WhenAll(
                WatchFilesAsync(cancel),
                WatchActsAsync(cancel),
                EveryAsync(Hourly, site.Time.GetUtcNow(), "looking partners up", RefreshAsync, cancel),
                EveryAsync(Hourly, site.Time.GetUtcNow(), "counting what was not taken", NoiseAsync, cancel),
                EveryAsync(Daily, null, "the self-check", CheckAsync, cancel),
                EveryAsync(Daily, site.Spool.PartnersSeen, "looking verified partners up", RefreshVerifiedAsync, cancel)
            );
        }
        catch (OperationCanceledException)
        {
            // going down
        }
    }

    /// <param name="last">When it was last done; null = never.</param>
    private async Task EveryAsync(
        TimeSpan period,
        DateTimeOffset? last,
        string what,
        Func<CancellationToken, Task> work,
        CancellationToken cancel
    )
    {
        while (true)
        {
            if (last is not { } before || (site.Time.GetUtcNow() - before).Duration() >= period)
            {
                last = site.Time.GetUtcNow();
                await TryAsync(what, () => work(cancel), cancel);
            }
            await Task.Delay(Tick, site.Time, cancel);
        }
    }

    private async Task WatchFilesAsync(CancellationToken cancel)
    {
        var files = Files();
        var before = files;
        for (var settled = files; ; )
        {
            await Task.Delay(Tick, site.Time, cancel);
            // A file that is being written changes again: taken over when it has been still for one tick.
            var seen = Files();
            if (seen != settled && seen == files)
            {
                settled = seen;
                site.Log.Write("files-changed", ("why", $"changed: {string.Join(", ", Changed(before, seen))}"));
                before = seen;
                await TryAsync("reloading", reload, cancel);
            }
            files = seen;
        }
    }

    /// <summary>The files whose state differs.</summary>
    private static IEnumerable<string> Changed(string before, string now) =>
        now.Split('\n')
            .Except(before.Split('\n'))
            .Concat(before.Split('\n').Except(now.Split('\n')))
            .Select(l => Path.GetFileName(l.Split('\0')[0]))
            .Distinct();

    /// <summary>What administrators do by commands stands in this gateway's log too.</summary>
    private async Task WatchActsAsync(CancellationToken cancel)
    {
        for (var last = site.Spool.LastAct; ; await Task.Delay(Tick, site.Time, cancel))
            await TryAsync(
                "reading the journal",
                () =>
                {
                    foreach (var act in site.Spool.Acts(after: last))
                    {
                        site.Log.Write(
                            "act",
                            ("what", act.What),
                            ("subject", act.Subject),
                            ("by", act.Who),
                            ("reason", act.Reason.Length > 0 ? act.Reason : null)
                        );
                        last = act.Number;
                    }
                    return Task.CompletedTask;
                },
                cancel
            );
    }

    private async Task TryAsync(string what, Func<Task> work, CancellationToken cancel)
    {
        try
        {
            await work();
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            site.Log.Write("error", ("what", what), ("why", e.Message), ("do", "it is tried again"));
        }
    }

    /// <summary>The state of every file that a reload reads.</summary>
    private string Files()
    {
        try
        {
            return string.Join(
                '\n',
                site.Configuration.Files.Select(f => new FileInfo(f))
                    .Select(f => $"{f.FullName}\0{(f.Exists ? $"{f.LastWriteTimeUtc.Ticks} {f.Length}" : "-")}")
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message; // a folder that went away meanwhile; the next look tells
        }
    }

    /// <summary>
    /// Partners whose remembered <c>enforce</c> would end within a day are looked up, so that silence alone never ends it.
    /// </summary>
    private async Task RefreshAsync(CancellationToken cancel)
    {
        // Those, too, whom only a clock that has jumped has put behind their end.
        await RefreshAsync(site.Spool.PeersEnding(clock.Sure, site.Time.GetUtcNow() + Daily, RefreshesAnHour), cancel);
    }

    /// <summary>Of what strangers send that is no parcel for us one record an hour is enough.</summary>
    private async Task NoiseAsync(CancellationToken cancel)
    {
        if (witness.Noise() is { Count: > 0 } noise)
            await site.Spool.CommitAsync(new() { Entries = noise });
    }

    private async Task RefreshAsync(IReadOnlyList<string> domains, CancellationToken cancel)
    {
        await Parallel.ForEachAsync(
            domains,
            new ParallelOptions { MaxDegreeOfParallelism = RefreshesAtOnce, CancellationToken = cancel },
            async (domain, stop) =>
                await TryAsync(
                    $"looking {domain} up",
                    async () => await peers.FindAsync(domain, fresh: true, stop),
                    stop
                )
        );
    }

    /// <summary>
    /// Partners with trusted fingerprints are looked up daily: so that a change of their keys is seen while both are listed.
    /// </summary>
    private async Task RefreshVerifiedAsync(CancellationToken cancel)
    {
        await RefreshAsync(
            [
                .. site
                    .Spool.VerifiedPeers()
                    .Concat(
                        site.Configuration.Policy.Partners.Where(p => p.Value.Fingerprints.Count > 0).Select(p => p.Key)
                    )
                    .Distinct()
                    .Take(RefreshesAnHour),
            ],
            cancel
        );
        await site.Spool.PartnersSeenAsync(site.Time.GetUtcNow());
    }

    private async Task CheckAsync(CancellationToken cancel)
    {
        foreach (var domain in site.Configuration.Domains)
        {
            var findings = await doctor.ExamineAsync(domain, Stage.Unseen, cancel);
            foreach (var level in Enum.GetValues<FindingLevel>())
                Metrics.SelfCheck(domain, level.ToString().ToLowerInvariant(), findings.Count(f => f.Level == level));
            foreach (var finding in findings.Where(f => f.Level != FindingLevel.Ok))
                site.Log.Write(
                    "self-check",
                    ("level", finding.Level.ToString().ToLowerInvariant()),
                    ("domain", domain),
                    ("check", finding.Check),
                    ("why", finding.What),
                    ("do", finding.Do)
                );
            if (findings.All(f => f.Level == FindingLevel.Ok))
                site.Log.Write("self-check", ("level", "ok"), ("domain", domain));
        }
        foreach (var finding in (await doctor.ServersAsync(cancel)).Where(f => f.Level != FindingLevel.Ok))
            site.Log.Write(
                "self-check",
                ("level", finding.Level.ToString().ToLowerInvariant()),
                ("check", finding.Check),
                ("why", finding.What),
                ("do", finding.Do)
            );
        var left = site
            .Settings.Keys.Published.Select(k => (k.Fingerprint, Days: WarnOfExpiry(k)))
            .Where(k => k.Days is not null)
            .ToDictionary(k => k.Fingerprint, k => k.Days!.Value);
        Metrics.Expiries(left);
        await RotateAsync(cancel);
    }

    /// <summary>Our keys do not expire, but one brought from elsewhere may: said 30, 14, 7 and 1 days ahead.</summary>
    /// <returns>The days left; null where it does not expire.</returns>
    private double? WarnOfExpiry(GatewayKey key)
    {
        var judgement = Certificate
            .Read(key.ExportCertificate())
            .Judge(site.Configuration.Gateway, site.Time.GetUtcNow());
        if (judgement.Key is { Expires: null })
            return null;
        var days = judgement.Key?.Expires is { } end ? (end - site.Time.GetUtcNow()).TotalDays : 0;
        var threshold = ExpiryDays.FirstOrDefault(d => days <= d);
        if (threshold == 0 || _warned.GetValueOrDefault(key.Fingerprint) == threshold)
            return days;
        _warned[key.Fingerprint] = threshold;
        site.Log.Write(
            "key-expires",
            ("key", key.Fingerprint),
            ("alarm", true),
            ("days", Math.Round(days, 1)),
            ("why", judgement.Refusal),
            ("do", "'pgptunnel key rotate' changes to a new key without delaying mail")
        );
        return days;
    }

    private async Task RotateAsync(CancellationToken cancel)
    {
        var peer = await peers.FindAsync(site.Configuration.Domains[0], fresh: false, cancel);
        var published = peer
            .Keys.FirstOrDefault(k => k.Fingerprint == site.Settings.Keys.Active.Fingerprint)
            ?.EncryptionFingerprint;
        if (site.Settings.Keys.Active.HasOldEncryption)
            await SubkeyRotation.SealAnewAsync(site.Settings.Keys, site.Spool);
        if (clock.IsInDoubt)
            return; // a secret that is destroyed does not come back
        if (SubkeyRotation.TakeStep(site.Configuration, site.Spool, published, site.Time.GetUtcNow()) is not { } done)
            return;
        site.Log.Write("subkey", ("key", site.Settings.Keys.Active.Fingerprint), ("what", done));
        await reload();
    }
}
