using System.CommandLine;
using System.Net;
using PgpTunnel.Smtp;

namespace PgpTunnel.Commands;

/// <summary><c>test</c>: a real message, followed to its end.</summary>
internal static class TestCommand
{
    private static readonly Argument<string> AddressArgument = new("ADDRESS")
    {
        Description = "Who gets a small message from the postmaster.",
    };

    private static readonly Option<int> WaitOption = new("--wait")
    {
        Description = "How long it is followed, in seconds (default: receipts.every and a minute and a half).",
        HelpName = "S",
    };

    public static Command Create() =>
        Cli.Command(
            "test",
            "Sends a small message by way of the running gateway, and shows what both sides have on record of it. Exit code 0 when the "
                + "other mail server has it, 65 when it failed or went in clear, 75 when that is not known yet.",
            "pgptunnel test postmaster@b.example",
            RunAsync,
            AddressArgument,
            WaitOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var given = parse.GetRequiredValue(AddressArgument);
        if (!Mailbox.TryParse(given.TrimStart('<').TrimEnd('>'), utf8: true, out var to))
            throw new CommandException(Exit.Usage, $"{given} is no address");
        if (!configuration.Evidence.Keep)
            throw new CommandException(
                Exit.Unavailable,
                "evidence.keep is false: what becomes of a message is not on record, and cannot be followed"
            );
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        if (
            spool is null
            || !SpoolLock.IsHeld(configuration.SpoolFile)
            || !IPEndPoint.TryParse(spool.Fact("outbound") ?? "", out var gateway)
        )
            throw new CommandException(Exit.Unavailable, "no gateway runs here that takes mail on listen.outbound");
        var test = new TestMail(configuration, spool, TimeProvider.System);
        var reply = await SendAsync(test, gateway, to, cancel);
        if (!reply.IsPositive)
            return parse.Report(
                new { reply = reply.ToString() },
                $"the gateway has not taken it: {reply}",
                reply.IsPermanent ? Exit.Data : Exit.Temporary
            );
        var id = reply.Text.Split(' ')[0];
        var patience = parse.GetValue(WaitOption) is > 0 and var seconds
            ? TimeSpan.FromSeconds(seconds)
            : configuration.Receipts.Every + TimeSpan.FromSeconds(90);
        if (await test.FollowAsync(id, patience, cancel) is not { } history)
            throw new CommandException(Exit.Temporary, $"it was taken ({reply}), and nothing is on record of it yet");
        var view = HistoryView.Of(history, spool);
        return parse.Report(
            view,
            view.Text,
            view.State switch
            {
                "relayed" => Exit.Ok,
                "failed" or "refused" or "clear" => Exit.Data,
                _ => Exit.Temporary,
            }
        );
    }

    private static async Task<SmtpReply> SendAsync(
        TestMail test,
        IPEndPoint gateway,
        Mailbox to,
        CancellationToken cancel
    )
    {
        try
        {
            return await test.SendAsync(gateway, to, cancel);
        }
        catch (SmtpUnavailableException e)
        {
            throw new CommandException(Exit.Unavailable, $"the gateway at {gateway} does not answer: {e.Message}");
        }
    }
}
