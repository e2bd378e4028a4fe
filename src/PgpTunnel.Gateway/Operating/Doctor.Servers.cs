using PgpTunnel.Dns;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Whether servers answer: our own, the relay, and the mail exchangers of a gateway.</summary>
internal sealed partial class Doctor
{
    private static readonly TimeSpan MostWrongClock = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Signatures and parcels have a time: by a clock that is wrong, those of the DNS do not validate, and partners refuse ours.
    /// </summary>
    public static Finding Clock(KernelClock? clock) =>
        clock switch
        {
            null => new(FindingLevel.Ok, "clock", "whether something synchronises the clock cannot be seen here"),
            // A guest may have it from its host, which the kernel does not know.
            { MostWrong: null } => new(
                FindingLevel.Ok,
                "clock",
                "nothing on this machine synchronises its clock",
                "install chrony or systemd-timesyncd, unless its host sees to that"
            ),
            { MostWrong: { } most } when most > MostWrongClock => new(
                FindingLevel.Warning,
                "clock",
                $"the clock may be wrong by {most.TotalSeconds:0} s",
                "see 'chronyc tracking' or 'timedatectl timesync-status'"
            ),
            { MostWrong: { } most } => new(
                FindingLevel.Ok,
                "clock",
                string.Create(
                    System.Globalization.CultureInfo.InvariantCulture,
                    $"the clock is synchronised, and wrong by {most.TotalSeconds:0.000} s at most"
                )
            ),
        };

    /// <summary>Greets our own mail server and the relay, as delivery would.</summary>
    public async Task<IReadOnlyList<Finding>> ServersAsync(CancellationToken cancel)
    {
        var configuration = settings.Configuration;
        var findings = new List<Finding> { await GreetAsync("deliver.local", configuration.Deliver.Local, cancel) };
        if (configuration.Deliver.Relay is { } relay)
            findings.Add(await GreetAsync("deliver.relay", relay, cancel));
        return findings;
    }

    private async Task<Finding> GreetAsync(string key, Endpoint endpoint, CancellationToken cancel)
    {
        var (what, configuration) = ($"{endpoint.Host}:{endpoint.Port}", settings.Configuration);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(Reach);
        try
        {
            var greeting = await FirstThatAnswersAsync(
                (await _hops.FindAsync(ParcelRoute.Local, endpoint, "", new WorkBudget(), deadline.Token)).Targets,
                deadline.Token
            );
            if (greeting.Refusal is { } refusal)
                return new(
                    FindingLevel.Wrong,
                    key,
                    $"{what} answers: {greeting.Text}, but {refusal}",
                    $"mail waits; see {key}.tls and {key}.login"
                );
            if (
                greeting.TlsFailure is { } tls
                && (endpoint.User is not null || endpoint.Tls is TlsMode.Require or TlsMode.Verify)
            )
                return new(
                    FindingLevel.Wrong,
                    key,
                    $"{what} answers: {greeting.Text}, but STARTTLS fails: {tls}",
                    $"mail waits while {key}.tls asks for it"
                );
            return new(FindingLevel.Ok, key, $"{what} answers: {greeting.Text}");
        }
        catch (Exception e)
            when (e is SmtpUnavailableException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            var why = e is SmtpUnavailableException { Reply: var reply }
                ? reply.Text
                : $"no answer within {Reach.TotalSeconds:0} s";
            return new(
                FindingLevel.Wrong,
                key,
                $"{what} cannot be reached: {why}",
                "mail waits until it can; see that the server runs and listens there"
            );
        }
    }

    private async Task<SmtpGreeting> FirstThatAnswersAsync(IReadOnlyList<SmtpTarget> targets, CancellationToken cancel)
    {
        foreach (var target in targets.SkipLast(1))
            try
            {
                return await SmtpSender.GreetAsync(target, settings.Configuration.Hostname, cancel);
            }
            catch (SmtpUnavailableException)
            {
                // as delivery does, the next address
            }
        return await SmtpSender.GreetAsync(targets[^1], settings.Configuration.Hostname, cancel);
    }

    private async Task<IEnumerable<Finding>> ExchangersAsync(string gateway, bool own, CancellationToken cancel)
    {
        const string check = "mx";
        MailRoute route;
        try
        {
            route = await names.Exchangers.FindAsync(gateway, new WorkBudget(), cancel);
        }
        catch (DnsUnavailableException e)
        {
            return [new(FindingLevel.Wrong, check, e.Message, "see that dns.resolvers answer")];
        }
        if (route.NullMx || route.NoSuchDomain || route.Hosts.Count == 0)
            return
            [
                new(
                    FindingLevel.Wrong,
                    check,
                    route.NullMx
                        ? $"{gateway} says that it takes no mail (null MX)"
                        : $"{gateway} has no mail exchanger with an address",
                    own
                        ? $"publish its MX, and an address for {settings.Configuration.Hostname}"
                        : "tell its administrator; mail to it waits"
                ),
            ];
        var findings = new List<Finding>();
        if (
            own
            && !route.Hosts.Any(h => h.Host.Equals(settings.Configuration.Hostname, StringComparison.OrdinalIgnoreCase))
        )
            findings.Add(
                new(
                    FindingLevel.Warning,
                    check,
                    $"the MX of {gateway} is {string.Join(", ", route.Hosts.Select(h => h.Host))}, not {settings.Configuration.Hostname}",
                    "see that what comes there reaches listen.inbound"
                )
            );
        foreach (var (host, addresses) in route.Hosts)
            findings.Add(await GreetAsync(host, addresses, own, cancel));
        return findings;
    }

    private async Task<Finding> GreetAsync(
        string host,
        IReadOnlyList<System.Net.IPAddress> addresses,
        bool own,
        CancellationToken cancel
    )
    {
        var failure = "";
        foreach (var address in addresses)
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            deadline.CancelAfter(Reach);
            try
            {
                var greeting = await SmtpSender.GreetAsync(
                    new SmtpTarget(host, new System.Net.IPEndPoint(address, SmtpPort), TlsMode.Opportunistic),
                    settings.Configuration.Hostname,
                    deadline.Token
                );
                var text = $"{host} [{address}] answers: {greeting.Text}";
                return greeting.TlsFailure is { } tls
                        ? new(
                            FindingLevel.Warning,
                            "smtp",
                            $"{text}; STARTTLS fails: {tls}",
                            "see its TLS certificate and versions; sealed mail goes without TLS then"
                        )
                    : !greeting.OffersStartTls
                        ? new(
                            FindingLevel.Warning,
                            "smtp",
                            $"{text}; no STARTTLS",
                            "sealed mail is safe without, but offer it: addresses of gateways and times are seen on the way"
                        )
                    : new(FindingLevel.Ok, "smtp", $"{text}; STARTTLS works");
            }
            catch (SmtpUnavailableException e)
            {
                failure = e.Reply.Text;
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                failure = $"{host} [{address}] does not answer within {Reach.TotalSeconds:0} s";
            }
        }
        return own
                ? new(
                    FindingLevel.Warning,
                    "smtp",
                    $"not reachable from here: {failure}",
                    "see from outside that port 25 reaches listen.inbound; many firewalls do not let a host reach its own outer address"
                )
            : settings.Configuration.Deliver.Relay is null
                ? new(
                    FindingLevel.Wrong,
                    "smtp",
                    $"not reachable: {failure}",
                    "see that this machine may connect to port 25"
                )
            : new(FindingLevel.Ok, "smtp", $"not reachable from here, which is deliver.relay's task: {failure}");
    }
}
