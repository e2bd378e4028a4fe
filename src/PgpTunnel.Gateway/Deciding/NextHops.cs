using System.Net;
using PgpTunnel.Dns;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <param name="Targets">In order.</param>
internal sealed record Hops(IReadOnlyList<SmtpTarget> Targets)
{
    /// <summary>There may be others, which could not be found or are too many: these do not speak for all.</summary>
    public bool Incomplete { get; init; }
}

/// <summary>Which servers to try for a destination, in order: a configured endpoint, or MX with address fallback (RFC 5321 5.1).</summary>
internal sealed class NextHops(Settings settings, NameService names)
{
    private const int MaxTargets = 10;

    /// <param name="route">To another gateway what the DNS denies is final only where it is proved: an attacker's word would bring a
    /// bounce, or clear text.</param>
    /// <exception cref="SmtpUnavailableException">None can be found now, or ever: the reply says which.</exception>
    /// <param name="budget">What the look-ups may spend.</param>
    public async Task<Hops> FindAsync(
        ParcelRoute route,
        Endpoint? endpoint,
        string domain,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        try
        {
            return endpoint is not null
                ? await OfEndpointAsync(endpoint, cancel)
                : await OfDomainAsync(route, domain, budget, cancel);
        }
        catch (DnsUnavailableException e)
        {
            throw new SmtpUnavailableException(new SmtpReply(451, "4.4.3", e.Message), e);
        }
    }

    private async Task<Hops> OfEndpointAsync(Endpoint endpoint, CancellationToken cancel)
    {
        var login = endpoint.User is null
            ? null
            : new SmtpLogin(endpoint.User, await PasswordAsync(endpoint.PasswordFile!, cancel));
        var addresses = await names.Hosts.FindAsync(endpoint.Host, cancel);
        return addresses.Count == 0
            ? throw new SmtpUnavailableException(new SmtpReply(451, "4.4.4", $"{endpoint.Host} has no address"))
            : new([
                .. addresses
                    .Take(MaxTargets)
                    .Select(a => new SmtpTarget(
                        endpoint.Host,
                        new IPEndPoint(a, endpoint.Port),
                        endpoint.Tls,
                        login,
                        endpoint.Without
                    )),
            ]);
    }

    private static async Task<string> PasswordAsync(string file, CancellationToken cancel)
    {
        try
        {
            return (await File.ReadAllTextAsync(file, cancel)).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SmtpUnavailableException(
                new SmtpReply(451, "4.3.5", $"the password file cannot be read: {e.Message}"),
                e
            );
        }
    }

    private async Task<Hops> OfDomainAsync(
        ParcelRoute parcelRoute,
        string domain,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        if (domain.StartsWith('['))
        {
            var inner = domain.Trim('[', ']');
            var address = IPAddress.Parse(
                inner.StartsWith("IPv6:", StringComparison.OrdinalIgnoreCase) ? inner[5..] : inner
            );
            return new([new SmtpTarget(address.ToString(), new IPEndPoint(address, 25), TlsMode.Opportunistic)]);
        }
        var route = await names.Exchangers.FindAsync(domain, budget, cancel);
        // RFC 5321 5.1: we ourselves, and what is less preferred than we, would be a loop.
        var hosts = route
            .Hosts.TakeWhile(h => !h.Host.Equals(settings.Configuration.Hostname, StringComparison.OrdinalIgnoreCase))
            .ToList();
        var refusal =
            route.NullMx ? new SmtpReply(556, "5.1.10", $"{domain} accepts no mail (null MX)") // RFC 7505 3, 4.1
            : route.NoSuchDomain ? new SmtpReply(550, "5.1.2", $"{domain} does not exist")
            : route.Hosts.Count > 0 && hosts.Count == 0
                ? new SmtpReply(554, "5.4.6", $"the best mail exchanger of {domain} is this gateway: a loop")
            : null;
        var proved = route.Security == DnsSecurity.Secure;
        if (refusal is not null)
            throw new SmtpUnavailableException(
                proved || parcelRoute != ParcelRoute.Gateway
                    ? refusal
                    : new SmtpReply(451, "4.4.4", $"{refusal.Text}, says a DNS that is not signed; it is asked again")
            );
        var targets = hosts
            .SelectMany(h =>
                h.Addresses.Select(a => new SmtpTarget(h.Host, new IPEndPoint(a, 25), TlsMode.Opportunistic))
            )
            .ToList();
        if (targets.Count == 0)
            throw new SmtpUnavailableException(
                new SmtpReply(451, "4.4.4", $"no mail exchanger of {domain} has an address")
            );
        var cut = targets.Count > MaxTargets || (hosts.Count < route.Hosts.Count && !proved);
        return new([.. targets.Take(MaxTargets)]) { Incomplete = route.Incomplete || cut };
    }
}
