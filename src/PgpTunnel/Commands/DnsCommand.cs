using System.CommandLine;
using System.Globalization;
using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel.Commands;

/// <summary><c>dns</c>: what to publish, what others publish, and one bare validated look-up.</summary>
internal static partial class DnsCommand
{
    private static readonly Option<string> FormatOption = CreateFormat();
    private static readonly Option<string[]> ResolverOption = new("--resolver")
    {
        Description = "Ask this resolver instead of the configured ones.",
        HelpName = "IP:PORT",
    };
    private static readonly Option<string?> AnchorOption = new("--trust-anchor")
    {
        Description = "DS or DNSKEY records in presentation format.",
        HelpName = "FILE",
    };
    private static readonly Option<string?> AtOption = new("--at")
    {
        Description = "Validate as if it were this time.",
        HelpName = "RFC3339",
    };
    private static readonly Argument<string> DomainArgument = new("DOMAIN");
    private static readonly Argument<string> NameArgument = new("NAME");
    private static readonly Argument<string> TypeArgument = new("TYPE");

    private static Option<string> CreateFormat()
    {
        var option = new Option<string>("--format")
        {
            Description = "zone (default), txt (certificate as TXT), panel (for web forms), panel-txt (both) or json.",
            DefaultValueFactory = _ => "zone",
        };
        option.AcceptOnlyFromAmong("zone", "txt", "panel", "panel-txt", "json");
        return option;
    }

    public static Command Create() =>
        Cli.Group(
            "dns",
            "DNS records and look-ups.",
            Cli.Command(
                "records",
                "Prints every record to publish for every domain we serve.",
                "pgptunnel dns records >> a.example.zone",
                (parse, _) => Task.FromResult(Records(parse)),
                FormatOption
            ),
            Cli.Command(
                "lookup",
                "Shows the policy and key that a sender would use now.",
                "pgptunnel dns lookup b.example --json",
                LookupAsync,
                DomainArgument,
                ResolverOption,
                AnchorOption
            ),
            Cli.Command(
                "query",
                "Makes one validated look-up; needs no configuration.",
                "pgptunnel dns query _pgptunnel.b.example TXT --resolver 127.0.0.1:53",
                QueryAsync,
                NameArgument,
                TypeArgument,
                ResolverOption,
                AnchorOption,
                AtOption
            ),
            CreateProof(),
            CreateVerify()
        );

    public static object AsJson(PublishedRecord record) =>
        new
        {
            name = $"{record.Name}.",
            type = RecordType.Name(record.Type),
            ttl = PublishedRecord.Ttl,
            value = record.Value,
        };

    private static int Records(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var format = parse.GetValue(FormatOption);
        var records = PublishedRecords.For(
            configuration,
            KeyRing.Load(configuration),
            asTxt: format is "txt" or "panel-txt"
        );
        if (format == "json" || parse.GetValue(Cli.Json))
        {
            Console.Out.WriteLine(System.Text.Json.JsonSerializer.Serialize(new { records = records.Select(AsJson) }));
            return Exit.Ok;
        }
        Console.Out.Write(
            format is "panel" or "panel-txt"
                ? PublishedRecords.AsPanel(configuration, records)
                : PublishedRecords.AsZone(configuration, records, asTxt: format == "txt")
        );
        return Exit.Ok;
    }

    private static async Task<int> LookupAsync(ParseResult parse, CancellationToken cancel)
    {
        if (!Domains.TryNormalise(parse.GetRequiredValue(DomainArgument), out var domain))
            throw new CommandException(Exit.Usage, $"'{parse.GetValue(DomainArgument)}' is not a domain");
        var time = TimeProvider.System;
        var configuration = ConfiguredOrNone(parse);
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var validator = ValidatorFor(parse, configuration, time);
        var peers = Peers.Under(configuration, validator, PeerMemory.ToLookAt(spool, time), time);
        var peer = await peers.FindAsync(domain, fresh: true, cancel);
        var fingerprints =
            peer.Class == PeerClass.Usable ? peer.Keys.Select(k => k.Fingerprint).ToList() : [.. peer.Listed];
        return parse.Report(
            new
            {
                domain,
                @class = peer.Class,
                dnssec = peer.Security,
                mode = peer.Mode?.ToString().ToLowerInvariant(),
                fingerprints,
                gateway = peer.Gateway.Length > 0 ? peer.Gateway : null,
                why = peer.Why,
            },
            $"""
            {domain}: {peer.Class}, DNSSEC {peer.Security}
            {peer.Why}
            mode         {peer.Mode?.ToString().ToLowerInvariant() ?? "-"}
            gateway      {(peer.Gateway.Length > 0 ? peer.Gateway : "-")}
            fingerprints {(fingerprints.Count > 0 ? string.Join(", ", fingerprints) : "-")}
            """,
            peer.Class switch
            {
                PeerClass.Usable => Exit.Ok,
                PeerClass.Temporary => Exit.Temporary,
                _ => Exit.Data,
            }
        );
    }

    private static async Task<int> QueryAsync(ParseResult parse, CancellationToken cancel)
    {
        var (name, type) = Question(parse);
        var time = parse.GetValue(AtOption) is { } at ? At(at) : TimeProvider.System;
        // A bare look-up takes the configuration's resolvers only where it is named.
        var validator = ValidatorFor(parse, parse.GetValue(Cli.Config) is null ? null : parse.Configuration(), time);
        return Report(parse, await validator.LookupAsync(name, type, cancel));
    }

    private static (DomainName Name, ushort Type) Question(ParseResult parse) =>
        !DomainName.TryParse(parse.GetRequiredValue(NameArgument), out var name)
            ? throw new CommandException(Exit.Usage, $"'{parse.GetValue(NameArgument)}' is not a domain name")
        : !RecordType.TryParse(parse.GetRequiredValue(TypeArgument), out var type)
            ? throw new CommandException(
                Exit.Usage,
                $"'{parse.GetValue(TypeArgument)}' is not a record type such as TXT or TYPE61"
            )
        : (name, type);

    private static TimeProvider At(string text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
            ? new FixedTime(moment)
            : throw new CommandException(Exit.Usage, $"--at: '{text}' is not a time such as 2026-09-01T10:00:00Z");

    private static int Report(ParseResult parse, DnsAnswer answer, int code = Exit.Ok)
    {
        var (type, window) = (RecordType.Name(answer.Type), answer.Proof?.Window);
        var validity = window is null
            ? ""
            : $"\nholds from {InnerHeader.Time(window.From)} until {InnerHeader.Time(window.Until)}";
        return parse.Report(
            new
            {
                name = answer.Name.ToString(),
                type,
                dnssec = answer.Security,
                rcode = RcodeName(answer.Outcome == DnsOutcome.NxDomain ? NameError : answer.Rcode),
                outcome = answer.Outcome,
                rdata = answer.Data.Select(Convert.ToHexStringLower),
                ttl = (long)answer.Ttl.TotalSeconds,
                why = answer.Why,
                validFrom = window is null ? null : InnerHeader.Time(window.From),
                validUntil = window is null ? null : InnerHeader.Time(window.Until),
            },
            $"{answer.Name} {type}: {answer.Outcome}, {answer.Security}, TTL {(long)answer.Ttl.TotalSeconds}{validity}\n"
                + $"{answer.Why}\n{string.Join('\n', answer.Data.Select(Convert.ToHexStringLower))}",
            code
        );
    }

    private const int NameError = 3;

    private static string RcodeName(int rcode) =>
        rcode switch
        {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            _ => $"RCODE{rcode}",
        };

    /// <summary>The configuration where there is one; a partner can be looked up before anything is set up.</summary>
    private static GatewayConfiguration? ConfiguredOrNone(ParseResult parse)
    {
        if (parse.GetValue(Cli.Config) is not null)
            return parse.Configuration();
        try
        {
            return ConfigurationReader.Read(ConfigurationReader.Find(null));
        }
        catch (ConfigurationException e) when (e.Message.StartsWith("no configuration", StringComparison.Ordinal))
        {
            return null;
        }
    }

    /// <summary>The options' resolvers and anchors, else the configuration's, else the system's and the built-in.</summary>
    private static DnsValidator ValidatorFor(ParseResult parse, GatewayConfiguration? configuration, TimeProvider time)
    {
        var given = (parse.GetValue(ResolverOption) ?? [])
            .Select(r =>
                IPEndPoint.TryParse(r, out var address)
                    ? address.Port == 0
                        ? new IPEndPoint(address.Address, 53)
                        : address
                    : throw new CommandException(
                        Exit.Usage,
                        $"--resolver: '{r}' is not an address and port such as 127.0.0.1:53"
                    )
            )
            .ToList();
        var resolvers =
            given.Count > 0 ? given
            : configuration is not null ? NameService.Resolvers(configuration)
            : DnsExchange.SystemResolvers();
        return new DnsValidator(new DnsExchange(resolvers), AnchorsFor(parse, configuration), time);
    }

    private static TrustAnchors AnchorsFor(ParseResult parse, GatewayConfiguration? configuration)
    {
        var file = parse.GetValue(AnchorOption) ?? configuration?.Dns.TrustAnchorsFile;
        try
        {
            return file is null ? TrustAnchors.BuiltIn : NameService.Read(file);
        }
        catch (ConfigurationException e) when (parse.GetValue(AnchorOption) is not null)
        {
            throw new CommandException(Exit.Usage, e.Message.Replace("dns.trustAnchors", "--trust-anchor"));
        }
    }
}
