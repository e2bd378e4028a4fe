using System.Globalization;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The fields of the block, read one by one.</summary>
internal sealed partial record InnerHeader
{
    private static string ReadId(string text) =>
        text.Length == 32 && text.All(char.IsAsciiHexDigitLower)
            ? text
            : throw new MalformedParcelException("an id is not 32 lower-case hex digits");

    private static bool Same(string a, string b) => a.Equals(b, StringComparison.OrdinalIgnoreCase);

    private static List<string> Lines(ReadOnlySpan<byte> block)
    {
        var lines = new List<string>();
        while (true)
        {
            var end = block.IndexOf("\r\n"u8);
            var line = end < 0 ? block : block[..end];
            if (line.Length > LongestLine)
                throw new MalformedParcelException($"a line has more than {LongestLine} octets");
            string text;
            try
            {
                text = new UTF8Encoding(false, true).GetString(line);
            }
            catch (DecoderFallbackException)
            {
                throw new MalformedParcelException("a line is not UTF-8");
            }
            if (text.Any(char.IsControl) || text.EndsWith(' '))
                throw new MalformedParcelException("a line has a control character or a trailing blank");
            lines.Add(text);
            if (end < 0)
                return lines;
            block = block[(end + 2)..];
        }
    }

    private static DateTimeOffset ReadTime(string text) =>
        DateTimeOffset.TryParseExact(
            text,
            TimeFormat,
            CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out var time
        )
            ? time
            : throw new MalformedParcelException($"a time is not of the form {TimeFormat}");

    private static (string, string) ReadParty(string text)
    {
        var parts = text.Split("; ");
        return
            parts.Length == 2
            && Domains.TryNormalise(parts[0], out var domain)
            && parts[1].Length is 40 or 64
            && parts[1].All(char.IsAsciiHexDigitLower)
            ? (domain, parts[1])
            : throw new MalformedParcelException("a gateway is not of the form domain; fingerprint");
    }

    /// <summary>BODY, SMTPUTF8, RET, ENVID, REQUIRETLS; no routes, no literals.</summary>
    private static ReversePath ReadMailFrom(string text, bool literals)
    {
        var (path, refusal) = ReversePath.Parse(text);
        return
            path is { Size: null }
            && !text.StartsWith("<@", StringComparison.Ordinal)
            && (literals || !(path.Mailbox?.IsLiteral ?? false))
            ? path
            : throw new MalformedParcelException($"PgpTunnel-Mail-From: {refusal?.Text ?? "a route, literal or SIZE"}");
    }

    /// <summary>NOTIFY, ORCPT; no routes, no literals, no bare postmaster.</summary>
    private static ForwardPath ReadRcptTo(string text, bool utf8, bool literals)
    {
        var (path, refusal) = ForwardPath.Parse(text, utf8);
        return
            path is { Mailbox.Domain.Length: > 0 }
            && (literals || !path.Mailbox.IsLiteral)
            && !text.StartsWith("<@", StringComparison.Ordinal)
            ? path
            : throw new MalformedParcelException(
                $"PgpTunnel-Rcpt-To: {refusal?.Text ?? "a route, literal or bare postmaster"}"
            );
    }

    /// <summary>Walks the known fields in their order; unknown ones are passed over wherever they stand.</summary>
    private sealed class FieldCursor(List<string> lines)
    {
        private static readonly HashSet<string> Known = new(StringComparer.OrdinalIgnoreCase)
        {
            "Content-Type",
            "Content-Transfer-Encoding",
            "PgpTunnel-Version",
            "PgpTunnel-Kind",
            "PgpTunnel-Id",
            "PgpTunnel-Date",
            "PgpTunnel-Expires",
            "PgpTunnel-Sender",
            "PgpTunnel-Recipient",
            "PgpTunnel-Mail-From",
            "PgpTunnel-Rcpt-To",
            "PgpTunnel-Receipt",
            "PgpTunnel-Echo-Of",
            "PgpTunnel-Size",
        };

        private int _at;

        public string? Critical { get; private set; }

        /// <summary>The value of a field that may stand anywhere; null when there is none, or more than one.</summary>
        public string? Only(string name)
        {
            var found = lines.Select(Split).Where(f => Same(f.Name, name)).ToList();
            return found is [var one] ? one.Value : null;
        }

        public string Next(string name) =>
            TryNext(name) ?? throw new MalformedParcelException($"{name} is missing or out of order");

        public string? TryNext(string name)
        {
            SkipUnknown();
            if (_at == lines.Count)
                return null;
            var (found, value) = Split(lines[_at]);
            if (!Same(found, name))
                return null;
            _at++;
            return value;
        }

        public void ExpectEnd()
        {
            SkipUnknown();
            if (_at < lines.Count)
                throw new MalformedParcelException($"{Split(lines[_at]).Name} is doubled or out of order");
        }

        private void SkipUnknown()
        {
            for (; _at < lines.Count; _at++)
            {
                var (name, _) = Split(lines[_at]);
                if (Known.Contains(name))
                    return;
                if (name.StartsWith("PgpTunnel-Crit-", StringComparison.OrdinalIgnoreCase))
                    Critical ??= name;
            }
        }

        private static (string Name, string Value) Split(string line)
        {
            var colon = line.IndexOf(": ", StringComparison.Ordinal);
            return
                colon > 0
                && line[..colon].All(c => c is > ' ' and <= '~')
                && line.Length > colon + 2
                && line[colon + 2] != ' '
                ? (line[..colon], line[(colon + 2)..])
                : throw new MalformedParcelException("a line is not a header field");
        }
    }
}
