using System.Net;
using System.Security.Cryptography.X509Certificates;

namespace PgpTunnel.Smtp;

/// <summary>What a listener offers and enforces.</summary>
public sealed record SmtpServerOptions
{
    /// <summary>Our name in the greeting.</summary>
    public required string Hostname { get; init; }

    /// <summary>Largest message in octets, announced as SIZE and enforced while reading.</summary>
    public required long MessageSize { get; init; }

    /// <summary>Certificate for STARTTLS as it is now; null = not offered.</summary>
    public Func<X509Certificate2?> Certificate { get; init; } = () => null;

    /// <summary>A CR or LF on its own in a message becomes CRLF instead of being refused.</summary>
    public bool NormaliseNewlines { get; init; }

    /// <summary>Recipients accepted in one transaction (RFC 5321 4.5.3.1.8: at least 100).</summary>
    public int MaxRecipients { get; init; } = 1000;

    public int MaxConnections { get; init; } = 200;

    public int MaxConnectionsPerAddress { get; init; } = 20;

    /// <summary>Addresses to which the limit per address does not apply.</summary>
    public Func<IPAddress, bool> Trusted { get; init; } = _ => false;

    /// <summary>RFC 5321 4.5.3.2.7: a server waits at least five minutes for the next command.</summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Wait for the next part of a message.</summary>
    public TimeSpan DataTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Wait for a whole message, however busily it drips.</summary>
    public TimeSpan MessageTimeout { get; init; } = TimeSpan.FromMinutes(60);

    /// <summary>Messages in hand share this; null = no limit.</summary>
    public MemoryBudget? Memory { get; init; }

    /// <summary>Arrays for large messages.</summary>
    public LargeArrays Arrays { get; init; } = new(16 * 1024 * 1024);

    /// <summary>
    /// A message gets memory for the size it declares before it begins; for our own mail server, which means it. Strangers get memory for
    /// what they send.
    /// </summary>
    public bool ReserveDeclared { get; init; }

    /// <summary>
    /// How long a message waits for its share before it is told to come again (RFC 5321 4.5.3.2.4: clients wait two minutes).
    /// </summary>
    public TimeSpan MemoryPatience { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Commands that are no SMTP, or out of order, after which the session ends; what policy refuses does not count.</summary>
    public int MaxErrors { get; init; } = 20;

    /// <summary>Told of every failure that was not the client's; never throws.</summary>
    public Action<string, Exception?> Log { get; init; } = (_, _) => { };
}
