using System.Text;
using MimeKit;

namespace PgpTunnel;

/// <summary>Text and parts for readers, and servers, that take seven bits only (RFC 3464 2.1, RFC 6152 3).</summary>
internal static class SevenBit
{
    private static readonly FormatOptions Lines = MakeLines();

    private static FormatOptions MakeLines()
    {
        var options = FormatOptions.Default.Clone();
        options.NewLineFormat = NewLineFormat.Dos;
        return options;
    }

    /// <summary>ASCII: a control as a blank, everything else spelled out as <c>\x{4E2D}</c> (RFC 6533 3).</summary>
    public static string Escape(string text) =>
        string.Concat(
            text.EnumerateRunes()
                .Select(r =>
                    r.Value switch
                    {
                        < ' ' or '\x7F' => " ",
                        < '\x80' => r.ToString(),
                        _ => $"\\x{{{r.Value:X2}}}",
                    }
                )
        );

    /// <summary>One MIME part with its header, quoted-printable where its content is not seven-bit or has lines too long.</summary>
    /// <param name="type">Content-Type, parameters included.</param>
    public static byte[] Part(string type, byte[] content) =>
        content.AsSpan().ContainsAnyInRange((byte)0x80, (byte)0xFF) || HasLongLine(content)
            ? QuotedPrintable(type, content)
            : AsItStands(type, "7bit", content);

    /// <summary>The same for servers that take eight bits.</summary>
    public static byte[] OrEight(string type, byte[] content) =>
        HasLongLine(content) ? QuotedPrintable(type, content) : AsItStands(type, "8bit", content);

    /// <summary>998 octets is the most that a line may have (RFC 5322 2.1.1).</summary>
    private static bool HasLongLine(ReadOnlySpan<byte> content)
    {
        foreach (var line in content.Split("\r\n"u8))
            if (line.End.GetOffset(content.Length) - line.Start.GetOffset(content.Length) > 998)
                return true;
        return false;
    }

    private static byte[] AsItStands(string type, string encoding, byte[] content) =>
        [
            .. Encoding.ASCII.GetBytes($"Content-Type: {type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"),
            .. content,
        ];

    private static byte[] QuotedPrintable(string type, byte[] content)
    {
        using var encoded = new MemoryStream();
        using (
            var part = new MimePart(ContentType.Parse(type))
            {
                Content = new MimeContent(new MemoryStream(content)),
                ContentTransferEncoding = ContentEncoding.QuotedPrintable,
            }
        )
            part.WriteTo(Lines, encoded);
        return encoded.ToArray();
    }
}
