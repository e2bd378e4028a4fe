using System.Net;

namespace PgpTunnel;

/// <summary>The section <c>dns</c>.</summary>
/// <param name="Resolvers">The only resolvers asked; null = the system's.</param>
public sealed record DnsSettings(IReadOnlyList<IPEndPoint>? Resolvers, string? TrustAnchorsFile)
{
    internal static DnsSettings Read(ConfigurationNode root)
    {
        var dns = root.Section("dns");
        var resolvers = dns.TextList("resolvers")
            ?.Select(r => dns.Address("resolvers", r, 53))
            .OfType<IPEndPoint>()
            .ToList();
        if (resolvers is { Count: 0 })
            dns.Mistake("resolvers", "must list at least one resolver, or be null for the system's");
        var settings = new DnsSettings(resolvers, dns.File("trustAnchors", null));
        dns.Close();
        return settings;
    }

    internal IEnumerable<string?> Files => [TrustAnchorsFile];
}
