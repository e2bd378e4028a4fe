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
    private static readonly Option<string> UntilOption = new("--until")
    {
        Description = "When it ends by itself, at most 14 days ahead.",
        HelpName = "RFC3339",
        Required = true,
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
                RemoveOption
            ),
            Cli.Command(
                "forget",
                "Forgets everything remembered of a domain, trusted fingerprints included.",
                "pgptunnel partner forget b.example",
                ForgetAsync,
                DomainArgument,
                Cli.Yes
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
                UntilOption,
                ReasonOption
            )
        );

    private static string Domain(ParseResult parse) =>
        Domains.TryNormalise(parse.GetRequiredValue(DomainArgument), out var domain)
            ? domain
            : throw new CommandException(Exit.Usage, $"'{parse.GetValue(DomainArgument)}' is not a domain");

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    private static object AsJson(string domain, PeerRecord record, GatewayConfiguration configuration) =>
        new
        {
            domain,
            policy = PolicyName(configuration.PolicyFor(domain)),
            enforceRemembered = record.EnforceUntil > Now,
            rememberedUntil = record.EnforceUntil > Now ? InnerHeader.Time(record.EnforceUntil) : null,
            fingerprints = record.Fingerprints,
            trusted = Trusted(domain, record, configuration),
            distrusted = record.Distrusted.Where(d => d.Value > Now).Select(d => d.Key),
            @override = Active(record) is { } o
                ? new
                {
                    action = o.Action,
                    until = InnerHeader.Time(o.Until),
                    reason = o.Reason,
                }
                : null,
            alarm = record.Alarm,
            deniedSince = record.ContrarySince is { } since ? InnerHeader.Time(since) : null,
        };

    private static string PolicyName(LocalPolicy policy) =>
        policy == LocalPolicy.RequireVerified ? "require-verified" : policy.ToString().ToLowerInvariant();

    private static List<string> Trusted(string domain, PeerRecord record, GatewayConfiguration configuration) =>
        [.. configuration.Policy.Partners.GetValueOrDefault(domain)?.Fingerprints ?? [], .. record.Verified];

    private static PartnerOverride? Active(PeerRecord record) => record.Override is { } o && o.Until > Now ? o : null;

    private static string State(string domain, PeerRecord record, GatewayConfiguration configuration)
    {
        var words = new List<string>();
        if (Active(record) is { } o)
            words.Add($"override {o.Action} until {InnerHeader.Time(o.Until)}");
        if (record.Alarm is not null)
            words.Add($"ALARM, mail waits: {record.Alarm}");
        if (record.ContrarySince is { } since)
            words.Add($"its records have been gone since {InnerHeader.Time(since)}");
        if (record.EnforceUntil > Now)
            words.Add($"enforce until {InnerHeader.Time(record.EnforceUntil)}");
        if (Trusted(domain, record, configuration).Count > 0)
            words.Add("verified");
        return words.Count == 0 ? "-" : string.Join("; ", words);
    }

    private static async Task<int> ListAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var records = (spool?.ListPeers() ?? []).ToDictionary(p => p.Domain);
        var domains = records
            .Keys.Union(configuration.Policy.Partners.Keys)
            .Except(configuration.Domains)
            .Order()
            .ToList();
        PeerRecord Record(string d) => records.GetValueOrDefault(d) ?? new PeerRecord(d);
        return parse.Report(
            new { partners = domains.Select(d => AsJson(d, Record(d), configuration)) },
            domains.Count == 0
                ? "nothing is remembered or configured of any partner"
                : Cli.Table([
                    ["DOMAIN", "POLICY", "STATE"],
                    .. domains.Select(d =>
                        new[] { d, PolicyName(configuration.PolicyFor(d)), State(d, Record(d), configuration) }
                    ),
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
        var record = memory.Recall(domain);
        return parse.Report(
            new
            {
                partner = AsJson(domain, record, configuration),
                @class = peer.Class,
                dnssec = peer.Security,
                offered = peer.Listed,
                gateway = peer.Gateway,
                why = peer.Why,
            },
            $"""
            domain      {domain}
            DNS now     {peer.Class}, DNSSEC {peer.Security}: {peer.Why}
            offers      {(peer.Listed.Count > 0 ? string.Join(", ", peer.Listed) : "-")}
            policy      {PolicyName(configuration.PolicyFor(domain))}
            remembered  {State(domain, record, configuration)}
            trusted     {(
                Trusted(domain, record, configuration) is { Count: > 0 } trusted ? string.Join(", ", trusted) : "-"
            )}
            distrusted  {(record.Distrusted.Count > 0 ? string.Join(", ", record.Distrusted.Keys) : "-")}
            """
        );
    }

    private static Spool OpenSpool(GatewayConfiguration configuration) =>
        Spool.Open(configuration.SpoolFile, running: false);
}
