using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The spool cannot take this now; nothing of it was kept.</summary>
public sealed class SpoolException(string message, bool full, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>For want of space.</summary>
    public bool Full => full;

    /// <summary>Whether what was not kept may be there again after a crash: the disk failed at every try to take it back.</summary>
    public bool MayReturn { get; init; }

    /// <summary>What to do about one in the background.</summary>
    public const string Advice = "see that the spool's disk has room and is healthy";

    /// <summary>What to do when a message could not be taken.</summary>
    public string Remedy => full ? "make room on the spool's disk" : "see that the spool can be written";

    /// <summary>What the client is told: it keeps the message.</summary>
    public SmtpReply Reply => full ? new(452, "4.3.1", Message) : new(451, "4.3.0", Message);
}
