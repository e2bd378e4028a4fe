using System.Net;

namespace PgpTunnel.Dns;

/// <summary>How long one question is waited for, over UDP (twice) and over TCP.</summary>
public sealed record DnsPatience(TimeSpan Udp, TimeSpan Tcp)
{
    public static readonly DnsPatience Usual = new(TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(5));
}

/// <summary>
/// The configured resolvers. It trusts nobody: what it guards against is only being fooled cheaply or kept waiting. Each resolver is
/// judged by itself: one that cannot do what is needed is asked last for a while, and named alone.
/// </summary>
/// <param name="setAside">Told of a resolver that others are now preferred to, and why.</param>
/// <param name="patience">How long a resolver is waited for; null = as long as is usual.</param>
public sealed class DnsExchange(
    IReadOnlyList<IPEndPoint> resolvers,
    Action<IPEndPoint, string>? setAside = null,
    DnsPatience? patience = null
) : DnsSource
{
    private readonly IReadOnlyList<DnsResolver> _resolvers =
    [
        .. resolvers.Select(r => new DnsResolver(r, patience ?? DnsPatience.Usual)),
    ];

    public IReadOnlyList<IPEndPoint> Resolvers => resolvers;

    /// <summary>The system's name servers (resolv.conf and its like); never a public fallback.</summary>
    public static IReadOnlyList<IPEndPoint> SystemResolvers()
    {
        var found = DnsClient
            .NameServer.ResolveNameServers(skipIPv6SiteLocal: true, fallbackToGooglePublicDns: false)
            .Select(s => new IPEndPoint(IPAddress.Parse(s.Address), s.Port))
            .ToList();
        if (found.Count == 0)
            found = [.. OfResolvConf("/etc/resolv.conf")];
        return found.Count > 0 ? found : [new(IPAddress.Loopback, 53)]; // as resolv.conf(5) has it
    }

    /// <summary>
    /// The library looks at interfaces, and passes loopback by: where nothing else is up, the file still names the resolver there.
    /// </summary>
    internal static IReadOnlyList<IPEndPoint> OfResolvConf(string file)
    {
        try
        {
            return
            [
                .. File.ReadLines(file)
                    .Select(l => l.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
                    .Where(w => w is ["nameserver", _, ..])
                    .Select(w => IPAddress.TryParse(w[1], out var address) ? new IPEndPoint(address, 53) : null)
                    .OfType<IPEndPoint>(),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <param name="asker">Zones that strangers name may do what they like: their answers say nothing of a resolver.</param>
    internal override DnsInquiry Ask(DomainName name, ushort type, Asker asker) =>
        new DnsQuestion(
            name,
            type,
            [.. _resolvers.OrderBy(r => r.IsAside)],
            asker == Asker.Ours ? SetAside : (_, _) => { }
        );

    /// <summary>The first answer with NOERROR or NXDOMAIN.</summary>
    /// <exception cref="DnsUnavailableException">No resolver gave one.</exception>
    public Task<DnsMessage> AskAsync(DomainName name, ushort type, CancellationToken cancel) =>
        Ask(name, type, Asker.Ours).NextAsync(cancel);

    private void SetAside(DnsResolver resolver, string why)
    {
        if (_resolvers.Count > 1 && resolver.SetAside())
            setAside?.Invoke(resolver.Address, why);
    }
}
