using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

/// <summary>
/// One SMTP reply (RFC 5321 4.2) with its enhanced status code (RFC 3463, RFC 2034): what every success and every failure here ends as,
/// on the wire or in a notice.
/// </summary>
/// <param name="Code">Three digits.</param>
/// <param name="Status">Enhanced code such as <c>5.7.1</c>; empty for the replies that carry none (greeting, EHLO, 354).</param>
/// <param name="Text">One or more lines separated by <c>\n</c>, no enhanced code.</param>
public sealed record SmtpReply(int Code, string Status, string Text)
{
    /// <summary>RFC 5321 4.5.3.1.5: a reply line has at most 512 octets, code and CRLF included.</summary>
    private const int LongestText = 480;

    /// <summary>The host that gave it; null = it is ours.</summary>
    public string? Server { get; init; }

    /// <summary>The version of TLS that the message went by, <c>TLSv1.3</c>; null = none, or no message went.</summary>
    public string? Tls { get; init; }

    /// <summary>The server that gave it does not take the wish for reports upon itself, so they end with us (RFC 3461 5.2.2).</summary>
    public bool LeavesReports { get; init; }

    public static readonly SmtpReply Ok = new(250, "2.0.0", "OK");

    /// <summary>The command was completed (RFC 5321 4.2.1): 2yz, and nothing else.</summary>
    public bool IsPositive => Code is >= 200 and < 300;
    public bool IsTemporary => Code is >= 400 and < 500;
    public bool IsPermanent => Code >= 500;

    /// <summary>The reply as an operator reads it: <c>550 5.7.1 text</c>.</summary>
    public override string ToString() =>
        Status.Length == 0
            ? $"{Code} {Text.ReplaceLineEndings(" ")}"
            : $"{Code} {Status} {Text.ReplaceLineEndings(" ")}";

    /// <summary>The octets on the wire; controls in the text become <c>?</c>, so that nobody's text can end a line.</summary>
    public byte[] ToWire()
    {
        var wire = new StringBuilder();
        var lines = Text.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            var line = string.Concat(lines[i].Select(c => char.IsControl(c) ? '?' : c));
            if (line.Length > LongestText)
                line = line[..LongestText];
            wire.Append(
                CultureInfo.InvariantCulture,
                $"{Code}{(i < lines.Length - 1 ? '-' : ' ')}{Status}{(Status.Length > 0 ? " " : "")}{line}\r\n"
            );
        }
        return Encoding.UTF8.GetBytes(wire.ToString());
    }

    /// <summary>Reads a received reply from its lines (without CRLF).</summary>
    /// <exception cref="SmtpProtocolException">Not a reply.</exception>
    public static SmtpReply Parse(IReadOnlyList<string> lines)
    {
        var code = CodeOf(lines[0]);
        var (status, texts) = ("", new List<string>(lines.Count));
        foreach (var line in lines)
        {
            if (CodeOf(line) != code)
                throw new SmtpProtocolException($"the lines of a reply differ in their code: {lines[0]}");
            var text = line.Length > 4 ? line[4..] : "";
            var (found, rest) = SplitStatus(text, code / 100);
            status = status.Length == 0 ? found : status;
            texts.Add(rest);
        }
        return new SmtpReply(code, status, string.Join('\n', texts));
    }

    private static int CodeOf(string line) =>
        line.Length >= 3
        && int.TryParse(line.AsSpan(0, 3), NumberStyles.None, CultureInfo.InvariantCulture, out var code)
        && code is >= 100 and < 600
        && (line.Length == 3 || line[3] is ' ' or '-')
            ? code
            : throw new SmtpProtocolException($"not an SMTP reply: {Printable(line)}");

    /// <summary>RFC 2034 4: class.subject.detail in front of the text, its class that of the code.</summary>
    private static (string Status, string Text) SplitStatus(string text, int digit)
    {
        var end = text.IndexOf(' ');
        var first = end < 0 ? text : text[..end];
        var parts = first.Split('.');
        return
            parts.Length == 3
            && parts[0] == digit.ToString(CultureInfo.InvariantCulture)
            && parts.All(p => p.Length is > 0 and <= 3 && p.All(char.IsAsciiDigit))
            ? (first, end < 0 ? "" : text[(end + 1)..])
            : ("", text);
    }

    internal static string Printable(string text) =>
        string.Concat(text.Take(200).Select(c => char.IsControl(c) ? '?' : c));
}

/// <summary>The peer does not speak SMTP as RFC 5321 has it.</summary>
public sealed class SmtpProtocolException(string message) : Exception(message);
