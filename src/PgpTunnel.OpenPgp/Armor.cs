using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace PgpTunnel.OpenPgp;

/// <summary>ASCII armor (RFC 9580 6), lines of 64 characters ending in CRLF, no headers; a checksum only where GnuPG 2.2 needs it.</summary>
public static class Armor
{
    private const int OctetsPerLine = 48, LineLength = 64;

    /// <summary>The label of a message's armor.</summary>
    public const string Message = "PGP MESSAGE", PublicKeyBlock = "PGP PUBLIC KEY BLOCK", PrivateKeyBlock = "PGP PRIVATE KEY BLOCK";

    public static byte[] Encode(string label, ReadOnlySpan<byte> octets)
    {
        var (head, tail) = (Encoding.ASCII.GetBytes($"-----BEGIN {label}-----\r\n\r\n"), Encoding.ASCII.GetBytes($"-----END {label}-----\r\n"));
        var lines = (octets.Length + OctetsPerLine - 1) / OctetsPerLine;
        var checksum = octets.Length % 3 == 0 ? 7 : 0;
        var text = GC.AllocateUninitializedArray<byte>(head.Length + Base64.GetMaxEncodedToUtf8Length(octets.Length) + 2 * lines + checksum + tail.Length);
        head.CopyTo(text, 0);
        var at = head.Length;
        for (var i = 0; i < octets.Length; i += OctetsPerLine)
        {
            Base64.EncodeToUtf8(octets[i..Math.Min(octets.Length, i + OctetsPerLine)], text.AsSpan(at), out _, out var written);
            at += written;
            text[at++] = (byte)'\r';
            text[at++] = (byte)'\n';
        }
        if (checksum > 0)
        {
            // Without padding GnuPG 2.2 takes the END line for Base64, unless a checksum comes first.
            var crc = Crc24(octets);
            text[at++] = (byte)'=';
            Base64.EncodeToUtf8([(byte)(crc >> 16), (byte)(crc >> 8), (byte)crc], text.AsSpan(at), out _, out var written);
            at += written;
            text[at++] = (byte)'\r';
            text[at++] = (byte)'\n';
        }
        tail.CopyTo(text, at);
        return text;
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

    /// <summary>How many armored blocks with this label start in the text (after any white space or quotation at a line's start, none).</summary>
    public static int Count(string label, ReadOnlySpan<byte> text)
    {
        var begin = Encoding.ASCII.GetBytes($"-----BEGIN {label}-----");
        var count = 0;
        for (int at; (at = text.IndexOf(begin)) >= 0; text = text[(at + begin.Length)..])
            count++;
        return count;
    }

    /// <summary>
    /// The octets of the first block with this label. Text around it, armor headers, the CRC-24 line and white space are ignored
    /// (RFC 9580 6.1, 6.2), since relays fold, pad and add footers.
    /// </summary>
    /// <exception cref="OpenPgpException">No whole block, or one that is not Base64.</exception>
    public static byte[] Decode(string label, ReadOnlySpan<byte> text)
    {
        var (begin, end) = (Encoding.ASCII.GetBytes($"-----BEGIN {label}-----"), Encoding.ASCII.GetBytes($"-----END {label}-----"));
        var start = text.IndexOf(begin);
        var length = start < 0 ? -1 : text[(start + begin.Length)..].IndexOf(end);
        if (length < 0)
            throw new OpenPgpException($"there is no whole armored {label}");
        var body = SkipHeaders(text.Slice(start + begin.Length, length));
        var compact = ArrayPool<byte>.Shared.Rent(body.Length);
        var count = 0;
        while (!body.IsEmpty)
        {
            var line = NextLine(ref body);
            if (line.Length == 5 && line[0] == (byte)'=')
                break; // the checksum
            line.CopyTo(compact.AsSpan(count));
            count += line.Length;
        }
        // Base64 comes in groups of four; less than one of them is no octets, not fewer than none.
        var octets = GC.AllocateUninitializedArray<byte>(Math.Max(0, count / 4 * 3 - (count > 1 && compact[count - 1] == '=' ? 1 : 0) - (count > 1 && compact[count - 2] == '=' ? 1 : 0)));
        var status = Base64.DecodeFromUtf8(compact.AsSpan(0, count), octets, out _, out var written);
        ArrayPool<byte>.Shared.Return(compact);
        return count % 4 == 0 && status == OperationStatus.Done && written == octets.Length ? octets : throw new OpenPgpException("the armor is not Base64");
    }

    /// <summary>Skips the rest of the BEGIN line and <c>Name: value</c> lines.</summary>
    private static ReadOnlySpan<byte> SkipHeaders(ReadOnlySpan<byte> body)
    {
        NextLine(ref body);
        while (!body.IsEmpty)
        {
            var before = body;
            if (NextLine(ref body).IndexOf((byte)':') < 0)
                return before;
        }
        return body;
    }

    private static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> text)
    {
        var newline = text.IndexOf((byte)'\n');
        var line = (newline < 0 ? text : text[..newline]).Trim(" \t\r"u8);
        text = newline < 0 ? [] : text[(newline + 1)..];
        return line;
    }
}
