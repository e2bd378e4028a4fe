using System.Net;
using DnsClient;

namespace PgpTunnel.Dns;

/// <summary>Where mail for a domain goes (RFC 5321 5.1). Routing only: nothing here is trusted with a secret.</summary>
/// <param name="Hosts">In order of preference, each with its addresses; empty with <paramref name="NullMx"/> when the domain takes no mail (RFC 7505).</param>
public sealed record MailRoute(IReadOnlyList<(string Host, IReadOnlyList<IPAddress> Addresses)> Hosts, bool NullMx, bool NoSuchDomain);

/// <summary>MX, A and AAAA lookups through DnsClient, over TCP only since its UDP accepts strangers' answers.</summary>
public sealed class MailExchangers
{
    /// <summary>Exchangers looked at; a domain with more in earnest has the best ones first.</summary>
    private const int MaxHosts = 10;

    private readonly LookupClient _client;

    public MailExchangers(IReadOnlyList<IPEndPoint> resolvers) => _client = new LookupClient(new LookupClientOptions([.. resolvers])
    {
        UseTcpOnly = true,
        UseCache = true,
        Timeout = TimeSpan.FromSeconds(5),
        Retries = 1,
        ThrowDnsErrors = false,
        ContinueOnDnsError = true,
        MaximumCacheTimeout = TimeSpan.FromMinutes(10),
    });

    /// <exception cref="DnsUnavailableException">The lookup failed; try later.</exception>
    public async Task<MailRoute> FindAsync(string domain, CancellationToken cancel)
    {
        var answer = await QueryAsync(domain, QueryType.MX, cancel);
        if (answer.Header.ResponseCode == DnsHeaderResponseCode.NotExistentDomain)
            return new([], false, true);
        var records = answer.Answers.MxRecords().OrderBy(m => m.Preference).ToList();
        if (records is [{ Exchange.Value: "." }])
            return new([], true, false);
        var hosts = new List<(string, IReadOnlyList<IPAddress>)>();
        DnsUnavailableException? failed = null;
        // RFC 5321 5.1: without MX the domain is its own exchanger.
        foreach (var host in records.Count == 0 ? [domain] : records.Take(MaxHosts).Select(m => m.Exchange.Value.TrimEnd('.')))
        {
            try
            {
                var addresses = await AddressesAsync(host, cancel);
                if (addresses.Count > 0)
                    hosts.Add((host, addresses));
            }
            catch (DnsUnavailableException e)
            {
                failed = e; // one exchanger that does not resolve is no reason to pass by the others
            }
        }
        return hosts.Count > 0 || failed is null ? new(hosts, false, false) : throw failed;
    }

    /// <summary>The addresses of a host, IPv6 first.</summary>
    /// <exception cref="DnsUnavailableException">The lookup failed; try later.</exception>
    public async Task<IReadOnlyList<IPAddress>> AddressesAsync(string host, CancellationToken cancel)
    {
        if (IPAddress.TryParse(host, out var literal))
            return [literal];
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase))
            return [IPAddress.Loopback];
        var v6 = await QueryAsync(host, QueryType.AAAA, cancel);
        var v4 = await QueryAsync(host, QueryType.A, cancel);
        return [.. v6.Answers.AaaaRecords().Select(r => r.Address), .. v4.Answers.ARecords().Select(r => r.Address)];
    }

    private async Task<IDnsQueryResponse> QueryAsync(string name, QueryType type, CancellationToken cancel)
    {
        try
        {
            var answer = await _client.QueryAsync(name, type, cancellationToken: cancel);
            return answer.Header.ResponseCode is DnsHeaderResponseCode.NoError or DnsHeaderResponseCode.NotExistentDomain
                ? answer : throw new DnsUnavailableException($"{type} {name}: {answer.Header.ResponseCode}");
        }
        catch (Exception e) when (e is not (OperationCanceledException or DnsUnavailableException))
        {
            throw new DnsUnavailableException($"{type} {name}: {e.Message}");
        }
    }
}
