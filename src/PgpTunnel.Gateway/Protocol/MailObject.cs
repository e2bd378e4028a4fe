using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>An envelope and its content (RFC 5321 2.3.1), of which a parcel is to be made.</summary>
/// <param name="SenderDomain">Which of our domains it is from.</param>
/// <param name="Message">The content, in parts.</param>
/// <param name="Leaving">In what shape it may leave, whatever is decided later.</param>
internal sealed record MailObject(
    string SenderDomain,
    ReversePath From,
    IReadOnlyList<ForwardPath> To,
    IReadOnlyList<ReadOnlyMemory<byte>> Message,
    Leaving Leaving
)
{
    /// <summary>Id of the parcel in whose place the new one comes; null = it is the first.</summary>
    public string? Was { get; init; }

    /// <summary>Of what is to leave in clear: why it does, for the record.</summary>
    public string Why { get; init; } = "";

    /// <summary>Of what is to leave in clear: the proof that the domain publishes no gateway; null = there is none.</summary>
    public string? Proof { get; init; }

    public int Size => Message.Sum(m => m.Length);
}
