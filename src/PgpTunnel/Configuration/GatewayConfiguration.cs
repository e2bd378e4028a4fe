using System.Net;
using PgpTunnel.OpenPgp;
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
    public required string Postmaster { get; init; }
    public required OutboundListener? Outbound { get; init; }
    public required InboundListener? Inbound { get; init; }

    /// <summary>Our own mail server.</summary>
    public required Endpoint Local { get; init; }

    /// <summary>Smarthost for outgoing mail; null = MX of the destination.</summary>
    public required Endpoint? Relay { get; init; }

    /// <summary>The only resolvers asked; null = the system's.</summary>
    public required IReadOnlyList<IPEndPoint>? Resolvers { get; init; }
    public required string? TrustAnchorsFile { get; init; }
    public required string KeysDirectory { get; init; }
    public required string? PassphraseFile { get; init; }

    /// <summary>After this time a new encryption subkey is made; null = by hand only.</summary>
    public required TimeSpan? EncryptionLifetime { get; init; }
    public required string SpoolFile { get; init; }
    public required LocalPolicy DefaultPolicy { get; init; }
    public required IReadOnlyDictionary<string, Partner> Partners { get; init; }

    /// <summary>Octets of the inner message, both directions.</summary>
    public required long MessageSize { get; init; }
    public required long Memory { get; init; }

    /// <summary>Octets from which on a parcel counts as large, by that budget.</summary>
    public long LargeParcel => LargeOf(Memory);

    /// <inheritdoc cref="LargeParcel"/>
    public static long LargeOf(long memory) => memory / 32;
    public required int Connections { get; init; }

    /// <summary>Below this many octets free on the spool's disk no mail is taken.</summary>
    public required long FreeDisk { get; init; }

    /// <summary>Octets that may wait in the spool; null = no limit.</summary>
    public required long? QueueSize { get; init; }
    public required int ConnectionsPerAddress { get; init; }
    public required RetryTimes Retry { get; init; }
    public required string? TraceToken { get; init; }
    public required bool AuthenticationResults { get; init; }

    public string GatewayDomain => Gateway[(Gateway.LastIndexOf('@') + 1)..];

    /// <summary>Largest outer message: armor, two bases of padding and the header block on top of the inner one.</summary>
    public long OuterSize => (long)(MessageSize * 1.42) + 64 * 1024;

    public LocalPolicy PolicyFor(string domain) => Partners.GetValueOrDefault(domain)?.Policy ?? DefaultPolicy;
}

/// <param name="Networks">Who may send.</param>
/// <param name="Senders">Which of our domains it may send for; null = any.</param>
public sealed record OutboundListener(IPEndPoint Address, IReadOnlyList<IPNetwork> Networks, IReadOnlyList<string>? Senders, bool Normalise, TlsFiles? Tls);

/// <param name="Tls">Null = no STARTTLS; files null = self-signed.</param>
/// <param name="PartnersOnly">Only partners may send in: whom the configuration names, or an administrator has verified.</param>
public sealed record InboundListener(IPEndPoint Address, TlsFiles? Tls, bool PartnersOnly);

public sealed record TlsFiles(string? Certificate, string? Key);

/// <param name="Mark">Header fields put in front of what is sent there.</param>
public sealed record Endpoint(string Host, int Port, TlsMode Tls, string? User, string? PasswordFile, IReadOnlyList<KeyValuePair<string, string>> Mark)
{
    /// <summary>Recipients whose local part carries routing are not passed on.</summary>
    public bool RefusesRouting { get; init; } = true;

    /// <summary>Extensions not to be used with it, separated by blanks.</summary>
    public string Without { get; init; } = "";
}

/// <param name="Fingerprints">Trusted fingerprints; empty = none.</param>
/// <param name="Certificate">Makes the partner usable without DNS.</param>
/// <param name="Echo">Its gateway may ask ours for an echo.</param>
public sealed record Partner(LocalPolicy? Policy, IReadOnlyList<string> Fingerprints, Certificate? Certificate, string? CertificateFile, string? Gateway, bool Echo);

public sealed record RetryTimes(TimeSpan First, TimeSpan Longest, TimeSpan GiveUp, TimeSpan DelayNotice);

/// <summary>The configuration cannot be used; one mistake a line, each naming its key.</summary>
public sealed class ConfigurationException(IReadOnlyList<string> mistakes) : Exception(string.Join('\n', mistakes))
{
    public IReadOnlyList<string> Mistakes => mistakes;
}
