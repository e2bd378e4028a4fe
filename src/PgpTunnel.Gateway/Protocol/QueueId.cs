using System.Text.RegularExpressions;

namespace PgpTunnel;

/// <summary>What a mail server called a message in its queue: what its administrator has at hand, by its log.</summary>
internal static partial class QueueId
{
    private const int Longest = 64; // characters

    /// <param name="received">The value of the topmost Received field: that of the server that handed it in.</param>
    /// <returns>Null when there is none in it.</returns>
    public static string? OfReceived(string? received) => Read(received is null ? null : Clause().Match(received));

    /// <param name="reply">Of the server that took it, as Postfix, Exim and others write it.</param>
    /// <inheritdoc cref="OfReceived"/>
    public static string? OfReply(string reply) => Read(Queued().Match(reply));

    private static string? Read(Match? match) =>
        match is { Success: true } && match.Groups[1].Value is { Length: <= Longest } id ? id : null;

    /// <summary>RFC 5321 4.4.</summary>
    [GeneratedRegex(@"\sid\s+<?([A-Za-z0-9.@_-]+)", RegexOptions.IgnoreCase)]
    private static partial Regex Clause();

    [GeneratedRegex(@"\b(?:queued as|id=)\s*([A-Za-z0-9._-]+)", RegexOptions.IgnoreCase)]
    private static partial Regex Queued();
}
