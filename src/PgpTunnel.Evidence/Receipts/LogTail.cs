using System.Globalization;
using System.Text;
using System.Text.Json;

namespace PgpTunnel.Evidence;

/// <summary>
/// What a receipt carries (PROTOCOL.md 11): the end of a log from a given record on, as far as its signed head. Whoever holds the log up
/// to there puts the rest behind it, and sees by the root that both hold the same.
/// </summary>
/// <param name="Edge">The right edge of the log before the first record that is told.</param>
/// <param name="Head">Of the log with all of them.</param>
/// <param name="Signature">Of the head: a detached OpenPGP signature.</param>
public sealed record LogTail(TreeEdge Edge, Checkpoint Head, byte[] Signature, IReadOnlyList<TailItem> Items)
{
    /// <summary>Octets of the text at most.</summary>
    public const int Largest = 1024 * 1024;

    /// <summary>Records with outcomes in it at most.</summary>
    public const int MostOutcomes = 512;

    /// <summary>Records of a log that were there before the other side asked for any, and are told all the same, at most.</summary>
    public const long MostUnasked = 10_000;

    /// <summary>Octets of a record with its private part, at most, on an average over a receipt.</summary>
    public const int LargestRecord = 4096;

    /// <summary>Records that a log can have.</summary>
    public const long LargestLog = int.MaxValue;

    private const int LongestSignature = 16 * 1024; // octets

    /// <summary>Index of the first record that is told.</summary>
    public long From => Edge.Size;

    /// <summary>Lines of JSON, each ended by CRLF.</summary>
    public byte[] Write()
    {
        var text = new MemoryStream();
        void Line(string open, ReadOnlySpan<byte> octets, string close)
        {
            text.Write(Encoding.ASCII.GetBytes(open));
            text.Write(octets);
            text.Write(Encoding.ASCII.GetBytes($"{close}\r\n"));
        }
        Line(
            "",
            JsonFields.Write([
                ("log", Head.Origin.ToString()),
                ("from", From),
                ("edge", Edge.Hashes),
                ("size", Head.Size),
                ("root", Head.Root),
                ("sig", Signature),
            ]),
            ""
        );
        foreach (var (leaf, record, opening) in Items)
        {
            if (record is null)
                Line($"[\"h\",\"{Convert.ToBase64String(leaf)}\"", [], "]");
            else
                Line("[\"r\",", record.Octets, "]");
            if (opening is not null)
                Line("[\"o\",", opening.Octets, "]");
        }
        return text.ToArray();
    }

    /// <exception cref="EvidenceException">It is no such text, or its records do not lead to its head.</exception>
    public static LogTail Read(ReadOnlyMemory<byte> text)
    {
        if (text.Length > Largest)
            throw new EvidenceException($"a receipt has {text.Length} octets, more than {Largest}");
        var lines = Lines(text);
        if (lines.Count == 0)
            throw new EvidenceException("a receipt has no lines");
        var head = JsonFields.Read(lines[0], "the first line of a receipt");
        var from = head.Number("from") is >= 0 and <= LargestLog and var first
            ? first
            : throw new EvidenceException("a receipt does not say where it begins");
        var tail = new LogTail(
            TreeEdge.Read(from, [.. Hashes(head, "edge").SelectMany(h => h)])
                ?? throw new EvidenceException("the edge of a receipt does not fit where it begins"),
            new(
                LogOrigin.TryRead(head.Text("log") ?? "") ?? throw new EvidenceException("a receipt names no log"),
                head.Number("size") ?? -1,
                Base64(head.Text("root"), TreeHash.Length)
                    ?? throw new EvidenceException("a receipt has no root of its log")
            ),
            Base64(head.Text("sig"), null) is { Length: <= LongestSignature } signature
                ? signature
                : throw new EvidenceException("a receipt has no signature"),
            ReadItems(lines, from)
        );
        if (tail.Head.Size != from + tail.Items.Count || tail.Head.Size > LargestLog)
            throw new EvidenceException($"a receipt has {tail.Items.Count} records from {from} on, and says otherwise");
        if (tail.Items.Count(i => i.Record?.Event == "outcome") > MostOutcomes)
            throw new EvidenceException($"a receipt has more than {MostOutcomes} outcomes");
        var edge = tail.Edge.Copy();
        foreach (var item in tail.Items)
            edge.Append(item.Leaf);
        return edge.Root().AsSpan().SequenceEqual(tail.Head.Root)
            ? tail
            : throw new EvidenceException("the records of a receipt do not lead to its root");
    }

    private static List<ReadOnlyMemory<byte>> Lines(ReadOnlyMemory<byte> text)
    {
        var lines = new List<ReadOnlyMemory<byte>>();
        while (text.Length > 0)
        {
            var end = text.Span.IndexOf("\r\n"u8);
            if (end < 0)
                throw new EvidenceException("a line of a receipt does not end");
            lines.Add(text[..end]);
            text = text[(end + 2)..];
        }
        return lines;
    }

    private static List<TailItem> ReadItems(List<ReadOnlyMemory<byte>> lines, long from)
    {
        var items = new List<TailItem>();
        foreach (var line in lines.Skip(1))
        {
            var (kind, octets) = (line.Length > 6 ? Encoding.Latin1.GetString(line.Span[..5]) : "", Inside(line));
            switch (kind)
            {
                case "[\"h\",":
                    var text = Encoding.Latin1.GetString(octets.Span);
                    items.Add(
                        text.Length > 2 && text[0] == '"' && text[^1] == '"' && Base64(text[1..^1], 32) is { } leaf
                            ? new(leaf)
                            : throw new EvidenceException("a line of a receipt has no hash")
                    );
                    break;
                case "[\"r\",":
                    var record = Record.Read(octets);
                    if (record.N != from + items.Count)
                        throw new EvidenceException($"record {record.N} stands where {from + items.Count} should");
                    items.Add(new(record, null));
                    break;
                case "[\"o\"," when items is [.., { Record: { } of, Opening: null }]:
                    var opening = RecordOpening.Read(octets);
                    if (opening.Commitment != of.Text("open"))
                        throw new EvidenceException($"the private part of record {of.N} is another");
                    items[^1] = new(of, opening);
                    break;
                default:
                    throw new EvidenceException("a line of a receipt is of no known kind");
            }
        }
        return items;
    }

    /// <summary>What stands in <c>["x",…]</c>.</summary>
    private static ReadOnlyMemory<byte> Inside(ReadOnlyMemory<byte> line) =>
        line.Length > 6 && line.Span[^1] == ']' ? line[5..^1] : throw new EvidenceException("a line is no pair");

    private static IEnumerable<byte[]> Hashes(JsonElement head, string name) =>
        head.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray()
                .Select(h =>
                    Base64(h.ValueKind == JsonValueKind.String ? h.GetString() : null, TreeHash.Length)
                    ?? throw new EvidenceException($"'{name}' of a receipt is no list of hashes")
                )
            : throw new EvidenceException($"a receipt has no '{name}'");

    /// <returns>Null when the text is no base64, spelt as it should be, of that many octets.</returns>
    private static byte[]? Base64(string? text, int? length)
    {
        var octets = new byte[text?.Length ?? 0];
        return
            text is not null
            && Convert.TryFromBase64String(text, octets, out var written)
            && (length ?? written) == written
            && Convert.ToBase64String(octets, 0, written) == text
            ? octets[..written]
            : null;
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Head.Origin} from {From} to {Head.Size}");
}
