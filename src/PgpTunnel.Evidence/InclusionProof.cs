using System.Globalization;
using System.Text;

namespace PgpTunnel.Evidence;

/// <summary>
/// That a record stands in a log, as C2SP tlog-proof writes it. The checkpoint in it has no signature line: its signature stands beside
/// it, in OpenPGP.
/// </summary>
/// <param name="Index">Of the record.</param>
/// <param name="Path">From its leaf to the root, the nearest first.</param>
public sealed record InclusionProof(long Index, IReadOnlyList<byte[]> Path, Checkpoint Head)
{
    private const string Version = "c2sp.org/tlog-proof@v1";
    private const int LongestPath = 63;

    public byte[] Write()
    {
        var text = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{Version}\nindex {Index}\n");
        foreach (var step in Path)
            text.Append(Convert.ToBase64String(step)).Append('\n');
        return Encoding.ASCII.GetBytes(text.Append('\n').Append(Head).ToString());
    }

    /// <exception cref="EvidenceException">It is no such proof.</exception>
    public static InclusionProof Read(ReadOnlySpan<byte> octets)
    {
        var text = Encoding.Latin1.GetString(octets);
        var end = text.IndexOf("\n\n", StringComparison.Ordinal);
        var lines = end < 0 ? [] : text[..end].Split('\n');
        if (
            lines.Length is < 2 or > 2 + LongestPath
            || lines[0] != Version
            || !lines[1].StartsWith("index ", StringComparison.Ordinal)
            || !long.TryParse(lines[1][6..], NumberStyles.None, CultureInfo.InvariantCulture, out var index)
        )
            throw new EvidenceException($"an inclusion proof is not of the form {Version}");
        var proof = new InclusionProof(index, [.. lines[2..].Select(Step)], Checkpoint.Read(octets[(end + 2)..]));
        return proof.Write().AsSpan().SequenceEqual(octets)
            ? proof
            : throw new EvidenceException("an inclusion proof is spelt in another way than its own");
    }

    private static byte[] Step(string line)
    {
        var hash = new byte[TreeHash.Length];
        return
            Convert.TryFromBase64String(line, hash, out var length)
            && length == hash.Length
            && Convert.ToBase64String(hash) == line
            ? hash
            : throw new EvidenceException("an inclusion proof has a line that is no hash");
    }

    /// <summary>True when <paramref name="record"/> stands where the proof says in the log whose head it names.</summary>
    public bool Shows(Record record) =>
        record.N == Index
        && InclusionPath.Follow(record.LeafHash, Index, Head.Size, Path) is { } root
        && root.AsSpan().SequenceEqual(Head.Root);
}
