using System.Net;

namespace PgpTunnel.Smtp;

/// <summary>Who is at the other end of a session.</summary>
/// <param name="Address">The peer's address.</param>
/// <param name="Helo">The argument of EHLO or HELO.</param>
/// <param name="Esmtp">Greeted with EHLO.</param>
/// <param name="Tls">The session is encrypted.</param>
public sealed record SmtpClientInfo(IPAddress Address, string Helo, bool Esmtp, bool Tls);

/// <summary>What a session does with mail: one instance a listener.</summary>
public interface IMailFlow
{
    /// <summary>Answers MAIL FROM. A positive reply comes with the transaction that takes the rest.</summary>
    Task<(SmtpReply Reply, IMailTransaction? Transaction)> BeginAsync(
        SmtpClientInfo client,
        ReversePath from,
        CancellationToken cancel
    );
}

/// <summary>One mail transaction (RFC 5321 3.3), from MAIL to the answer to the message.</summary>
public interface IMailTransaction
{
    /// <summary>Answers RCPT TO; recipients that got a positive reply are part of the transaction.</summary>
    Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel);

    /// <summary>
    /// Tells of a recipient that was refused for its syntax or its parameters, and so never came to <see cref="AddAsync"/>.
    /// </summary>
    /// <param name="argument">What stood behind RCPT TO.</param>
    void Refused(string argument, SmtpReply reply) { }

    /// <summary>Octets of the message that are wanted, however large it is; null = all, within the limit.</summary>
    long? Enough => null;

    /// <summary>Answers the message. A 250 means that it is durably kept.</summary>
    /// <param name="message">CRLF lines, no dot-stuffing; valid only during the call.</param>
    Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel);
}
