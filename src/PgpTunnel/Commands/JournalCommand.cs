using System.CommandLine;
using System.Globalization;

namespace PgpTunnel.Commands;

/// <summary><c>journal</c>: what administrators did.</summary>
internal static class JournalCommand
{
    private static readonly Option<string?> SinceOption = new("--since")
    {
        Description = "Only what was done from then on.",
        HelpName = "RFC3339",
    };

    public static Command Create() =>
        Cli.Command(
            "journal",
            "Shows what administrators have done to the queue, to partners and to keys: when, who, what, to what, and why.",
            "pgptunnel journal --since 2026-11-01T00:00:00Z",
            RunAsync,
            SinceOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var since = DateTimeOffset.MinValue;
        if (
            parse.GetValue(SinceOption) is { } text
            && !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out since)
        )
            throw new CommandException(Exit.Usage, $"--since: '{text}' is not a time such as 2026-11-01T00:00:00Z");
        await using var spool = GatewayAtRest.ExistingSpool(parse.Configuration());
        var acts = (spool?.Acts() ?? []).Where(a => a.Time >= since).Select(ActView.Of).ToList();
        return parse.Report(
            new { acts },
            acts.Count == 0
                ? "nothing is on record"
                : Cli.Table([
                    ["TIME", "WHO", "WHAT", "SUBJECT", "REASON"],
                    .. acts.Select(a => new[] { a.Time, a.Who, a.What, a.Subject, a.Reason ?? "" }),
                ])
        );
    }
}
