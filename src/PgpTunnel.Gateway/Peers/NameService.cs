using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>The DNS as a configuration sees it: resolvers, trust anchors, and what asks them. A reload replaces all of it.</summary>
internal sealed class NameService
{
    private readonly TimeProvider _time;
    private readonly EventLog? _log;
    private volatile Parts _current;

    private sealed record Parts(
        DnsExchange Exchange,
        TrustAnchors Anchors,
        DnsValidator Validator,
        MailExchangers Exchangers,
        HostAddresses Hosts
    );

    /// <exception cref="ConfigurationException">The anchor file cannot be read.</exception>
    public NameService(GatewayConfiguration configuration, TimeProvider time, EventLog? log = null) =>
        (_time, _log, _current) = (time, log, Make(configuration, time, log));

    public DnsValidator Validator => _current.Validator;

    public TrustAnchors Anchors => _current.Anchors;

    /// <summary>One that has asked nothing yet, so that it asks for all that a proof needs.</summary>
    public DnsValidator Unused() => new(_current.Exchange, _current.Anchors, _time);

    public MailExchangers Exchangers => _current.Exchangers;

    public HostAddresses Hosts => _current.Hosts;

    /// <exception cref="ConfigurationException">The anchor file cannot be read; what was there stays.</exception>
    public void Replace(GatewayConfiguration configuration) => _current = Make(configuration, _time, _log);

    private static Parts Make(GatewayConfiguration configuration, TimeProvider time, EventLog? log)
    {
        var exchange = new DnsExchange(
            Resolvers(configuration),
            (resolver, why) =>
                log?.Write(
                    "resolver-set-aside",
                    ("resolver", resolver),
                    ("why", why),
                    ("do", "the others of dns.resolvers are asked first for a minute; see what this one does")
                )
        );
        var anchors = configuration.Dns.TrustAnchorsFile is { } file ? Read(file) : TrustAnchors.BuiltIn;
        var validator = new DnsValidator(exchange, anchors, time, configuration.Limits.Memory / 8);
        return new(exchange, anchors, validator, new MailExchangers(validator), new HostAddresses(exchange.Resolvers));
    }

    public static IReadOnlyList<IPEndPoint> Resolvers(GatewayConfiguration configuration) =>
        configuration.Dns.Resolvers ?? DnsExchange.SystemResolvers();

    /// <exception cref="ConfigurationException">The anchor file cannot be read.</exception>
    public static TrustAnchors Read(string file)
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
