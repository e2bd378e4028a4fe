using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Evidence;

/// <summary>
/// A log's head as C2SP tlog-checkpoint writes it, without extension lines: three lines, of origin, size and root. It is signed by a
/// detached OpenPGP signature, whose creation time is its date.
/// </summary>
/// <param name="Size">Records in the log.</param>
public sealed partial record Checkpoint(LogOrigin Origin, long Size, byte[] Root)
{
    private const int Longest = 1024; // octets

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{Size}\n{Convert.ToBase64String(Root)}\n");

    /// <summary>The same on one line, as a record names it.</summary>
    public string Line => ToString().TrimEnd('\n').Replace('\n', ' ');

    public byte[] Octets => Encoding.ASCII.GetBytes(ToString());

    /// <exception cref="EvidenceException">It is no checkpoint.</exception>
    public static Checkpoint Read(ReadOnlySpan<byte> octets)
    {
        var root = new byte[TreeHash.Length];
        return
            octets.Length <= Longest
            && Form().Match(Encoding.Latin1.GetString(octets)) is { Success: true } match
            && LogOrigin.TryRead(match.Groups[1].Value) is { } origin
            && long.TryParse(match.Groups[2].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var size)
            && Convert.TryFromBase64String(match.Groups[3].Value, root, out var length)
            && length == root.Length
            && Convert.ToBase64String(root) == match.Groups[3].Value
            ? new(origin, size, root)
            : throw new EvidenceException("a checkpoint is not three lines of origin, size and root");
    }

    /// <returns>When it was signed; null when <paramref name="key"/> did not sign it.</returns>
    public DateTimeOffset? SignedBy(SignerKey key, ReadOnlySpan<byte> signature) =>
        DetachedSignature.Verify(Octets, signature, key);

    /// <summary>Who of these has signed it, and when; null = none of them.</summary>
    public (SignerKey Key, DateTimeOffset At)? Signer(IEnumerable<SignerKey> keys, ReadOnlySpan<byte> signature)
    {
        foreach (var key in keys)
            if (SignedBy(key, signature) is { } at)
                return (key, at);
        return null;
    }

    [GeneratedRegex(@"\A([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\z")]
    private static partial Regex Form();
}
