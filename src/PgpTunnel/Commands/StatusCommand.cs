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
            (parse, cancel) => parse.GetValue(CheckOption) ? CheckAsync(parse, cancel) : RunAsync(parse, cancel),
            CheckOption
        );

    private static readonly Option<bool> CheckOption = new("--check")
    {
        Description = "One line for a monitor, and its exit codes: 0 well, 1 warning, 2 critical, 3 unknown.",
    };

    /// <summary>As a plugin of Nagios and its kind: whatever goes wrong is said on stdout, and is one of four codes.</summary>
    private static async Task<int> CheckAsync(ParseResult parse, CancellationToken cancel)
    {
        HealthView health;
        try
        {
            await using var session = GatewayAtRest.Open(parse.Configuration());
            await session.Arming.CheckAsync(cancel);
            health = HealthView.Of(
                StatusView.Of(session.Settings, session.Arming, session.Spool),
                session.Settings.Configuration,
                session.Spool,
                TimeProvider.System.GetUtcNow()
            );
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            health = new(HealthLevel.Unknown, [e.Message], []);
        }
        return parse.Report(health, health.ToString(), (int)health.Level);
    }

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        await using var session = GatewayAtRest.Open(parse.Configuration());
        await session.Arming.CheckAsync(cancel);
        var status = StatusView.Of(session.Settings, session.Arming, session.Spool);
        var (queue, key) = (status.Queue, session.Settings.Keys.Active);
        return parse.Report(
            status,
            $"""
            gateway   {(status.Running ? $"running, pid {status.Pid}, since {status.Started}" : "not running")}
            listens   outbound {status.Outbound ?? "-"}, inbound {status.Inbound ?? "-"}
            key       {key.Fingerprint} ({key.Algorithm})
            armed     {string.Join(
                "\n          ",
                status.Domains.Select(d => $"{d.Domain}: {(d.Armed ? "yes" : $"no, {d.Missing}")}")
            )}
            queue     {queue.Queued} queued, {queue.Held} held{(
                queue.Oldest is null ? "" : $", oldest from {queue.Oldest}"
            )}; {queue.Handed} handed over and remembered for bounces
            receipts  {status.Receipts.Awaited} awaited{(
                status.Receipts.Oldest is { } awaited ? $", oldest from {awaited}" : ""
            )}
            backup    {(
                status.NotInBackup is { } newest
                    ? $"the newest key, {newest}, is in none: see 'pgptunnel backup --help'"
                    : "has the newest key"
            )}
            """,
            status.Running ? Exit.Ok : Exit.Unavailable
        );
    }
}
