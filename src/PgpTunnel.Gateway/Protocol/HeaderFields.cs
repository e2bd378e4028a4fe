using System.Text;
using MimeKit;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// The header section of a message as octets. Whole fields can be found and left out; nothing is ever re-written, so what stays is
/// what was received.
/// </summary>
internal static class HeaderFields
{
    private const int MaxReceived = 100;

    /// <summary>The fields in order: name as written, and where the field lies, folded lines and CRLF included.</summary>
    public static List<(string Name, Range Span)> Fields(ReadOnlySpan<byte> message)
    {
        var fields = new List<(string, Range)>();
        var end = MessageContent.HeaderLength(message);
        for (var at = 0; at < end && !message[at..end].StartsWith("\r\n"u8); )
        {
            var next = at;
            do
            {
                var newline = message[next..end].IndexOf((byte)'\n');
                next = newline < 0 ? end : next + newline + 1;
            } while (next < end && message[next] is (byte)' ' or (byte)'\t');
            var colon = message[at..next].IndexOf((byte)':');
            fields.Add(
                (
                    colon < 0 ? "" : Encoding.Latin1.GetString(message.Slice(at, colon)).TrimEnd(' ', '\t', '\r', '\n'),
                    at..next
                )
            );
            at = next;
        }
        return fields;
    }

    /// <summary>Bodies of the fields with this name, unfolded and trimmed.</summary>
    public static List<string> Values(ReadOnlySpan<byte> message, string name)
    {
        var values = new List<string>();
        foreach (var (found, span) in Fields(message))
            if (found.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                var text = Encoding.UTF8.GetString(message[span]);
                values.Add(text[(text.IndexOf(':') + 1)..].ReplaceLineEndings("").Trim(' ', '\t'));
            }
        return values;
    }

    /// <summary>RFC 5321 6.3: a message with this many trace fields goes round in circles.</summary>
    public static SmtpReply? LoopRefusal(ReadOnlySpan<byte> message) =>
        Values(message, "Received").Count >= MaxReceived
            ? new SmtpReply(554, "5.4.6", $"{MaxReceived} Received fields: a mail loop")
            : null;

    /// <summary>The message without the fields that <paramref name="drop"/> names, as slices of it in order.</summary>
    public static List<ReadOnlyMemory<byte>> Without(
        ReadOnlyMemory<byte> message,
        Func<string, ReadOnlyMemory<byte>, bool> drop
    )
    {
        var parts = new List<ReadOnlyMemory<byte>>();
        var kept = 0;
        foreach (var (name, span) in Fields(message.Span))
        {
            if (!drop(name, message[span]))
                continue;
            var (start, length) = span.GetOffsetAndLength(message.Length);
            if (start > kept)
                parts.Add(message[kept..start]);
            kept = start + length;
        }
        parts.Add(message[kept..]);
        return parts;
    }

    /// <summary>Domain of the header-From address when there is exactly one address, else null.</summary>
    public static string? FromDomain(ReadOnlySpan<byte> message)
    {
        var values = Values(message, "From");
        if (values.Count != 1 || !InternetAddressList.TryParse(values[0], out var list))
            return null;
        var mailboxes = list.Mailboxes.ToList();
        return mailboxes.Count == 1 && Domains.TryNormalise(mailboxes[0].Domain ?? "", out var domain) ? domain : null;
    }

    /// <summary>A field's value without comments (RFC 5322 3.2.2), in lower case.</summary>
    public static string Word(string? value)
    {
        var (word, depth, text) = (new StringBuilder(), 0, value ?? "");
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '\\' && depth > 0)
                i++;
            else if (c == '(')
                depth++;
            else if (c == ')' && depth > 0)
                word.Append(--depth == 0 ? " " : "");
            else if (depth == 0)
                word.Append(c);
        }
        return word.ToString().Trim().ToLowerInvariant();
    }
}
