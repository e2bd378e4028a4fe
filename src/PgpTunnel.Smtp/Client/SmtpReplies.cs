using System.Collections;

namespace PgpTunnel.Smtp;

/// <summary>The final replies for the recipients of one message, in their order.</summary>
/// <param name="replies">One a recipient.</param>
/// <param name="takesDsn">The server takes the wish for reports upon itself (RFC 3461 5.2.2); else they end with us.</param>
public sealed class SmtpReplies(IReadOnlyList<SmtpReply> replies, bool takesDsn) : IReadOnlyList<SmtpReply>
{
    public bool TakesDsn => takesDsn;

    /// <summary>The same, each with the host that gave it.</summary>
    public SmtpReplies By(string server) => new([.. replies.Select(r => r with { Server = server })], takesDsn);

    public SmtpReply this[int index] => replies[index];

    public int Count => replies.Count;

    public IEnumerator<SmtpReply> GetEnumerator() => replies.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
