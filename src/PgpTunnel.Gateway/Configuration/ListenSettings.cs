using System.Net;
using System.Net.Sockets;

namespace PgpTunnel;

/// <summary>The section <c>listen</c>: where mail comes in, and where monitors look.</summary>
public sealed record ListenSettings(OutboundListener? Outbound, InboundListener? Inbound)
{
    /// <summary>Where Prometheus reads the metrics; null = nowhere.</summary>
    public IPEndPoint? Metrics { get; init; }

    internal static ListenSettings Read(ConfigurationNode root, IReadOnlyList<string> domains)
    {
        var listen = root.Section("listen");
        var settings = new ListenSettings(OutboundListener.Read(listen, domains), InboundListener.Read(listen))
        {
            Metrics = listen.Text("metrics", null) is { } metrics ? listen.Address("metrics", metrics) : null,
        };
        listen.Close();
        if (settings.Metrics is { } at && (at.Port == 0 || at.AddressFamily != AddressFamily.InterNetwork))
            root.Mistake("listen.metrics", $"'{at}' is not an IPv4 address and port such as 127.0.0.1:9464");
        if (
            settings.Metrics is { } same
            && (same.Equals(settings.Outbound?.Address) || same.Equals(settings.Inbound?.Address))
        )
            root.Mistake("listen.metrics", "is the address of outbound or inbound");
        if (listen.IsNull("outbound") && listen.IsNull("inbound"))
            root.Mistake("listen", "outbound and inbound are both null, so there is nothing to do");
        if (settings.Outbound is { Address: { Port: not 0 } address } && address.Equals(settings.Inbound?.Address))
            root.Mistake("listen", "outbound and inbound have the same address");
        return settings;
    }

    /// <returns>Which of our listeners stands there, <c>outbound</c> or <c>inbound</c>; null = none that can be told.</returns>
    internal string? OwnAt(string host, int port)
    {
        bool Is(IPEndPoint? listener) =>
            listener is { Port: not 0 }
            && listener.Port == port
            && (
                IPAddress.TryParse(host, out var address)
                    ? address.Equals(Near(listener).Address) || address.Equals(listener.Address)
                    : host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
                        && IPAddress.IsLoopback(Near(listener).Address)
            );
        return Is(Outbound?.Address) ? "outbound"
            : Is(Inbound?.Address) ? "inbound"
            : null;
    }

    /// <summary>Who listens on all addresses is found at the machine's own.</summary>
    internal static IPEndPoint Near(IPEndPoint listener) =>
        listener.Address.Equals(IPAddress.Any) ? new(IPAddress.Loopback, listener.Port)
        : listener.Address.Equals(IPAddress.IPv6Any) ? new(IPAddress.IPv6Loopback, listener.Port)
        : listener;

    internal IEnumerable<string?> Files =>
        [Inbound?.Tls?.Certificate, Inbound?.Tls?.Key, Outbound?.Tls?.Certificate, Outbound?.Tls?.Key];

    internal IEnumerable<string> NeedsRestart(ListenSettings now)
    {
        if (!Equals(Outbound?.Address, now.Outbound?.Address) || Outbound?.Normalise != now.Outbound?.Normalise)
            yield return "listen.outbound";
        if (!Equals(Inbound?.Address, now.Inbound?.Address))
            yield return "listen.inbound";
        if (!Equals(Metrics, now.Metrics))
            yield return "listen.metrics";
    }
}

/// <param name="Networks">Who may send.</param>
/// <param name="Senders">Which of our domains it may send for; null = any.</param>
public sealed record OutboundListener(
    IPEndPoint Address,
    IReadOnlyList<IPNetwork> Networks,
    IReadOnlyList<string>? Senders,
    bool Normalise,
    TlsFiles? Tls
)
{
    /// <summary>Null where there is to be none.</summary>
    internal static OutboundListener? Read(ConfigurationNode listen, IReadOnlyList<string> domains)
    {
        if (listen.IsNull("outbound"))
        {
            listen.OptionalSection("outbound");
            return null;
        }
        var node = listen.Section("outbound");
        var address = node.Address("address", node.Text("address", "127.0.0.1:10025"));
        var networks = new List<IPNetwork>();
        foreach (var text in node.TextList("networks") ?? ["127.0.0.0/8", "::1/128"])
        {
            if (IPNetwork.TryParse(text, out var network))
                networks.Add(network);
            else
                node.Mistake("networks", $"'{text}' is not a network such as 192.0.2.0/24");
        }
        var senders = node.DomainList("senders");
        foreach (var other in senders?.Except(domains) ?? [])
            node.Mistake("senders", $"'{other}' is not one of domains");
        var normalise = node.Choice("bareNewline", false, ("refuse", false), ("normalise", true));
        var tls = TlsFiles.Read(node);
        if (tls is { Certificate: null })
            node.Mistake("tls", "needs certificate and key");
        node.Close();
        return address is null ? null : new OutboundListener(address, networks, senders, normalise, tls);
    }
}

/// <param name="Tls">Null = no STARTTLS; files null = self-signed.</param>
/// <param name="PartnersOnly">Only partners may send in: whom the configuration names, or an administrator has verified.</param>
public sealed record InboundListener(IPEndPoint Address, TlsFiles? Tls, bool PartnersOnly)
{
    /// <summary>Null where there is to be none.</summary>
    internal static InboundListener? Read(ConfigurationNode listen)
    {
        if (listen.IsNull("inbound"))
        {
            listen.OptionalSection("inbound");
            return null;
        }
        var node = listen.Section("inbound");
        var address = node.Address("address", node.Text("address", "0.0.0.0:25"));
        var tls = node.IsNull("tls") ? null : TlsFiles.Read(node) ?? new TlsFiles(null, null);
        node.OptionalSection("tls");
        var partnersOnly = node.Choice("from", false, ("anyone", false), ("partners", true));
        node.Close();
        return address is null ? null : new InboundListener(address, tls, partnersOnly);
    }
}

public sealed record TlsFiles(string? Certificate, string? Key)
{
    internal static TlsFiles? Read(ConfigurationNode parent)
    {
        if (parent.OptionalSection("tls") is not { } node)
            return null;
        var files = new TlsFiles(node.File("certificate", null), node.File("key", null));
        if (files.Certificate is null != files.Key is null)
            node.Mistake("certificate", "certificate and key belong together (both PEM)");
        foreach (var (key, file) in new[] { ("certificate", files.Certificate), ("key", files.Key) })
            if (file is not null && !System.IO.File.Exists(file))
                node.Mistake(key, $"{file} does not exist");
        node.Close();
        return files;
    }
}
