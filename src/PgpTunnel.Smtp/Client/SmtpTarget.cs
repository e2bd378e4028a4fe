using System.Net;

namespace PgpTunnel.Smtp;

/// <summary>How a connection to a server is protected.</summary>
public enum TlsMode
{
    None,

    /// <summary>STARTTLS where offered, certificate not looked at: what crosses is sealed, or local.</summary>
    Opportunistic,

    /// <summary>STARTTLS or no mail; certificate not looked at.</summary>
    Require,

    /// <summary>STARTTLS with a certificate for the host's name that the system trusts, or no mail.</summary>
    Verify,
}

/// <summary>One server to hand mail to.</summary>
/// <param name="Host">Its name, for TLS and the log.</param>
/// <param name="Without">Extensions not to be used with it, separated by blanks.</param>
public sealed record SmtpTarget(
    string Host,
    IPEndPoint Address,
    TlsMode Tls,
    SmtpLogin? Login = null,
    string Without = ""
)
{
    /// <summary>Extensions that a message can do without.</summary>
    public static readonly IReadOnlyList<string> Optional =
    [
        "CHUNKING",
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
    ];

    public override string ToString() =>
        Address.Address.ToString() == Host ? $"{Host}:{Address.Port}" : $"{Host}[{Address.Address}]:{Address.Port}";
}

/// <summary>A name and password for AUTH.</summary>
public sealed record SmtpLogin(string User, string Password);
