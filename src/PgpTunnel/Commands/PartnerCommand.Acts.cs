using System.CommandLine;
using System.Globalization;

namespace PgpTunnel.Commands;

/// <summary>What an administrator decides about a partner.</summary>
internal static partial class PartnerCommand
{
    private static async Task<int> VerifyAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, domain) = (parse.Configuration(), Domain(parse));
        var fingerprint = parse.GetRequiredValue(FingerprintArgument).Replace(" ", "").ToLowerInvariant();
        if (!PolicyRecord.IsFingerprint(fingerprint))
            throw new CommandException(Exit.Usage, $"'{fingerprint}' is not a fingerprint of 40 or 64 hex digits");
        await using var spool = OpenSpool(configuration);
        if (parse.GetValue(RemoveOption))
            return await RemoveAsync(parse, spool, configuration, domain, fingerprint);
        // Looked up as if it were trusted, and nothing else.
        var alone = new Partner(null, [fingerprint], null, null, null, false);
        var offered = await new Peers(
            () => new NameService(configuration, TimeProvider.System).Validator,
            PeerMemory.ToLookAt(null, TimeProvider.System),
            _ => alone,
            TimeProvider.System
        ).FindAsync(domain, fresh: true, cancel);
        var isOffered = offered.TrustedOffered;
        if (!isOffered && !parse.GetValue(ForceOption))
            throw new CommandException(
                Exit.Data,
                $"{domain} does not offer {fingerprint} now ({offered.Why}; it lists "
                    + $"{(offered.Listed.Count > 0 ? string.Join(", ", offered.Listed) : "none")}). Trusted all the "
                    + "same, its mail would wait until it does: --force. Nothing was done."
            );
        var record = await parse.ActsOn(spool).VerifyAsync(domain, fingerprint);
        return parse.Report(
            new
            {
                domain,
                verified = record.Verified,
                offered = isOffered,
            },
            $"{domain}: only {string.Join(", ", record.Verified)} counts from now "
                + $"on{(isOffered ? "" : $"; it is not offered now ({offered.Why}), so mail to {domain} waits")}"
        );
    }

    private static async Task<int> RemoveAsync(
        ParseResult parse,
        Spool spool,
        GatewayConfiguration configuration,
        string domain,
        string fingerprint
    )
    {
        if (spool.FindPeer(domain)?.Verified.Contains(fingerprint) != true)
            throw new CommandException(
                Exit.Data,
                $"{fingerprint} is not trusted for {domain} ('partner show {domain}')"
            );
        var record = await parse.ActsOn(spool).UnverifyAsync(domain, fingerprint);
        List<string> left =
        [
            .. record.Verified,
            .. configuration.Policy.Partners.GetValueOrDefault(domain)?.Fingerprints ?? [],
        ];
        return parse.Report(
            new
            {
                domain,
                verified = record.Verified,
                offered = (bool?)null,
            },
            left.Count > 0
                ? $"{domain}: only {string.Join(", ", left)} counts from now on"
                : $"{domain}: no fingerprint is trusted any more; what its signed DNS says counts"
        );
    }

    private static async Task<int> ForgetAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, domain) = (parse.Configuration(), Domain(parse));
        await using var spool = OpenSpool(configuration);
        if (spool.FindPeer(domain) is null)
            throw new CommandException(Exit.Data, $"nothing is remembered of {domain}");
        parse.Confirm(
            $"Everything that is remembered of {domain} will be forgotten, trusted fingerprints and that it asked for encryption included."
        );
        await parse.ActsOn(spool).ForgetAsync(domain);
        return parse.Report(new { domain, forgotten = true }, $"{domain} is forgotten");
    }

    private static async Task<int> OverrideAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, domain) = (parse.Configuration(), Domain(parse));
        var (clear, hold, end) = (parse.GetValue(ClearOption), parse.GetValue(HoldOption), parse.GetValue(EndOption));
        if (new[] { clear, hold, end }.Count(given => given) != 1)
            throw new CommandException(Exit.Usage, "give one of --clear, --hold and --end");
        if (end)
            return await EndOverrideAsync(parse, configuration, domain);
        if (
            !DateTimeOffset.TryParse(
                parse.GetValue(UntilOption),
                CultureInfo.InvariantCulture,
                DateTimeStyles.AssumeUniversal,
                out var until
            )
            || until <= Now
            || until > Now + LongestOverride
        )
            throw new CommandException(
                Exit.Usage,
                $"--until: '{parse.GetValue(UntilOption)}' is not a time within the next 14 days, such as "
                    + $"{InnerHeader.Time(Now.AddDays(1))}"
            );
        var reason = parse.GetRequiredValue(ReasonOption);
        if (string.IsNullOrWhiteSpace(reason) || reason.Any(char.IsControl))
            throw new CommandException(Exit.Usage, "--reason: say why");
        await using var spool = OpenSpool(configuration);
        await new Acts(spool, TimeProvider.System, Acts.Who).OverrideAsync(
            domain,
            new PartnerOverride(clear ? "clear" : "hold", until, reason)
        );
        new EventLog(Console.Error, false, TimeProvider.System).Write(
            "override",
            ("domain", domain),
            ("action", clear ? "clear" : "hold"),
            ("until", InnerHeader.Time(until)),
            ("by", Environment.UserName),
            ("reason", reason)
        );
        return parse.Report(
            new
            {
                domain,
                action = clear ? "clear" : "hold",
                until = InnerHeader.Time(until),
                reason,
            },
            $"{domain}: {(clear ? "in clear" : "held")} until {InnerHeader.Time(until)}"
        );
    }

    private static async Task<int> EndOverrideAsync(
        ParseResult parse,
        GatewayConfiguration configuration,
        string domain
    )
    {
        await using var spool = OpenSpool(configuration);
        var acts = new Acts(spool, TimeProvider.System, Acts.Who, parse.GetRequiredValue(ReasonOption));
        if (!await acts.EndOverrideAsync(domain))
            throw new CommandException(Exit.Data, $"{domain} is neither held nor open");
        return parse.Report(new { domain, action = "end" }, $"{domain}: its mail goes as its policy says");
    }
}
