using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>The DNS as a configuration sees it: resolvers, trust anchors, and the validator on them. A reload replaces all three.</summary>
internal sealed class Trust
{
    private readonly TimeProvider _time;
    private volatile Tuple<DnsValidator, MailExchangers> _current;

    /// <exception cref="ConfigurationException">The anchor file cannot be read.</exception>
    public Trust(GatewayConfiguration configuration, TimeProvider time) => (_time, _current) = (time, Make(configuration, time));

    public DnsValidator Validator => _current.Item1;

    public MailExchangers Exchangers => _current.Item2;

    /// <exception cref="ConfigurationException">The anchor file cannot be read; what was there stays.</exception>
    public void Replace(GatewayConfiguration configuration) => _current = Make(configuration, _time);

    private static Tuple<DnsValidator, MailExchangers> Make(GatewayConfiguration configuration, TimeProvider time)
    {
        var resolvers = Resolvers(configuration);
        var anchors = configuration.TrustAnchorsFile is { } file ? Anchors(file) : TrustAnchors.BuiltIn;
        return Tuple.Create(new DnsValidator(new DnsExchange(resolvers), anchors, time), new MailExchangers(resolvers));
    }

    public static IReadOnlyList<IPEndPoint> Resolvers(GatewayConfiguration configuration) => configuration.Resolvers ?? DnsExchange.SystemResolvers();

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
