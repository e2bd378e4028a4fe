using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>status</c>: the running gateway on one screen.</summary>
internal static class StatusCommand
{
    public static Command Create() =>
        Cli.Command(
            "status",
            "Shows whether the gateway runs, whether it is armed, and what waits. Exit code 69 when it does not run.",
            "pgptunnel status",
            RunAsync
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        await using var session = GatewayAtRest.Open(configuration);
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        await session.Arming.CheckAsync(cancel);
        var facts = spool?.Facts() ?? [];
        var running = SpoolLock.IsHeld(configuration.SpoolFile);
        var parcels = spool?.List() ?? [];
        var (queued, held, handed) = (Count(ParcelState.Queued), Count(ParcelState.Held), Count(ParcelState.Handed));
        var oldest = parcels.Where(p => p.State == ParcelState.Queued).Select(p => (DateTimeOffset?)p.Created).Min();
        var domains = configuration
            .Domains.Select(d => new
            {
                domain = d,
                armed = session.Arming.State(d).IsArmed,
                missing = session.Arming.State(d).Missing,
            })
            .ToList();
        var key = session.Settings.Keys.Active;
        return parse.Report(
            new
            {
                running,
                pid = running && int.TryParse(facts.GetValueOrDefault("pid"), out var pid) ? pid : (int?)null,
                started = running ? facts.GetValueOrDefault("started") : null,
                outbound = running ? facts.GetValueOrDefault("outbound") : null,
                inbound = running ? facts.GetValueOrDefault("inbound") : null,
                armed = session.Arming.Armed,
                domains,
                key = key.Fingerprint,
                queue = new
                {
                    queued,
                    held,
                    handed,
                    oldest = oldest is null ? null : InnerHeader.Time(oldest.Value),
                },
            },
            $"""
            gateway   {(
                running
                    ? $"running, pid {facts.GetValueOrDefault("pid")}, since {facts.GetValueOrDefault("started")}"
                    : "not running"
            )}
            listens   outbound {(running ? facts.GetValueOrDefault("outbound") : "-")}, inbound {(
                running ? facts.GetValueOrDefault("inbound") : "-"
            )}
            key       {key.Fingerprint} ({key.Algorithm})
            armed     {string.Join(
                "\n          ",
                domains.Select(d => $"{d.domain}: {(d.armed ? "yes" : $"no, {d.missing}")}")
            )}
            queue     {queued} queued, {held} held{(
                oldest is null ? "" : $", oldest from {InnerHeader.Time(oldest.Value)}"
            )}; {handed} handed over and remembered for bounces
            """,
            running ? Exit.Ok : Exit.Unavailable
        );

        int Count(ParcelState state) => parcels.Count(p => p.State == state);
    }
}
