namespace PgpTunnel.Smtp;

/// <summary>What came of one transaction.</summary>
/// <param name="Replies">One a recipient, in order; of those in <paramref name="Rest"/> it is not the last word.</param>
/// <param name="Rest">Recipients, by index, that are to be sent again at once: in another transaction, or without what the server does
/// not have.</param>
/// <param name="Suspects">Extensions that the server announces and one of which, it seems, it does not have; the least loss first.</param>
internal sealed record SmtpOutcome(SmtpReply[] Replies, IReadOnlyList<int> Rest, IReadOnlyList<string> Suspects)
{
    /// <summary>Extensions to be done without at the next attempt, which is not now.</summary>
    public IReadOnlyList<string> Lacks { get; init; } = [];

    /// <summary>MAIL was refused, which may be about the session: so many messages a connection, and no more.</summary>
    public bool RefusedAtMail { get; init; }

    /// <summary>The connection broke off, and nobody was refused for good.</summary>
    public bool BrokeOff { get; init; }
}
