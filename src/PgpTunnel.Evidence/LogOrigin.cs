using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace PgpTunnel.Evidence;

/// <summary>
/// The name of one log: <c>own.example/pgptunnel/peer.example/0123456789abcdef</c>. Its last part is random and made anew whenever a log
/// begins, so that whoever was restored from an old copy never signs a second history under the same name.
/// </summary>
/// <param name="Own">The domain whose gateway keeps it, an A-label.</param>
/// <param name="Peer">The domain that it is about; <c>-</c> = everybody else.</param>
/// <param name="Id">64 bits, 16 lower-case hex digits.</param>
public sealed partial record LogOrigin(string Own, string Peer, string Id)
{
    /// <summary>In the place of a peer: the rest of the world.</summary>
    public const string World = "-";

    /// <summary>Of <see cref="Id"/>.</summary>
    public const int IdDigits = 16;

    public static LogOrigin New(string own, string peer) =>
        new(own, peer, RandomNumberGenerator.GetHexString(IdDigits, lowercase: true));

    public override string ToString() => $"{Own}/pgptunnel/{Peer}/{Id}";

    /// <returns>Null when the text is no such name.</returns>
    public static LogOrigin? TryRead(string text) =>
        Form().Match(text) is { Success: true } match
            ? new(match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value)
            : null;

    private const string Domain = "(?:[a-z0-9_][a-z0-9_-]{0,62}\\.)*[a-z0-9_][a-z0-9_-]{0,62}";

    /// <summary>A name is a part of paths, too: each label begins with a letter, a digit or an underscore.</summary>
    [GeneratedRegex($@"\A({Domain})/pgptunnel/(-|{Domain})/([0-9a-f]{{16}})\z")]
    private static partial Regex Form();
}
