namespace PgpTunnel.Smtp;

/// <summary>The server could not be brought to a verdict: try another or try later. <see cref="Reply"/> is what to tell.</summary>
public sealed class SmtpUnavailableException(SmtpReply reply, Exception? inner = null)
    : Exception(reply.ToString(), inner)
{
    public SmtpReply Reply => reply;

    /// <summary>The content had been sent: the server may have the message, so no other is tried with it now.</summary>
    public bool AfterContent { get; init; }

    /// <summary>It came while the content went by BDAT, which some servers announce and do not have.</summary>
    internal bool ByChunk { get; init; }
}

/// <summary>STARTTLS did not work out.</summary>
internal sealed class TlsFailedException(SmtpReply reply, Exception? inner = null) : Exception(reply.ToString(), inner)
{
    public SmtpReply Reply => reply;
}
