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

    /// <summary>ASCII, with everything else and controls spelled out as <c>\xB7</c> or <c>\u4E2D</c>.</summary>
    public static string Escape(string text) =>
        string.Concat(
            text.Select(c =>
                c switch
                {
                    < ' ' or '\x7F' => " ",
                    < '\x80' => c.ToString(),
                    <= '\xFF' => $"\\x{(int)c:X2}",
                    _ => $"\\u{(int)c:X4}",
                }
            )
        );

    /// <summary>One MIME part with its header, quoted-printable where its content is not seven-bit.</summary>
    /// <param name="type">Content-Type, parameters included.</param>
    public static byte[] Part(string type, byte[] content)
    {
        if (!content.AsSpan().ContainsAnyInRange((byte)0x80, (byte)0xFF))
            return
            [
                .. Encoding.ASCII.GetBytes($"Content-Type: {type}\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"),
                .. content,
            ];
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
