using System.Globalization;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>A parcel's inside does not follow PROTOCOL.md 5; the message says where, for the log only.</summary>
internal sealed class MalformedParcelException(string message) : Exception(message);

/// <summary>
/// The header block inside a parcel (PROTOCOL.md 5): identity, lifetime, the two gateways, and the SMTP envelope, in front of the
/// message itself.
/// </summary>
internal sealed record InnerHeader
{
    public const int MaxRecipients = 100;

    /// <summary>Octets of a reverse-path or forward-path with its parameters that a line can hold.</summary>
    public const int LongestPath = LongestLine - 19; // behind "PgpTunnel-Rcpt-To: "

    private const int LongestLine = 1000,
        LongestBlock = 256 * 1024;
    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    public ParcelKind Kind { get; init; } = ParcelKind.Message;
    public required string Id { get; init; }
    public required DateTimeOffset Date { get; init; }
    public required DateTimeOffset Expires { get; init; }

    /// <summary>Domain and primary fingerprint of the sending gateway.</summary>
    public required (string Domain, string Fingerprint) Sender { get; init; }

    /// <summary>Domain and primary fingerprint of the gateway this parcel is bound to.</summary>
    public required (string Domain, string Fingerprint) Recipient { get; init; }
    public required ReversePath MailFrom { get; init; }
    public required IReadOnlyList<ForwardPath> RcptTo { get; init; }

    /// <summary>Of an answer: the id of the echo it answers.</summary>
    public string? EchoOf { get; init; }

    /// <summary>Octets of the block as it was read, with its empty line.</summary>
    public int Length { get; private init; }

    /// <summary>Octets of the message behind the block.</summary>
    public required int Size { get; init; }

    /// <summary>A field, kind or version that must be understood and is not; said only to a verified sender. Null = none.</summary>
    public string? NotUnderstood { get; private init; }

    public byte[] Write()
    {
        var text = new StringBuilder()
            .Append(
                $"Content-Type: {(MailFrom.SmtpUtf8 ? "message/global" : "message/rfc822")}\r\nContent-Transfer-Encoding: binary\r\n"
            )
            .Append(
                $"PgpTunnel-Version: 1\r\nPgpTunnel-Kind: {(Kind == ParcelKind.Echo ? "echo" : "message")}\r\nPgpTunnel-Id: {Id}\r\n"
            )
            .Append($"PgpTunnel-Date: {Time(Date)}\r\nPgpTunnel-Expires: {Time(Expires)}\r\n")
            .Append(
                $"PgpTunnel-Sender: {Sender.Domain}; {Sender.Fingerprint}\r\nPgpTunnel-Recipient: {Recipient.Domain}; "
                    + $"{Recipient.Fingerprint}\r\n"
            )
            .Append($"PgpTunnel-Mail-From: {MailFrom}\r\n");
        foreach (var recipient in RcptTo)
            text.Append($"PgpTunnel-Rcpt-To: {recipient}\r\n");
        if (EchoOf is not null)
            text.Append($"PgpTunnel-Echo-Of: {EchoOf}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"PgpTunnel-Size: {Size}\r\n\r\n");
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    public static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture);

    /// <summary>Reads the block at the start of a literal body.</summary>
    /// <param name="length">Octets of the block with its empty line.</param>
    /// <exception cref="MalformedParcelException">Missing, doubled, disordered or unparsable fields.</exception>
    /// <param name="ours">A parcel of our own spool, whose envelope may hold address literals.</param>
    public static InnerHeader Parse(ReadOnlySpan<byte> body, bool ours, out int length)
    {
        var end = body[..Math.Min(body.Length, LongestBlock)].IndexOf("\r\n\r\n"u8);
        if (end < 0)
            throw new MalformedParcelException("the header block does not end");
        length = end + 4;
        var fields = new FieldCursor(Lines(body[..end]));
        var type = fields.Next("Content-Type");
        if (!Same(type, "message/rfc822") && !Same(type, "message/global"))
            throw new MalformedParcelException("Content-Type is neither message/rfc822 nor message/global");
        if (!Same(fields.Next("Content-Transfer-Encoding"), "binary"))
            throw new MalformedParcelException("Content-Transfer-Encoding is not binary");
        var (version, kind) = (fields.Next("PgpTunnel-Version"), fields.Next("PgpTunnel-Kind"));
        var id = ReadId(fields.Next("PgpTunnel-Id"));
        var (date, expires) = (ReadTime(fields.Next("PgpTunnel-Date")), ReadTime(fields.Next("PgpTunnel-Expires")));
        var (sender, recipient) = (
            ReadParty(fields.Next("PgpTunnel-Sender")),
            ReadParty(fields.Next("PgpTunnel-Recipient"))
        );
        var from = ReadMailFrom(fields.Next("PgpTunnel-Mail-From"), ours);
        var to = new List<ForwardPath> { ReadRcptTo(fields.Next("PgpTunnel-Rcpt-To"), from.SmtpUtf8, ours) };
        while (fields.TryNext("PgpTunnel-Rcpt-To") is { } next)
            to.Add(
                to.Count < MaxRecipients
                    ? ReadRcptTo(next, from.SmtpUtf8, ours)
                    : throw new MalformedParcelException($"more than {MaxRecipients} recipients")
            );
        fields.TryNext("PgpTunnel-Receipt");
        var echoOf = fields.TryNext("PgpTunnel-Echo-Of") is { } answered ? ReadId(answered) : null;
        var size = fields.Next("PgpTunnel-Size");
        if (
            size.Length is 0 or > 10
            || (size[0] == '0' && size.Length > 1)
            || !int.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var octets)
            || octets > body.Length - length
        )
            throw new MalformedParcelException("PgpTunnel-Size is not a size that fits");
        fields.ExpectEnd();
        return new InnerHeader
        {
            Kind = kind == "echo" ? ParcelKind.Echo : ParcelKind.Message,
            Id = id,
            Date = date,
            Expires = expires,
            Sender = sender,
            Recipient = recipient,
            MailFrom = from,
            RcptTo = to,
            EchoOf = echoOf,
            Length = length,
            Size = octets,
            NotUnderstood =
                fields.Critical
                ?? (
                    version != "1" ? $"version {version}"
                    : kind is not ("message" or "echo") ? $"kind {kind}"
                    : null
                ),
        };
    }

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
