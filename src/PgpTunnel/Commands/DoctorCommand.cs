using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>doctor</c>: looks at our own domains, or a partner's, as a stranger would.</summary>
internal static class DoctorCommand
{
    private static readonly TimeSpan EchoPatience = TimeSpan.FromSeconds(60);
    private static readonly Argument<string?> DomainArgument = new("DOMAIN")
    {
        DefaultValueFactory = _ => null,
        Description = "A partner's domain (default: all of ours).",
    };
    private static readonly Option<bool> EchoOption = new("--echo")
    {
        Description =
            "Send the partner's gateway an encrypted echo by way of the running gateway, and wait for it to come back "
            + "(at most a minute; the partner must allow it with policy.partners.OUR-DOMAIN.echo).",
    };

    public static Command Create() =>
        Cli.Command(
            "doctor",
            "Checks a domain from the root of the DNS to its gateway's greeting: zones, policy, certificate, mail "
                + "exchanger; each line ok, warning or wrong, with what to do. Exit code 65 when something is wrong.",
            "pgptunnel doctor b.example --echo",
            RunAsync,
            DomainArgument,
            EchoOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var given = parse.GetValue(DomainArgument);
        if (parse.GetValue(EchoOption) && given is null)
            throw new CommandException(Exit.Usage, "--echo needs the DOMAIN of a partner");
        var domains =
            given is null ? configuration.Domains
            : Domains.TryNormalise(given, out var domain) ? [domain]
            : throw new CommandException(Exit.Usage, $"'{given}' is not a domain");
        await using var session = GatewayAtRest.Open(configuration);
        var check = CheckView.Of(
            await parse.WatchedAsync(async progress =>
            {
                var results = await ExamineAsync(session, domains, isOwn: given is null, progress, cancel);
                if (parse.GetValue(EchoOption))
                {
                    progress.Report(new($"{domains[0]}: its gateway, which is asked for an echo"));
                    results[0].Findings.Add(await EchoAsync(session, configuration, domains[0], cancel));
                }
                return results;
            })
        );
        return parse.Report(
            check,
            string.Join("\n\n", check.Domains.Select(d => $"{d.Domain}\n{string.Join('\n', d.Findings.Select(Line))}")),
            check.Ok ? Exit.Ok : Exit.Data
        );
    }

    private static async Task<List<(string Domain, List<Finding> Findings)>> ExamineAsync(
        GatewayAtRest session,
        IReadOnlyList<string> domains,
        bool isOwn,
        IProgress<Stage> progress,
        CancellationToken cancel
    )
    {
        var doctor = new Doctor(session.Settings, session.Peers, session.Names, TimeProvider.System);
        var results = new List<(string Domain, List<Finding> Findings)>();
        foreach (var domain in domains)
            results.Add((domain, [.. await doctor.ExamineAsync(domain, progress, cancel)]));
        if (!isOwn)
            return results;
        progress.Report(new("our mail server and the relay"));
        results[0].Findings.AddRange(await doctor.ServersAsync(cancel));
        results[0].Findings.Add(Doctor.Clock(KernelClock.Read()));
        return results;
    }

    private static string Line(FindingView f) =>
        $"  {f.Level, -8} {f.Check, -12} {f.What}{(f.Do is null ? "" : $"\n{new string(' ', 24)}{f.Do}")}";

    private static async Task<Finding> EchoAsync(
        GatewayAtRest session,
        GatewayConfiguration configuration,
        string domain,
        CancellationToken cancel
    )
    {
        const string check = "echo";
        if (!SpoolLock.IsHeld(configuration.SpoolFile) || session.Spool is null)
            return new(
                FindingLevel.Warning,
                check,
                "not sent: the gateway does not run",
                "start it with 'pgptunnel run'"
            );
        await session.Arming.CheckAsync(cancel);
        var (decision, peer) = await session.Decisions.DecideAsync(
            domain,
            configuration.Domains[0],
            LocalPolicy.Require,
            cancel
        );
        if (decision.Kind != DecisionKind.Seal)
            return new(FindingLevel.Wrong, check, $"not sent: {decision.Why}", "see the lines above");
        var echoes = new Echoes(
            new Site(
                session.Settings,
                session.Spool,
                new EventLog(TextWriter.Null, false, TimeProvider.System),
                TimeProvider.System
            ),
            session.Peers,
            new Parcels(session.Settings, TimeProvider.System)
        );
        var outcome = await echoes.AskAsync(peer!, EchoPatience, cancel);
        return outcome is null
                ? new(
                    FindingLevel.Warning,
                    check,
                    $"nothing came back within {EchoPatience.TotalSeconds:0} s",
                    "see the gateway's log; a hop may be slow"
                )
            : outcome.StartsWith("answered", StringComparison.Ordinal)
                ? new(FindingLevel.Ok, check, $"came back: {outcome}")
            : new(
                FindingLevel.Warning,
                check,
                outcome,
                "if the reply says that no echo is answered, all else worked; the partner allows it with policy.partners.OUR-DOMAIN.echo"
            );
    }
}
