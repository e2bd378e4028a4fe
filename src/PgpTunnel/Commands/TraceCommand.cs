using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>trace</c>: what is on record about one message.</summary>
internal static class TraceCommand
{
    private static readonly Argument<string> WhatArgument = new("WHAT")
    {
        Description =
            "A Message-ID, our id of it, an address that it is from or for, or the id that your mail server gave it in its queue.",
    };

    public static Command Create() =>
        Cli.Command(
                "trace",
                "Shows what is on record about a message: taken, sealed with which key, handed to whom, opened, delivered; of several the "
                    + "newest, with the ids of the others. Exit code 65 where nothing is.",
                "pgptunnel trace '<20261127.1@a.example>'",
                RunAsync,
                WhatArgument
            )
            .WithoutEmptyValues();

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, what) = (parse.Configuration(), parse.GetRequiredValue(WhatArgument));
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var search = spool is null ? null : new RecordSearch(configuration, spool);
        var ids = search?.Find(what) ?? [];
        if (ids.Count == 0)
            throw new CommandException(Exit.Data, $"nothing is on record about {what}");
        var view = HistoryView.Of(MessageHistory.Of(search!, spool!, ids[^1]), spool!);
        var others = ids.SkipLast(1).ToList();
        return parse.Report(
            new
            {
                view.Id,
                view.MessageId,
                view.State,
                view.Events,
                view.Missing,
                others,
            },
            others.Count == 0
                ? view.Text
                : $"{view.Text}\n{others.Count} older: {string.Join(", ", others.TakeLast(10).Reverse())}"
        );
    }
}
