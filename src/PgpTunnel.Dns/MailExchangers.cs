using System.Buffers.Binary;
using System.Net;

namespace PgpTunnel.Dns;

/// <summary>Where mail for a domain goes (RFC 5321 5.1).</summary>
/// <param name="Hosts">In order of preference, each with its addresses; empty with <paramref name="NullMx"/> when the domain takes no
/// mail (RFC 7505).</param>
/// <param name="Security">The weakest answer it rests on; never worse than Insecure. What it denies is certain only when Secure.</param>
public sealed record MailRoute(
    IReadOnlyList<(string Host, IReadOnlyList<IPAddress> Addresses)> Hosts,
    bool NullMx,
    bool NoSuchDomain,
    DnsSecurity Security
)
{
    /// <summary>
    /// There may be exchangers besides those in <see cref="Hosts"/>: one could not be looked up, or is denied an address by what is not
    /// signed.
    /// </summary>
    public bool Incomplete { get; init; }
}

/// <summary>MX, A and AAAA look-ups, validated like all others: an answer that does not validate is none.</summary>
public sealed class MailExchangers(DnsValidator validator)
{
    /// <summary>Exchangers looked at; a domain with more in earnest has the best ones first.</summary>
    private const int MaxHosts = 10;

    /// <exception cref="DnsUnavailableException">The lookup failed; try later.</exception>
    /// <param name="budget">One for all of them: a domain may name ten exchangers in slow zones.</param>
    public async Task<MailRoute> FindAsync(string domain, WorkBudget budget, CancellationToken cancel)
    {
        var answer = DomainName.TryParse(domain, out var name)
            ? await QueryAsync(name, RecordType.MX, budget, cancel)
            : throw new DnsUnavailableException($"{domain} is not a domain name");
        if (answer.Outcome == DnsOutcome.NxDomain)
            return new([], false, true, answer.Security);
        var records = answer
            .Data.Where(d => d.Length > 2)
            .Select(d => (Preference: BinaryPrimitives.ReadUInt16BigEndian(d), Exchange: DomainName.FromWire(d[2..])))
            .OrderBy(r => r.Preference)
            .ToList();
        if (records is [{ Exchange.IsRoot: true }])
            return new([], true, false, answer.Security);
        var (hosts, security) = (new List<(string, IReadOnlyList<IPAddress>)>(), answer.Security);
        var incomplete = records.Count > MaxHosts;
        DnsUnavailableException? failed = null;
        // RFC 5321 5.1: without MX the domain is its own exchanger.
        foreach (var host in records.Count == 0 ? [name] : records.Take(MaxHosts).Select(r => r.Exchange))
        {
            try
            {
                var (addresses, proved) = await AddressesAsync(host, budget, cancel);
                security = proved > security ? proved : security;
                if (addresses.Count > 0)
                    hosts.Add((host.ToString(), addresses));
                else
                    incomplete |= proved != DnsSecurity.Secure;
            }
            catch (DnsUnavailableException e)
            {
                failed = e; // one exchanger that does not resolve is no reason to pass by the others
            }
        }
        return hosts.Count > 0 || failed is null
            ? new(hosts, false, false, security) { Incomplete = incomplete || failed is not null }
            : throw failed;
    }

    /// <summary>IPv6 first.</summary>
    private async Task<(IReadOnlyList<IPAddress> Addresses, DnsSecurity Security)> AddressesAsync(
        DomainName host,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var v6 = await QueryAsync(host, RecordType.AAAA, budget, cancel);
        var v4 = await QueryAsync(host, RecordType.A, budget, cancel);
        return (
            [.. v6.Data.Concat(v4.Data).Where(d => d.Length is 4 or 16).Select(d => new IPAddress(d))],
            v6.Security > v4.Security ? v6.Security : v4.Security
        );
    }

    private async Task<DnsAnswer> QueryAsync(DomainName name, ushort type, WorkBudget budget, CancellationToken cancel)
    {
        var answer = await validator.LookupAsync(name, type, cancel, fresh: false, budget);
        return answer.Security <= DnsSecurity.Insecure
            ? answer
            : throw new DnsUnavailableException($"{RecordType.Name(type)} {answer.Why}", answer.Rcode);
    }
}
