using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>config check</c>: everything that <c>run</c> would refuse, found before.</summary>
internal static class ConfigCommand
{
    private static readonly Option<bool> LiveOption = new("--live")
    {
        Description = "Also greet our own mail server and the relay, and compare Postfix's transport map.",
    };
    private const string PostfixFolder = "/etc/postfix";
    private static readonly Option<string> TransportOption = new("--transport")
    {
        Description = "With --live: the transport map.",
        HelpName = "FILE",
        DefaultValueFactory = _ => $"{PostfixFolder}/pgptunnel_transport",
    };

    public static Command Create() =>
        Cli.Group(
            "config",
            "The configuration file.",
            Cli.Command(
                "check",
                "Validates the configuration, the keys and the files it names; every mistake is shown.",
                "pgptunnel config check --config /etc/pgptunnel/pgptunnel.json --live",
                CheckAsync,
                LiveOption,
                TransportOption
            )
        );

    private static async Task<int> CheckAsync(ParseResult parse, CancellationToken cancel)
    {
        var code = Check(parse, out var configuration);
        if (configuration is null || code != Exit.Ok || !parse.GetValue(LiveOption))
            return code;
        await using var session = GatewayAtRest.Open(configuration);
        var findings = (
            await new Doctor(session.Settings, session.Peers, session.Names, TimeProvider.System).ServersAsync(cancel)
        ).ToList();
        if (
            parse.GetValue(TransportOption) is { } map
            && configuration.Listen.Outbound is not null
            && (
                File.Exists(map)
                || Directory.Exists(PostfixFolder)
                || parse.GetResult(TransportOption) is { Implicit: false }
            )
        )
            findings.AddRange(Unlisted(map, configuration, PostfixCommand.Domains(configuration, session.Spool)));
        var wrong = findings.Exists(f => f.Level == FindingLevel.Wrong);
        return parse.Report(
            new
            {
                ok = !wrong,
                file = ConfigurationReader.Find(parse.GetValue(Cli.Config)),
                mistakes = Array.Empty<string>(),
                live = findings.Select(f => new
                {
                    level = f.Level.ToString().ToLowerInvariant(),
                    check = f.Check,
                    what = f.What,
                    @do = f.Do,
                }),
            },
            $"the configuration is valid\n"
                + string.Join(
                    '\n',
                    findings.Select(f =>
                        $"{f.Level.ToString().ToLowerInvariant(), -8} {f.Check, -14} {f.What}{(f.Do is null ? "" : $"; {f.Do}")}"
                    )
                ),
            wrong ? Exit.Unavailable : Exit.Ok
        );
    }

    /// <summary>Partners whose mail Postfix does not hand to the gateway, by its transport map.</summary>
    private static IEnumerable<Finding> Unlisted(
        string map,
        GatewayConfiguration configuration,
        IReadOnlyList<string> domains
    )
    {
        Dictionary<string, string> hops;
        if (!File.Exists(map) && Path.GetDirectoryName(map) == PostfixFolder)
            return domains.Count == 0
                ? []
                :
                [
                    new Finding(
                        FindingLevel.Warning,
                        "transport",
                        $"there is no {map}, so mail to {string.Join(", ", domains)} does not pass the gateway by it",
                        "'pgptunnel postfix map' prints the map; --transport names another"
                    ),
                ];
        try
        {
            hops = File.ReadLines(map)
                .Select(l => l.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
                .Where(w => w.Length > 1 && w[0][0] != '#')
                .GroupBy(w => w[0].ToLowerInvariant())
                .ToDictionary(g => g.Key, g => g.Last()[1]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return
            [
                new Finding(
                    FindingLevel.Wrong,
                    "transport",
                    $"{map} cannot be read: {e.Message}",
                    "--transport names Postfix's transport map"
                ),
            ];
        }
        var next = PostfixCommand.NextHop(configuration);
        return domains
            .Where(d => Hop(hops, d) != next)
            .Select(d => new Finding(
                FindingLevel.Warning,
                "transport",
                Hop(hops, d) is { } other
                    ? $"{d} is a partner, and {map} sends its mail to {other}, not to {next}"
                    : $"{d} is a partner and not in {map}: its mail does not pass the gateway",
                "'pgptunnel postfix map' prints the map"
            ));
    }

    /// <param name="valid">The configuration, where there is no mistake in it.</param>
    private static int Check(ParseResult parse, out GatewayConfiguration? valid)
    {
        valid = null;
        var (file, mistakes) = ("", new List<string>());
        try
        {
            file = ConfigurationReader.Find(parse.GetValue(Cli.Config));
            var configuration = valid = ConfigurationReader.Read(file);
            Collect(() =>
            {
                foreach (var key in KeyRing.Load(configuration).Keys.Where(k => !k.IsFor(configuration.Gateway)))
                    mistakes.Add(
                        $"gateway: the key {key.Fingerprint} is for {key.UserId}, so peers would refuse it for {configuration.Gateway}"
                    );
            });
            if (configuration.Dns.TrustAnchorsFile is { } anchors)
                Collect(() => NameService.Read(anchors));
            Collect(() => Listeners.Check(configuration));
            Collect(() => Auditors.Load(configuration, TimeProvider.System.GetUtcNow()));
            if (Path.GetDirectoryName(configuration.SpoolFile) is { } folder && !Directory.Exists(folder))
                mistakes.Add($"spool: the folder {folder} does not exist, or may not be looked into");
            else if (Directory.Exists(configuration.SpoolFile))
                mistakes.Add($"spool: {configuration.SpoolFile} is a directory");
            if (NameService.Resolvers(configuration).Count == 0)
                mistakes.Add(
                    "dns.resolvers: none given and the system names none; give one such as [\"127.0.0.1:53\"]"
                );
        }
        catch (ConfigurationException e)
        {
            mistakes.AddRange(e.Mistakes);
        }
        if (mistakes.Count == 0 && parse.GetValue(LiveOption))
            return Exit.Ok; // what is live is reported with it
        return mistakes.Count == 0
                ? parse.Report(
                    new
                    {
                        ok = true,
                        file,
                        mistakes,
                    },
                    $"{file} is valid"
                )
            : parse.GetValue(Cli.Json)
                ? parse.Report(
                    new
                    {
                        ok = false,
                        file,
                        mistakes,
                    },
                    "",
                    Exit.Configuration
                )
            : throw new ConfigurationException(mistakes);

        void Collect(Action check)
        {
            try
            {
                check();
            }
            catch (ConfigurationException e)
            {
                mistakes.AddRange(e.Mistakes);
            }
        }
    }

    /// <summary>
    /// Where a transport map sends a domain's mail: by its own line, that of all below a domain, or that of all (transport(5)).
    /// </summary>
    private static string? Hop(Dictionary<string, string> hops, string domain)
    {
        if (hops.TryGetValue(domain, out var own))
            return own;
        for (var dot = domain.IndexOf('.', 1); dot > 0; dot = domain.IndexOf('.', dot + 1))
            if (hops.TryGetValue(domain[dot..], out var all))
                return all;
        return hops.GetValueOrDefault("*");
    }
}
