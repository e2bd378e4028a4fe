using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// ASCII armor (RFC 9580 6), lines of 64 characters ending in CRLF, no headers; a checksum only where GnuPG 2.2 needs it.
/// </summary>
public static class Armor
{
    private const int OctetsPerLine = 48,
        LineLength = 64,
        LinesPerPiece = 1000,
        ChecksumLength = 7;

    /// <summary>The label of a message's armor.</summary>
    public const string Message = "PGP MESSAGE",
        Signature = "PGP SIGNATURE",
        PublicKeyBlock = "PGP PUBLIC KEY BLOCK",
        PrivateKeyBlock = "PGP PRIVATE KEY BLOCK";

    public static byte[] Encode(string label, ReadOnlyMemory<byte> octets)
    {
        var text = GC.AllocateUninitializedArray<byte>((int)EncodedLength(label, octets.Length));
        var at = 0;
        foreach (var piece in Pieces(label, octets))
        {
            piece.CopyTo(text.AsMemory(at));
            at += piece.Length;
        }
        return text;
    }

    /// <summary>Octets of the armor of that many.</summary>
    public static long EncodedLength(string label, long octets) =>
        Head(label).Length
        + ((octets + 2) / 3 * 4)
        + (2 * ((octets + OctetsPerLine - 1) / OctetsPerLine))
        + (NeedsChecksum(octets) ? ChecksumLength : 0)
        + Tail(label).Length;

    /// <summary>The armor in pieces, made one after another: each is good until the next is asked for.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Pieces(string label, ReadOnlyMemory<byte> octets)
    {
        yield return Head(label);
        var lines = Math.Min(LinesPerPiece, (octets.Length + OctetsPerLine - 1) / OctetsPerLine);
        var piece = ArrayPool<byte>.Shared.Rent(lines * (LineLength + 2));
        for (var at = 0; at < octets.Length; at += LinesPerPiece * OctetsPerLine)
            yield return piece.AsMemory(
                0,
                EncodeLines(octets.Span[at..Math.Min(octets.Length, at + LinesPerPiece * OctetsPerLine)], piece)
            );
        ArrayPool<byte>.Shared.Return(piece, clearArray: true); // secret keys are armored too
        if (NeedsChecksum(octets.Length))
            yield return Checksum(octets.Span);
        yield return Tail(label);
    }

    private static byte[] Head(string label) => Encoding.ASCII.GetBytes($"-----BEGIN {label}-----\r\n\r\n");

    private static byte[] Tail(string label) => Encoding.ASCII.GetBytes($"-----END {label}-----\r\n");

    /// <summary>Encodes all at once behind where the lines will stand, and moves line by line forward.</summary>
    /// <param name="text">Has room for the lines.</param>
    /// <returns>Characters written.</returns>
    private static int EncodeLines(ReadOnlySpan<byte> octets, Span<byte> text)
    {
        var lines = (octets.Length + OctetsPerLine - 1) / OctetsPerLine;
        Base64.EncodeToUtf8(octets, text[(2 * lines)..], out _, out var characters);
        ReadOnlySpan<byte> rest = text.Slice(2 * lines, characters);
        var at = 0;
        for (; !rest.IsEmpty; rest = rest[Math.Min(rest.Length, LineLength)..])
        {
            var line = rest[..Math.Min(rest.Length, LineLength)];
            line.CopyTo(text[at..]);
            at += line.Length;
            text[at++] = (byte)'\r';
            text[at++] = (byte)'\n';
        }
        return at;
    }

    /// <summary>Without padding GnuPG 2.2 takes the END line for Base64, unless a checksum comes first.</summary>
    private static bool NeedsChecksum(long octets) => octets % 3 == 0;

    private static byte[] Checksum(ReadOnlySpan<byte> octets)
    {
        var crc = Crc24(octets);
        return Encoding.ASCII.GetBytes(
            $"={Convert.ToBase64String([(byte)(crc >> 16), (byte)(crc >> 8), (byte)crc])}\r\n"
        );
    }

    /// <summary>RFC 9580 6.1.1.</summary>
    private static uint Crc24(ReadOnlySpan<byte> octets)
    {
        var crc = 0xB704CEu;
        foreach (var octet in octets)
            crc = (crc << 8) ^ CrcTable[(byte)(crc >> 16) ^ octet];
        return crc & 0xFFFFFF;
    }

    private static readonly uint[] CrcTable = MakeCrcTable();

    private static uint[] MakeCrcTable()
    {
        var table = new uint[256];
        for (var i = 0; i < 256; i++)
        {
            var crc = (uint)i << 16;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 0x800000) != 0 ? (crc << 1) ^ 0x864CFB : crc << 1;
            table[i] = crc & 0xFFFFFF;
        }
        return table;
    }

    /// <summary>True when an armored block with this label starts in the text.</summary>
    public static bool IsIn(string label, ReadOnlySpan<byte> text) =>
        text.IndexOf(Encoding.ASCII.GetBytes($"-----BEGIN {label}-----")) >= 0;

    /// <summary>How many armored blocks with this label start in the text, wherever in a line.</summary>
    public static int Count(string label, ReadOnlySpan<byte> text)
    {
        var begin = Encoding.ASCII.GetBytes($"-----BEGIN {label}-----");
        var count = 0;
        for (int at; (at = text.IndexOf(begin)) >= 0; text = text[(at + begin.Length)..])
            count++;
        return count;
    }

    /// <inheritdoc cref="Decode(string, ReadOnlySpan{byte}, ArrayPool{byte})"/>
    public static byte[] Decode(string label, ReadOnlySpan<byte> text)
    {
        var octets = Decode(label, text, null);
        var exact = octets.ToArray();
        Octets.GiveBack(null, octets, secret: true); // secret keys are armored too
        return exact;
    }

    /// <summary>
    /// The octets of the first block with this label. Text around it, armor headers, the CRC-24 line and white space are ignored
    /// (RFC 9580 6.1, 6.2), since relays fold, pad and add footers.
    /// </summary>
    /// <param name="arrays">Where the octets' array comes from; null = one of their size.</param>
    /// <exception cref="OpenPgpException">No whole block, or one that is not Base64.</exception>
    public static ReadOnlyMemory<byte> Decode(string label, ReadOnlySpan<byte> text, ArrayPool<byte>? arrays)
    {
        var (begin, end) = (
            Encoding.ASCII.GetBytes($"-----BEGIN {label}-----"),
            Encoding.ASCII.GetBytes($"-----END {label}-----")
        );
        var start = text.IndexOf(begin);
        var length = start < 0 ? -1 : text[(start + begin.Length)..].IndexOf(end);
        if (length < 0)
            throw new OpenPgpException($"there is no whole armored {label}");
        var body = WithoutChecksum(SkipHeaders(text.Slice(start + begin.Length, length)));
        var octets = Octets.New(arrays, Base64.GetMaxDecodedFromUtf8Length(body.Length));
        // The platform passes over white space, wherever it stands.
        var status = Base64.DecodeFromUtf8(body, octets.Span, out _, out var written);
        // Much white space and little else must not hold a large array for as long as a small parcel waits.
        var result =
            status != OperationStatus.Done ? default
            : octets.Length - written <= written / 8 ? octets[..written]
            : octets[..written].ToArray();
        if (!octets.Span.Overlaps(result.Span))
            Octets.GiveBack(arrays, octets, secret: true);
        return status == OperationStatus.Done ? result : throw new OpenPgpException("the armor is not Base64");
    }

    /// <summary>
    /// Without the checksum, on a line of its own or behind the data, folded or not, whole or not (RFC 9580 6.1: it must not matter): what
    /// follows an equals sign that the data do not need to be filled up to four digits.
    /// </summary>
    private static ReadOnlySpan<byte> WithoutChecksum(ReadOnlySpan<byte> body)
    {
        var at = body.IndexOf((byte)'=');
        if (at < 0)
            return body;
        var digits =
            at
            - (
                body[..at].Count((byte)'\n')
                + body[..at].Count((byte)'\r')
                + body[..at].Count((byte)' ')
                + body[..at].Count((byte)'\t')
            );
        for (var missing = -digits & 3; at < body.Length && (missing > 0 || body[at] != '='); at++)
            if (body[at] == '=')
                missing--;
        return body[..at];
    }

    /// <summary>
    /// Skips the rest of the BEGIN line, empty lines, <c>Name: value</c> lines and what relays folded of them, up to the first line of
    /// data.
    /// </summary>
    private static ReadOnlySpan<byte> SkipHeaders(ReadOnlySpan<byte> body)
    {
        NextLine(ref body);
        var inHeader = false;
        while (!body.IsEmpty)
        {
            var before = body;
            var line = NextLine(ref body).TrimEnd(" \t\r"u8);
            inHeader = line.Contains((byte)':') || (inHeader && !line.IsEmpty && line[0] is (byte)' ' or (byte)'\t');
            if (!inHeader && !line.IsEmpty)
                return before;
        }
        return body;
    }

    private static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> text)
    {
        var newline = text.IndexOf((byte)'\n');
        var line = newline < 0 ? text : text[..newline];
        text = newline < 0 ? [] : text[(newline + 1)..];
        return line;
    }
}
