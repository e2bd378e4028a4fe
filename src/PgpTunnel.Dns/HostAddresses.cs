using System.Net;
using DnsClient;

namespace PgpTunnel.Dns;

/// <summary>
/// Addresses of servers that an administrator has named, whatever the DNS can prove of them: such names often exist inside a company
/// only. Over TCP, since the library's UDP accepts strangers' answers.
/// </summary>
public sealed class HostAddresses
{
    private readonly LookupClient _client;

    public HostAddresses(IReadOnlyList<IPEndPoint> resolvers) =>
        _client = new LookupClient(
            new LookupClientOptions([.. resolvers])
            {
                UseTcpOnly = true,
                UseCache = true,
                Timeout = TimeSpan.FromSeconds(5),
                Retries = 1,
                ThrowDnsErrors = false,
                ContinueOnDnsError = true,
                MaximumCacheTimeout = TimeSpan.FromMinutes(10),
            }
        );

    /// <summary>The addresses of a host, IPv6 first.</summary>
    /// <exception cref="DnsUnavailableException">The lookup failed; try later.</exception>
    public async Task<IReadOnlyList<IPAddress>> FindAsync(string host, CancellationToken cancel)
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
            return
                answer.Header.ResponseCode is DnsHeaderResponseCode.NoError or DnsHeaderResponseCode.NotExistentDomain
                ? answer
                : throw new DnsUnavailableException($"{type} {name}: {answer.Header.ResponseCode}");
        }
        catch (Exception e) when (e is not (OperationCanceledException or DnsUnavailableException))
        {
            throw new DnsUnavailableException($"{type} {name}: {e.Message}");
        }
    }
}
