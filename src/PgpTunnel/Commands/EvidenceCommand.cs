using System.CommandLine;
using System.Globalization;
using PgpTunnel.Evidence;

namespace PgpTunnel.Commands;

/// <summary><c>evidence</c>: what is on record, found, given to somebody, and checked by him.</summary>
internal static partial class EvidenceCommand
{
    private static readonly Option<string?> IdOption = new("--id") { Description = "Our id of it.", HelpName = "ID" },
        MessageIdOption = new("--message-id") { HelpName = "ID" },
        FromOption = new("--from") { Description = "The envelope's sender.", HelpName = "ADDRESS" },
        ToOption = new("--to") { Description = "One of its recipients.", HelpName = "ADDRESS" },
        DomainOption = new("--domain") { Description = "The other side.", HelpName = "DOMAIN" },
        SinceOption = new("--since") { HelpName = "RFC3339" },
        UntilOption = new("--until") { HelpName = "RFC3339" },
        StateOption =
            new("--state") { Description = $"One of {string.Join(", ", MessageHistory.States)}.", HelpName = "STATE" };

    public static Command Create() =>
        Cli.Group(
            "evidence",
            "What is on record about mail.",
            Cli.Command(
                "find",
                "Lists the messages that all of this is true of.",
                "pgptunnel evidence find --to bob@b.example --since 2026-11-01T00:00:00Z",
                FindAsync,
                IdOption,
                MessageIdOption,
                FromOption,
                ToOption,
                DomainOption,
                SinceOption,
                UntilOption,
                StateOption
            ),
            CreateExport(),
            CreateVerify(),
            CreateErase()
        );

    private static async Task<int> FindAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var filter = new RecordFilter
        {
            Id = parse.GetValue(IdOption),
            MessageId = parse.GetValue(MessageIdOption),
            From = parse.GetValue(FromOption),
            To = parse.GetValue(ToOption),
            Domain = Domain(parse.GetValue(DomainOption)),
            Since = Time(parse, SinceOption) ?? DateTimeOffset.MinValue,
            Until = Time(parse, UntilOption) ?? DateTimeOffset.MaxValue,
            State = State(parse.GetValue(StateOption)),
        };
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var found = spool is null ? [] : Find(new RecordSearch(configuration, spool), spool, filter);
        return parse.Report(
            new { messages = found },
            found.Count == 0 ? "nothing is on record of that" : string.Join('\n', found.Select(f => f.Text)),
            found.Count == 0 ? Exit.Data : Exit.Ok
        );
    }

    private static List<HistoryView> Find(RecordSearch search, Spool spool, RecordFilter filter) =>
        [
            .. search
                .Find(filter)
                .Select(id => MessageHistory.Of(search, spool, id))
                .Where(h => filter.State is null || h.Is(filter.State))
                .Select(h => HistoryView.Of(h, spool)),
        ];

    private static string? Domain(string? text) =>
        text is null ? null
        : Domains.TryNormalise(text, out var domain) ? domain
        : throw new CommandException(Exit.Usage, $"--domain: '{text}' is not a domain");

    private static string? State(string? text) =>
        text is null || MessageHistory.States.Contains(text)
            ? text
            : throw new CommandException(
                Exit.Usage,
                $"--state: '{text}' is none of {string.Join(", ", MessageHistory.States)}"
            );

    private static DateTimeOffset? Time(ParseResult parse, Option<string?> option) =>
        parse.GetValue(option) is not { } text ? null
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time
        : throw new CommandException(Exit.Usage, $"{option.Name}: '{text}' is not a time such as 2026-11-01T00:00:00Z");
}
