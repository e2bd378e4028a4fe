using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Everything an operator sets, checked and with defaults filled in. <see cref="ConfigurationReader"/> makes it.</summary>
public sealed record GatewayConfiguration
{
    /// <summary>The file it was read from; relative paths in it are relative to its folder.</summary>
    public required string File { get; init; }

    /// <summary>The domains this gateway serves, A-labels.</summary>
    public required IReadOnlyList<string> Domains { get; init; }

    /// <summary>The gateway's mailbox.</summary>
    public required string Gateway { get; init; }
    public required string Hostname { get; init; }
    public required Mailbox Postmaster { get; init; }
    public required ListenSettings Listen { get; init; }
    public required DeliverSettings Deliver { get; init; }
    public required DnsSettings Dns { get; init; }
    public required KeySettings Keys { get; init; }
    public required string SpoolFile { get; init; }
    public required PolicySettings Policy { get; init; }
    public required Limits Limits { get; init; }
    public required RetryTimes Retry { get; init; }
    public required TraceSettings Trace { get; init; }
    public required EvidenceSettings Evidence { get; init; }
    public required ReceiptSettings Receipts { get; init; }

    public string GatewayDomain => GatewayAddress.DomainOf(Gateway);

    public LocalPolicy PolicyFor(string domain) => Policy.Of(domain);

    /// <summary>Every file that a reload reads.</summary>
    internal IEnumerable<string> Files =>
        (
            (IEnumerable<string?>)
                [File, .. Dns.Files, .. Listen.Files, .. Policy.Files, .. Keys.Files, .. Evidence.Files]
        ).OfType<string>();

    /// <summary>Keys that differ in another configuration and that only a restart can change.</summary>
    internal IEnumerable<string> NeedsRestart(GatewayConfiguration now) =>
        [
            .. Listen.NeedsRestart(now.Listen),
            .. Hostname == now.Hostname ? [] : new[] { "hostname" },
            .. SpoolFile == now.SpoolFile ? [] : new[] { "spool" },
            .. Limits.NeedsRestart(now.Limits),
        ];
}

/// <summary>The configuration cannot be used; one mistake a line, each naming its key.</summary>
public sealed class ConfigurationException(IReadOnlyList<string> mistakes) : Exception(string.Join('\n', mistakes))
{
    public IReadOnlyList<string> Mistakes => mistakes;
}
