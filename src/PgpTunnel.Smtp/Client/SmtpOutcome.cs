namespace PgpTunnel.Smtp;

/// <summary>What came of one transaction.</summary>
/// <param name="Replies">One a recipient, in order; of those in <paramref name="Rest"/> it is not the last word.</param>
/// <param name="TakesDsn">The server takes the wish for reports upon itself.</param>
/// <param name="Rest">Recipients, by index, that are to be sent again at once: in another transaction, or without what the server does not have.</param>
/// <param name="Suspects">Extensions that the server announces and, it seems, does not have; not to be used for a while.</param>
internal sealed record SmtpOutcome(SmtpReply[] Replies, bool TakesDsn, IReadOnlyList<int> Rest, IReadOnlyList<string> Suspects)
{
    /// <summary>MAIL was refused, which may be about the session: so many messages a connection, and no more.</summary>
    public bool RefusedAtMail { get; init; }

    /// <summary>The connection broke before there was any verdict.</summary>
    public bool BrokeOff { get; init; }
}
