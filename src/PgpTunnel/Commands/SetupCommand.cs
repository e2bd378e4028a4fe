using System.CommandLine;
using System.Net;

namespace PgpTunnel.Commands;

/// <summary>
/// <c>setup</c>: asks what a new gateway must know, writes all that goes with it, and says what is left; run again, it looks how far that
/// is.
/// </summary>
internal static class SetupCommand
{
    private static readonly Option<string[]> DomainOption = Text<string[]>(
        "--domain",
        "D",
        "A domain this gateway serves; may be given more than once."
    );
    private static readonly Option<string?> GatewayOption = Text<string?>(
        "--gateway",
        "MAILBOX",
        "The gateway's mailbox (default: pgptunnel@pgptunnel.<first domain>)."
    );
    private static readonly Option<string?> HostnameOption = Text<string?>(
        "--hostname",
        "HOST",
        "The gateway's host name (default: gw.<first domain>)."
    );
    private static readonly Option<string?> MailServerOption = Text<string?>(
        "--mail-server",
        "HOST:PORT",
        "Where your mail server takes opened mail (default: 127.0.0.1:10026)."
    );
    private static readonly Option<string?> ListenOption = Text<string?>(
        "--listen",
        "ADDRESS:PORT",
        "Where your mail server hands in mail (default: 127.0.0.1:10025)."
    );
    private static readonly Option<string[]> NetworkOption = Text<string[]>(
        "--network",
        "NET",
        "From where it does (default: this machine); may be given more than once."
    );
    private static readonly Option<string?> InboundOption = Text<string?>(
        "--inbound",
        "ADDRESS:PORT",
        "Where sealed mail comes from the world (default: 0.0.0.0:25)."
    );
    private static readonly Option<string?> RelayOption = Text<string?>(
        "--relay",
        "HOST:PORT",
        "The smarthost for outgoing mail (default: none, the MX of the destination)."
    );
    private static readonly Option<string?> DirectoryOption = Text<string?>(
        "--directory",
        "DIR",
        "Where to write (default: /etc/pgptunnel where that is, else here)."
    );

    private static Option<T> Text<T>(string name, string value, string description) =>
        new(name) { Description = description, HelpName = value };

    public static Command Create() =>
        Cli.Command(
                "setup",
                "Asks what a new gateway must know (or takes it by options), writes configuration, key, DNS records and the lines "
                    + "for Postfix, and says what is left to do; run again, it looks how far that is.",
                "pgptunnel setup --domain a.example --mail-server 127.0.0.1:10026",
                RunAsync,
                DomainOption,
                GatewayOption,
                HostnameOption,
                MailServerOption,
                ListenOption,
                NetworkOption,
                InboundOption,
                RelayOption,
                KeyCommand.AlgorithmOption,
                DirectoryOption
            )
            .WithoutEmptyValues();

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var file = FileOf(parse);
        var (directory, isThere) = (Path.GetDirectoryName(file)!, Path.Exists(file));
        var written = new List<string>();
        if (!isThere)
        {
            var (first, algorithm) = (Wishes(parse), parse.GetValue(KeyCommand.AlgorithmOption));
            var (_, made, key) = NewGateway.Make(first, directory, algorithm);
            var keyFile = Path.Combine(made.Keys.Directory, key.Fingerprint);
            written.AddRange([file, $"{keyFile}.key", $"{keyFile}.revocation"]);
        }
        var configuration = ConfigurationReader.Read(file);
        await using var session = GatewayAtRest.Open(configuration);
        written.AddRange(WriteMissing(directory, configuration, session.Settings.Keys));
        await session.Arming.CheckAsync(cancel);
        var status = StatusView.Of(session.Settings, session.Arming, session.Spool);
        var doctor = new Doctor(session.Settings, session.Peers, session.Names, TimeProvider.System);
        var steps = SetupSteps.Of(configuration, status, await doctor.ServersAsync(cancel), directory).ToList();
        var unused = isThere ? Given(parse) : [];
        return parse.Report(
            new
            {
                config = file,
                fingerprint = status.Key,
                written,
                unused,
                steps = steps.Select(s => new
                {
                    what = s.What,
                    done = s.Done,
                    @do = s.Do,
                }),
            },
            string.Join(
                '\n',
                [
                    .. written.Select(w => $"wrote    {w}"),
                    .. unused.Count == 0
                        ? []
                        : new[] { $"not used {string.Join(", ", unused)}: {file} is there, and is for you to edit" },
                    .. steps.Select(Line),
                ]
            )
        );
    }

    /// <summary>The configuration that is there, or is to be.</summary>
    private static string FileOf(ParseResult parse)
    {
        var (config, directory) = (parse.GetValue(Cli.Config), parse.GetValue(DirectoryOption));
        if (config is not null && (directory is not null || !File.Exists(config)))
            throw new CommandException(
                Exit.Usage,
                "--config names a configuration that is there; --directory says where a new one is to be"
            );
        return config is not null
            ? Path.GetFullPath(config)
            : NewGateway.FileIn(
                Path.GetFullPath(
                    directory ?? (Directory.Exists(FirstConfiguration.Packaged) ? FirstConfiguration.Packaged : ".")
                )
            );
    }

    /// <summary>Options that only count for a new gateway.</summary>
    private static List<string> Given(ParseResult parse) =>
        [
            .. parse
                .CommandResult.Command.Options.Where(o =>
                    o != DirectoryOption && o.Name.StartsWith("--", StringComparison.Ordinal)
                )
                .Where(o => parse.GetResult(o) is { Implicit: false })
                .Select(o => o.Name),
        ];

    private static string Line(SetupStep step) =>
        step.Done ? $"done     {step.What}" : $"to do    {step.What}\n         {step.Do}";

    /// <summary>What is made of the configuration and the keys, where it is not there yet.</summary>
    /// <returns>The files.</returns>
    private static List<string> WriteMissing(string directory, GatewayConfiguration configuration, KeyRing keys)
    {
        var records = PublishedRecords.For(configuration, keys, asTxt: false);
        var files = new List<(string Name, string Text)>
        {
            (SetupSteps.RecordsFile, PublishedRecords.AsZone(configuration, records, asTxt: false)),
        };
        if (configuration.Listen.Outbound is not null)
            files.AddRange(PostfixFiles.For(configuration).Select(f => (Path.Combine("postfix", f.Name), f.Text)));
        var written = new List<string>();
        foreach (var (name, text) in files)
            try
            {
                var path = Path.Combine(directory, name);
                // Lines for Postfix are for people to edit; the records are those of the keys as they are now.
                if (name == SetupSteps.RecordsFile ? IsText(path, text) : Path.Exists(path))
                    continue;
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllText(path, text);
                written.Add(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CommandException(
                    Exit.CannotCreate,
                    $"cannot write {name} to {directory}: {e.Message}. The configuration is there; run it again when that is mended"
                );
            }
        return written;
    }

    private static bool IsText(string path, string text) => File.Exists(path) && File.ReadAllText(path) == text;

    /// <summary>What was given, and at a terminal the answers to what was not.</summary>
    private static FirstConfiguration Wishes(ParseResult parse)
    {
        var asks = !Console.IsInputRedirected && !parse.GetValue(Cli.Json);
        string Ask(string what, string fallback, string? given)
        {
            if (given is not null || !asks)
                return given ?? fallback;
            Console.Error.Write(fallback.Length > 0 ? $"{what} [{fallback}]: " : $"{what}: ");
            var answer = Console.In.ReadLine() ?? throw new CommandException(Exit.Usage, "Nothing was done.");
            return answer.Trim() is { Length: > 0 } said ? said : fallback;
        }
        var domains = NewGateway.DomainsOf(
            parse.GetValue(DomainOption) is { Length: > 0 } given ? given : Words(Ask("Your mail domains", "", null))
        );
        if (domains.Count == 0)
            throw new CommandException(Exit.Usage, "--domain: give at least one domain this gateway is to serve");
        var plain = new FirstConfiguration(domains, NewGateway.MailboxOf(parse.GetValue(GatewayOption), domains));
        var outbound = Ask("Your mail server hands in mail at", plain.Outbound, parse.GetValue(ListenOption));
        if (!IPEndPoint.TryParse(outbound, out var at) || at.Port == 0)
            throw new CommandException(
                Exit.Usage,
                $"--listen: '{outbound}' is not an address of this machine and a port, such as {plain.Outbound}"
            );
        var isNear = IPAddress.IsLoopback(at.Address);
        var networks =
            parse.GetValue(NetworkOption) is { Length: > 0 } nets ? nets
            : isNear ? plain.Networks
            : Words(Ask("and comes from these networks", "", null));
        if (networks.Count == 0)
            throw new CommandException(
                Exit.Usage,
                $"--network: {outbound} is not for this machine alone; say from where your mail server comes, such as 192.0.2.10/32"
            );
        return plain with
        {
            Hostname = Ask(
                "Host name of this gateway, as the world knows it",
                plain.Hostname,
                parse.GetValue(HostnameOption)
            ),
            Outbound = outbound,
            Networks = networks,
            Inbound = Ask("Sealed mail comes from the world at", plain.Inbound, parse.GetValue(InboundOption)),
            Local = Ask("Your mail server takes opened mail at", plain.Local, parse.GetValue(MailServerOption)),
            Relay = Ask(
                "Smarthost for outgoing mail (none: the MX of the destination)",
                "none",
                parse.GetValue(RelayOption)
            )
                is var relay
                    and not "none"
                ? relay
                : null,
        };
    }

    private static string[] Words(string answer) => answer.Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
}
