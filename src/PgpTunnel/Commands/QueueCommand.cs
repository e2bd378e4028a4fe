using System.CommandLine;
using System.Globalization;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>queue</c>: the spool, while the gateway runs or not.</summary>
internal static partial class QueueCommand
{
    private static readonly Argument<string> IdArgument = new("ID");
    private static readonly Argument<string?> OptionalIdArgument = new("ID") { DefaultValueFactory = _ => null };
    private static readonly Argument<string> DirectoryArgument = new("DIR");
    private static readonly Option<string?> DomainOption = new("--domain")
    {
        Description = "All parcels for this domain.",
        HelpName = "D",
    };

    private static readonly Option<string?> FromOption =
            new("--from") { Description = "From this domain or address; <> = reports.", HelpName = "D|ADDR" },
        ToOption = new("--to") { Description = "For this domain or address.", HelpName = "D|ADDR" },
        OlderOption =
            new("--older")
            {
                Description = "That have waited so long (30m, 2h, 3d), or came before a time (RFC 3339).",
                HelpName = "T",
            };

    public static Command Create() =>
        Cli.Group(
            "queue",
            "The spool.",
            Cli.Command(
                "list",
                "Lists the parcels that wait: all, or those of a sender, for a recipient, or that came before a time.",
                "pgptunnel queue list --to b.example --older 2h",
                (parse, _) => With(parse, spool => Task.FromResult(List(parse, spool))),
                FromOption,
                ToOption,
                OlderOption
            ),
            Cli.Command(
                "show",
                "Shows one parcel: state, attempts, envelope.",
                "pgptunnel queue show 9f0c…",
                (parse, _) => With(parse, spool => Task.FromResult(Show(parse, spool))),
                IdArgument
            ),
            Cli.Command(
                "retry",
                "Tries parcels again now: one, a domain's, or all.",
                "pgptunnel queue retry --domain b.example",
                (parse, _) => With(parse, spool => RetryAsync(parse, spool)),
                OptionalIdArgument,
                DomainOption,
                Cli.Reason
            ),
            Cli.Command(
                "hold",
                "Keeps a parcel from being sent.",
                "pgptunnel queue hold 9f0c…",
                (parse, _) => With(parse, spool => ChangeAsync(parse, spool, ParcelState.Held, "held")),
                IdArgument,
                Cli.Reason
            ),
            Cli.Command(
                "release",
                "Lets a held parcel go.",
                "pgptunnel queue release 9f0c…",
                (parse, _) => With(parse, spool => ChangeAsync(parse, spool, ParcelState.Queued, "released")),
                IdArgument,
                Cli.Reason
            ),
            Cli.Command(
                "check",
                "Says whether the spool is whole, and whether each parcel in it opens with the keys held. Exit code 65 when not.",
                "pgptunnel queue check",
                CheckAsync
            ),
            Cli.Command(
                "export",
                "Writes everything that can be read of the spool to a new folder, sealed as it is; for a damaged one.",
                "pgptunnel queue export /var/tmp/rescued",
                ExportAsync,
                DirectoryArgument
            ),
            Cli.Command(
                "import",
                "Reads what 'export' wrote into the spool; the gateway must not run. What is there already stays.",
                "pgptunnel queue import /var/tmp/rescued",
                ImportAsync,
                DirectoryArgument
            ),
            Cli.Command(
                "drop",
                "Deletes a parcel for good; nobody is told.",
                "pgptunnel queue drop 9f0c…",
                (parse, _) => With(parse, spool => DropAsync(parse, spool)),
                IdArgument,
                Cli.Yes,
                Cli.Reason
            )
        );

    private static async Task<int> With(ParseResult parse, Func<Spool, Task<int>> work)
    {
        var configuration = parse.Configuration();
        await using var spool =
            // empty, as it will be when the gateway first runs
            GatewayAtRest.ExistingSpool(configuration) ?? Spool.Open(configuration.SpoolFile, running: false);
        return await work(spool);
    }

    private static Parcel Find(ParseResult parse, Spool spool)
    {
        var id = parse.GetRequiredValue(IdArgument);
        return spool.Find(id) is { State: not ParcelState.Handed } parcel ? parcel : throw Gone(id);
    }

    private static CommandException Gone(string id) => new(Exit.Data, $"no parcel {id} waits in the spool");

    private static int List(ParseResult parse, Spool spool)
    {
        var filter = new ParcelFilter(
            Asked(parse, FromOption),
            Asked(parse, ToOption),
            parse.GetValue(OlderOption) is { } older ? Before(older, TimeProvider.System.GetUtcNow()) : null
        );
        var (waiting, unreadable) = filter.Waiting(parse.Configuration(), spool);
        var isAll = filter == new ParcelFilter(null, null, null);
        if (unreadable > 0)
            Console.Error.WriteLine($"{unreadable} parcel(s) could not be opened to see: 'pgptunnel queue check'");
        return parse.Report(
            new { parcels = waiting },
            waiting.Count == 0
                ? isAll
                    ? "the queue is empty"
                    : "no such parcel waits"
                : Cli.Table([
                    ["ID", "ROUTE", "DOMAIN", "STATE", "CREATED", "NEXT", "ATTEMPTS", "STATUS", "CLASS", "HOST"],
                    .. waiting.Select(p =>
                        new[]
                        {
                            p.Id,
                            p.Route,
                            p.Route == "local" ? $"from {p.Domain}" : p.Domain,
                            p.State,
                            p.Created,
                            p.Next,
                            $"{p.Attempts}",
                            p.Status ?? "",
                            p.Class ?? "",
                            p.Host ?? "",
                        }
                    ),
                ])
        );
    }

    /// <summary>A domain or an address, in or out of angle brackets.</summary>
    private static string? Asked(ParseResult parse, Option<string?> option)
    {
        if (parse.GetValue(option)?.Trim() is not { } given || given == "<>")
            return parse.GetValue(option)?.Trim();
        var text = given.TrimStart('<').TrimEnd('>');
        return !Domains.TryNormalise(text[(text.LastIndexOf('@') + 1)..], out var domain)
                ? throw new CommandException(Exit.Usage, $"{option.Name}: {given} is no domain and no address")
            : text.Contains('@') ? text
            : domain;
    }

    /// <param name="text"><c>30m</c>, <c>2h</c>, <c>3d</c>, or a time.</param>
    private static DateTimeOffset Before(string text, DateTimeOffset now)
    {
        if (
            text is [.. var digits, 's' or 'm' or 'h' or 'd']
            && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        )
            return now - TimeSpan.FromDays(Math.Min(number * DaysOf(text[^1]), LongestDays));
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time
            : throw new CommandException(Exit.Usage, $"--older: {text} is neither a duration such as 2h nor a time");
    }

    private const double LongestDays = 36_500; // before anything was

    private static double DaysOf(char unit) =>
        unit switch
        {
            's' => 1.0 / (24 * 60 * 60),
            'm' => 1.0 / (24 * 60),
            'h' => 1.0 / 24,
            _ => 1,
        };

    private static int Show(ParseResult parse, Spool spool)
    {
        var parcel = Find(parse, spool);
        var detail = ParcelDetail.Of(parse.Configuration(), spool, parcel) ?? throw Gone(parcel.Id);
        var view = detail.Parcel;
        return parse.Report(
            detail,
            $"""
            id        {view.Id}
            route     {view.Route}, {(view.Route == "local" ? "from" : "for")} {view.Domain}, {view.Form}
            state     {view.State}, {view.Attempts} attempts, last reply {(
                view.Status is null ? "-" : $"{view.Status} ({view.Class}) of {view.Host ?? "this gateway"}"
            )}
            created   {view.Created}, next attempt {view.Next}
            from      {detail.MailFrom ?? $"(not readable: {detail.Unreadable})"}
            to        {string.Join("\n          ", detail.RcptTo)}
            size      {detail.Size}
            """
        );
    }

    private static async Task<int> RetryAsync(ParseResult parse, Spool spool)
    {
        var (id, domain) = (parse.GetValue(OptionalIdArgument), parse.GetValue(DomainOption));
        if (domain is not null && !Domains.TryNormalise(domain, out domain))
            throw new CommandException(Exit.Usage, $"'{parse.GetValue(DomainOption)}' is not a domain");
        var chosen = spool
            .List()
            .Where(p =>
                p.State == ParcelState.Queued && (id is null || p.Id == id) && (domain is null || p.Domain == domain)
            )
            .ToList();
        if (id is not null && chosen.Count == 0)
            throw new CommandException(Exit.Data, $"no parcel {id} waits to be tried again");
        foreach (var parcel in chosen)
            await parse.ActsOn(spool).RetryAsync(parcel);
        return parse.Report(
            new { retried = chosen.Select(p => p.Id) },
            $"{chosen.Count} parcel(s) will be tried again now"
        );
    }

    private static async Task<int> ChangeAsync(ParseResult parse, Spool spool, ParcelState state, string done)
    {
        var parcel = Find(parse, spool);
        await (
            state == ParcelState.Held ? parse.ActsOn(spool).HoldAsync(parcel) : parse.ActsOn(spool).ReleaseAsync(parcel)
        );
        return parse.Report(new { id = parcel.Id, state = done }, $"{parcel.Id} {done}");
    }

    private static async Task<int> DropAsync(ParseResult parse, Spool spool)
    {
        var parcel = Find(parse, spool);
        parse.Confirm(
            $"Parcel {parcel.Id} {(parcel.Route == ParcelRoute.Local ? "from" : "for")} {parcel.Domain} will be "
                + "deleted for good, and nobody told."
        );
        await parse.ActsOn(spool).DropAsync(parcel);
        return parse.Report(new { id = parcel.Id, state = "dropped" }, $"{parcel.Id} dropped");
    }
}
