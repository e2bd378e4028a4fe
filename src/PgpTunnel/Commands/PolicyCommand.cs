using System.CommandLine;
using PgpTunnel.Smtp;

namespace PgpTunnel.Commands;

/// <summary><c>policy</c>: what would happen to a mail now, by the very path that a recipient takes.</summary>
internal static class PolicyCommand
{
    private static readonly Argument<string> FromArgument = new("FROM");
    private static readonly Argument<string> ToArgument = new("TO");

    public static Command Create() =>
        Cli.Command(
            "policy",
            "Shows what would happen to mail from FROM to TO now, and why, without sending. Exit code 0 seal or "
                + "clear, 75 defer, 77 refuse.",
            "pgptunnel policy alice@a.example bob@b.example",
            RunAsync,
            FromArgument,
            ToArgument
        );

    public static Mailbox Address(string text) =>
        Mailbox.TryParse(text.Trim('<', '>'), true, out var mailbox)
            ? mailbox
            : throw new CommandException(Exit.Usage, $"'{text}' is not a mail address");

    /// <summary>An address, or null for the null sender.</summary>
    public static Mailbox? AddressOrNull(string text) => text is "" or "<>" ? null : Address(text);

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var from = AddressOrNull(parse.GetRequiredValue(FromArgument));
        var to = Address(parse.GetRequiredValue(ToArgument));
        if (!to.IsLiteral && !Domains.TryNormalise(to.Domain, out _))
            throw new CommandException(Exit.Usage, $"'{to.Domain}' is not a domain");
        await using var session = GatewayAtRest.Open(parse.Configuration());
        await session.Arming.CheckAsync(cancel);
        var (decision, peer) = await session.Decisions.DecideAsync(
            to.IsLiteral ? to.Domain : Normal(to.Domain),
            session.SenderDomain(from),
            LocalPolicy.Never,
            cancel
        );
        var reply = decision.RecipientReply(to.IsLiteral ? to.Domain : Normal(to.Domain)).ToString();
        return parse.Report(
            new
            {
                decision = decision.Kind.ToString().ToLowerInvariant(),
                reply,
                @class = peer?.Class,
                dnssec = peer?.Security,
                fingerprint = peer is { Class: PeerClass.Usable } ? peer.Preferred.Fingerprint : null,
                receipts = peer is { Class: PeerClass.Usable } ? peer.GivesReceipts : (bool?)null,
                why = peer is null ? decision.Why : $"{decision.Why}; {peer.Why}",
            },
            $"{decision.Kind.ToString().ToLowerInvariant()}: "
                + $"{reply}{(peer is null ? "" : $"\n{peer.Domain}: {peer.Class}, DNSSEC {peer.Security}: {peer.Why}{Receipts(peer)}")}",
            CodeOf(decision)
        );
    }

    private static string Receipts(PeerState peer) =>
        peer.Class != PeerClass.Usable ? ""
        : peer.GivesReceipts ? "; its gateway gives receipts"
        : "; its gateway gives no receipts";

    public static string Normal(string domain) => Domains.TryNormalise(domain, out var normal) ? normal : domain;

    public static int CodeOf(Decision decision) =>
        decision.Kind switch
        {
            DecisionKind.Defer => Exit.Temporary,
            DecisionKind.Refuse => Exit.Refused,
            _ => Exit.Ok,
        };
}
