using System.Net;
using System.Text;

namespace PgpTunnel.Smtp;

/// <summary>
/// A mailbox of RFC 5321 4.1.2, with RFC 6531 3.3 where UTF-8 is allowed. The local part is kept as meant, without quoting; it is
/// quoted again, where it must be, when written.
/// </summary>
/// <param name="Local">Local part, unquoted.</param>
/// <param name="Domain">Domain as given without final dot, or an address literal in brackets; empty for the bare <c>postmaster</c>.</param>
public sealed record Mailbox(string Local, string Domain)
{
    private const string Atext = "!#$%&'*+-/=?^_`{|}~";

    /// <summary>Octets of a local part that are carried, and what every mail program takes (RFC 5321 4.5.3.1.1).</summary>
    public const int LongestLocal = 250,
        UsualLocal = 64;

    /// <summary>Others may refuse it for its length.</summary>
    public bool IsLong => Encoding.UTF8.GetByteCount(Local) > UsualLocal;

    public bool IsLiteral => Domain.StartsWith('[');

    /// <summary>True when writing it needs SMTPUTF8.</summary>
    public bool IsInternational => Local.Any(c => c > 0x7F) || Domain.Any(c => c > 0x7F);

    /// <summary>
    /// The local part may be read as a way to somebody elsewhere: <c>user@elsewhere</c>, <c>user%elsewhere</c>, <c>elsewhere!user</c>
    /// (RFC 5321 3.6.1 and appendix C, RFC 1123 5.2.16). What SRS, BATV and VERP write (<c>= + - /</c>) is no routing.
    /// </summary>
    public bool CarriesRouting => Local.AsSpan().IndexOfAny('@', '%', '!') >= 0;

    public static readonly SmtpReply RoutingRefusal = new(
        550,
        "5.7.1",
        "the local part names somebody elsewhere (@, % or !), which is not passed on"
    );

    /// <summary>The address in wire form without angle brackets.</summary>
    public override string ToString() => Domain.Length == 0 ? QuotedLocal : $"{QuotedLocal}@{Domain}";

    private string QuotedLocal =>
        Local.Length > 0 && Local.Split('.').All(a => a.Length > 0 && a.All(IsAtext))
            ? Local
            : $"\"{Local.Replace("\\", "\\\\").Replace("\"", "\\\"")}\"";

    private static bool IsAtext(char c) => char.IsAsciiLetterOrDigit(c) || Atext.Contains(c) || IsInternationalText(c);

    /// <summary>UTF8-non-ascii of RFC 6532 3.1, without the C1 controls.</summary>
    private static bool IsInternationalText(char c) => c > 0x9F;

    /// <summary>Parses a whole address without angle brackets.</summary>
    public static bool TryParse(string text, bool utf8, out Mailbox mailbox)
    {
        var at = 0;
        return TryParse(text, ref at, utf8, out mailbox) && at == text.Length;
    }

    /// <summary>
    /// Parses <c>Local-part "@" ( Domain / address-literal )</c> at <paramref name="at"/> and leaves it behind the address.
    /// </summary>
    internal static bool TryParse(string text, ref int at, bool utf8, out Mailbox mailbox)
    {
        mailbox = new Mailbox("", "");
        if (
            (at < text.Length && text[at] == '"' ? QuotedString(text, ref at, utf8) : DotString(text, ref at, utf8))
            is not { } local
        )
            return false;
        if (at >= text.Length || text[at] != '@')
            return false;
        at++;
        var domain = at < text.Length && text[at] == '[' ? Literal(text, ref at) : DomainAt(text, ref at, utf8);
        // RFC 5321 4.5.3.1.1 says what everybody must take at least; forwarders, lists and ticket systems write more.
        if (
            domain is null
            || Encoding.UTF8.GetByteCount(local) > LongestLocal
            || Encoding.UTF8.GetByteCount(domain) > 255
        )
            return false;
        mailbox = new Mailbox(local, domain);
        return true;
    }

    private static string? DotString(string text, ref int at, bool utf8)
    {
        var start = at;
        while (at < text.Length && (text[at] == '.' || (IsAtext(text[at]) && (utf8 || text[at] < 0x80))))
            at++;
        var local = text[start..at];
        return local.Length == 0 || local[0] == '.' || local[^1] == '.' || local.Contains("..") ? null : local;
    }

    private static string? QuotedString(string text, ref int at, bool utf8)
    {
        var local = new StringBuilder();
        for (at++; at < text.Length; at++)
        {
            var c = text[at];
            if (c == '"')
            {
                at++;
                return local.Length > 0 ? local.ToString() : null;
            }
            if (c == '\\' && ++at < text.Length)
                c = text[at];
            if (char.IsControl(c) || (c > 0x7F && !utf8))
                return null;
            local.Append(c);
        }
        return null;
    }

    private static string? DomainAt(string text, ref int at, bool utf8)
    {
        var start = at;
        while (
            at < text.Length
            && (
                char.IsAsciiLetterOrDigit(text[at])
                || text[at] is '-' or '.' or '_'
                || (IsInternationalText(text[at]) && utf8)
            )
        )
            at++;
        var labels = text[start..at].Split('.');
        return labels.All(l => l.Length is > 0 and <= 63 && l[0] != '-' && l[^1] != '-')
            ? string.Join('.', labels)
            : null;
    }

    private static string? Literal(string text, ref int at)
    {
        var end = text.IndexOf(']', at);
        if (end < 0)
            return null;
        var inner = text[(at + 1)..end];
        at = end + 1;
        var v6 = inner.StartsWith("IPv6:", StringComparison.OrdinalIgnoreCase);
        return
            IPAddress.TryParse(v6 ? inner[5..] : inner, out var address)
            && v6 == (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6)
            && (v6 || inner.Count(c => c == '.') == 3)
            ? $"[{inner}]"
            : null;
    }
}
