using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>The DNS as a configuration sees it: resolvers, trust anchors, and the validator on them.</summary>
internal static class Trust
{
    public static IReadOnlyList<IPEndPoint> Resolvers(GatewayConfiguration configuration) => configuration.Resolvers ?? DnsExchange.SystemResolvers();

    /// <exception cref="ConfigurationException">The anchor file cannot be read.</exception>
    public static DnsValidator Validator(GatewayConfiguration configuration, TimeProvider time) =>
        new(new DnsExchange(Resolvers(configuration)), configuration.TrustAnchorsFile is { } file ? Anchors(file) : TrustAnchors.BuiltIn, time);

    /// <exception cref="ConfigurationException">The anchor file cannot be read.</exception>
    public static TrustAnchors Anchors(string file)
    {
        try
        {
            return TrustAnchors.Parse(File.ReadAllText(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new ConfigurationException([$"dns.trustAnchors: {file}: {e.Message}"]);
        }
    }
}
