using System.CommandLine;
using System.Globalization;

namespace PgpTunnel.Commands;

/// <summary><c>partner</c>: what is remembered of peers, and what an administrator says of them.</summary>
internal static partial class PartnerCommand
{
    private static readonly TimeSpan LongestOverride = TimeSpan.FromDays(14);
    private static readonly Argument<string> DomainArgument = new("DOMAIN");
    private static readonly Argument<string> FingerprintArgument = new("FPR");
    private static readonly Option<bool> ForceOption = new("--force")
    {
        Description = "Trust it although the domain does not offer it now; its mail waits until it does.",
    };
    private static readonly Option<bool> RemoveOption = new("--remove") { Description = "Trust it no more." };
    private static readonly Option<bool> ClearOption = new("--clear")
    {
        Description = "Mail to the domain goes in clear.",
    };
    private static readonly Option<bool> HoldOption = new("--hold") { Description = "Mail to the domain waits." };
    private static readonly Option<bool> EndOption = new("--end") { Description = "Neither any more." };
    private static readonly Option<string?> UntilOption = new("--until")
    {
        Description = "When it ends by itself, at most 14 days ahead.",
        HelpName = "RFC3339",
    };
    private static readonly Option<string> ReasonOption = new("--reason")
    {
        Description = "Why; it stands in the log and in 'partner show'.",
        HelpName = "TEXT",
        Required = true,
    };

    public static Command Create() =>
        Cli.Group(
            "partner",
            "What is remembered of partners; trusted fingerprints; overrides.",
            Cli.Command(
                "list",
                "Lists every domain of which something is remembered or configured.",
                "pgptunnel partner list",
                ListAsync
            ),
            Cli.Command(
                "show",
                "Shows one domain: what its DNS says now, what is remembered, what is configured.",
                "pgptunnel partner show b.example",
                ShowAsync,
                DomainArgument
            ),
            Cli.Command(
                "verify",
                "Trusts a fingerprint you have compared with the partner (by telephone, say): from then on only "
                    + "trusted keys count for the domain.",
                "pgptunnel partner verify b.example 1c45e9c78416c6f3b8460a8863c925bdb4a3730b",
                VerifyAsync,
                DomainArgument,
                FingerprintArgument,
                ForceOption,
                RemoveOption,
                Cli.Reason
            ),
            Cli.Command(
                "forget",
                "Forgets everything remembered of a domain, trusted fingerprints included.",
                "pgptunnel partner forget b.example",
                ForgetAsync,
                DomainArgument,
                Cli.Yes,
                Cli.Reason
            ),
            Cli.Command(
                "override",
                "For a limited time, sends a domain's mail in clear or holds it, whatever the policy says; a "
                    + "message's own PgpTunnel-Require stands above --clear.",
                "pgptunnel partner override b.example --hold --until 2026-12-01T08:00:00Z --reason \"they move their gateway\"",
                OverrideAsync,
                DomainArgument,
                ClearOption,
                HoldOption,
                EndOption,
                UntilOption,
                ReasonOption
            )
        );

    private static string Domain(ParseResult parse) =>
        Domains.TryNormalise(parse.GetRequiredValue(DomainArgument), out var domain)
            ? domain
            : throw new CommandException(Exit.Usage, $"'{parse.GetValue(DomainArgument)}' is not a domain");

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    private static async Task<int> ListAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var partners = PartnerView.All(configuration, spool, Now);
        return parse.Report(
            new { partners },
            partners.Count == 0
                ? "nothing is remembered or configured of any partner"
                : Cli.Table([
                    ["DOMAIN", "POLICY", "STATE"],
                    .. partners.Select(p => new[] { p.Domain, p.Policy, p.InWords() }),
                ])
        );
    }

    private static async Task<int> ShowAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, domain) = (parse.Configuration(), Domain(parse));
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var memory = PeerMemory.ToLookAt(spool, TimeProvider.System);
        var names = new NameService(configuration, TimeProvider.System);
        var peers = Peers.Under(configuration, names.Validator, memory, TimeProvider.System);
        var peer = await peers.FindAsync(domain, fresh: true, cancel);
        var partner = PartnerView.Of(memory.Recall(domain), configuration, Now);
        var acts = (spool?.Acts() ?? []).Where(a => a.Subject == domain).Select(ActView.Of).ToList();
        return parse.Report(
            new
            {
                partner,
                @class = peer.Class,
                dnssec = peer.Security,
                offered = peer.Listed,
                gateway = peer.Gateway,
                receipts = peer.GivesReceipts,
                awaited = spool?.Awaited(domain),
                why = peer.Why,
                acts,
            },
            $"""
            domain      {domain}
            DNS now     {peer.Class}, DNSSEC {peer.Security}: {peer.Why}
            offers      {OrNone(peer.Listed)}
            policy      {partner.Policy}
            remembered  {partner.InWords()}
            trusted     {OrNone(partner.Trusted)}
            distrusted  {OrNone(partner.Distrusted)}
            receipts    {(peer.GivesReceipts ? "given" : "none given")}{Awaited(spool, domain)}
            {string.Concat(
                acts.Select(a => $"{a.Time}  {a.What}{(a.Reason is null ? "" : $", {a.Reason}")} ({a.Who})\n")
            )}
            """
        );
    }

    private static string Awaited(Spool? spool, string domain) =>
        spool?.Awaited(domain) is > 0 and var count ? $", {count} awaited" : "";

    private static string OrNone(IReadOnlyList<string> fingerprints) =>
        fingerprints.Count > 0 ? string.Join(", ", fingerprints) : "-";

    private static Spool OpenSpool(GatewayConfiguration configuration) =>
        Spool.Open(configuration.SpoolFile, running: false);
}
