using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

/// <summary>The argument of MAIL FROM: reverse-path and its parameters (RFC 5321 4.1.1.2; 1870, 3461, 6152, 6531, 8689).</summary>
/// <param name="Mailbox">Null for the null reverse-path <c>&lt;&gt;</c>.</param>
/// <param name="Size">Declared octets, or null.</param>
/// <param name="Body"><c>7BIT</c>, <c>8BITMIME</c> or null.</param>
/// <param name="Ret"><c>FULL</c>, <c>HDRS</c> or null.</param>
/// <param name="EnvId">xtext as received, or null.</param>
public sealed record ReversePath(
    Mailbox? Mailbox,
    long? Size = null,
    string? Body = null,
    bool SmtpUtf8 = false,
    string? Ret = null,
    string? EnvId = null,
    bool RequireTls = false
)
{
    /// <summary>
    /// The path and the parameters that are end to end, written anew: <c>&lt;a@b&gt; BODY=8BITMIME RET=HDRS</c>. SIZE belongs to a hop
    /// and is left out.
    /// </summary>
    public override string ToString() =>
        $"<{Mailbox}>{(Body is null ? "" : $" BODY={Body}")}{(SmtpUtf8 ? " SMTPUTF8" : "")}"
        + $"{(Ret is null ? "" : $" RET={Ret}")}{(EnvId is null ? "" : $" ENVID={EnvId}")}{(RequireTls ? " REQUIRETLS" : "")}";

    /// <summary>Parses <c>&lt;path&gt; [parameters]</c>.</summary>
    /// <returns>The path, or the reply that refuses it.</returns>
    public static (ReversePath? Path, SmtpReply? Refusal) Parse(string text)
    {
        var parameters = EnvelopeSyntax.SplitPath(text, out var inner, out var rest)
            ? EnvelopeSyntax.Parameters(rest)
            : null;
        if (parameters is null)
            return (null, EnvelopeSyntax.BadArguments("MAIL FROM:<address> [parameters]"));
        var path = new ReversePath((Mailbox?)null);
        foreach (var (name, value) in parameters)
        {
            var next = (name, value) switch
            {
                ("SIZE", { Length: > 0 and <= 20 } v)
                    when path.Size is null
                        && long.TryParse(v, NumberStyles.None, CultureInfo.InvariantCulture, out var size) => path with
                {
                    Size = size,
                },
                ("BODY", { } v) when path.Body is null && v.ToUpperInvariant() is "7BIT" or "8BITMIME" => path with
                {
                    Body = v.ToUpperInvariant(),
                },
                ("SMTPUTF8", null) => path with { SmtpUtf8 = true },
                ("RET", { } v) when path.Ret is null && v.ToUpperInvariant() is "FULL" or "HDRS" => path with
                {
                    Ret = v.ToUpperInvariant(),
                },
                ("ENVID", { } v) when path.EnvId is null && EnvelopeSyntax.IsXtext(v, 100) => path with { EnvId = v },
                ("REQUIRETLS", null) => path with { RequireTls = true },
                _ => null,
            };
            if (next is null)
                return (
                    null,
                    EnvelopeSyntax.BadParameter(name, value, "SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "REQUIRETLS")
                );
            path = next;
        }
        if (inner.Length == 0)
            return (path, null);
        return
            EnvelopeSyntax.StripRoute(inner) is { } address
            && Smtp.Mailbox.TryParse(address, path.SmtpUtf8, out var mailbox)
            ? (path with { Mailbox = mailbox }, null)
            : (
                null,
                new SmtpReply(
                    501,
                    "5.1.7",
                    "the sender address is not a mailbox (RFC 5321 4.1.2; at most 250 octets before the @; non-ASCII needs SMTPUTF8)"
                )
            );
    }
}

/// <summary>The argument of RCPT TO: forward-path and its parameters (RFC 5321 4.1.1.3, RFC 3461).</summary>
/// <param name="Notify"><c>NEVER</c>, or a list of <c>SUCCESS,FAILURE,DELAY</c>, or null.</param>
/// <param name="Orcpt"><c>type;xtext</c> as received, or null.</param>
public sealed record ForwardPath(Mailbox Mailbox, string? Notify = null, string? Orcpt = null)
{
    /// <summary>True when a failure may be told to the sender (RFC 3461 4.1: failure is the default).</summary>
    public bool NotifiesFailure => Notify is null || Notify.Contains("FAILURE");

    public override string ToString() =>
        $"<{Mailbox}>{(Notify is null ? "" : $" NOTIFY={Notify}")}{(Orcpt is null ? "" : $" ORCPT={Orcpt}")}";

    public static (ForwardPath? Path, SmtpReply? Refusal) Parse(string text, bool utf8)
    {
        var parameters = EnvelopeSyntax.SplitPath(text, out var inner, out var rest)
            ? EnvelopeSyntax.Parameters(rest)
            : null;
        if (parameters is null || inner.Length == 0)
            return (null, EnvelopeSyntax.BadArguments("RCPT TO:<address> [parameters]"));
        Mailbox? mailbox = null;
        if (inner.Equals("postmaster", StringComparison.OrdinalIgnoreCase))
            mailbox = new Mailbox(inner, ""); // RFC 5321 4.5.1
        else if (EnvelopeSyntax.StripRoute(inner) is { } address && Mailbox.TryParse(address, utf8, out var parsed))
            mailbox = parsed;
        if (mailbox is null)
            return (
                null,
                new SmtpReply(
                    501,
                    "5.1.3",
                    "the recipient address is not a mailbox (RFC 5321 4.1.2; at most 250 octets before the @; non-ASCII needs SMTPUTF8)"
                )
            );
        var path = new ForwardPath(mailbox);
        foreach (var (name, value) in parameters)
        {
            ForwardPath? next = (name, value) switch
            {
                ("NOTIFY", { } v) when path.Notify is null && EnvelopeSyntax.IsNotify(v) => path with
                {
                    Notify = v.ToUpperInvariant(),
                },
                ("ORCPT", { } v) when path.Orcpt is null && EnvelopeSyntax.IsOrcpt(v, utf8) => path with { Orcpt = v },
                _ => null,
            };
            if (next is null)
                return (null, EnvelopeSyntax.BadParameter(name, value, "NOTIFY", "ORCPT"));
            path = next;
        }
        return (path, null);
    }
}

/// <summary>The grammar shared by MAIL and RCPT arguments.</summary>
internal static class EnvelopeSyntax
{
    public static SmtpReply BadArguments(string form) => new(501, "5.5.4", $"syntax: {form}");

    /// <summary>RFC 5321 4.1.1.11: 555 for a parameter that is not implemented, 501 for a known one with a bad value.</summary>
    public static SmtpReply BadParameter(string name, string? value, params ReadOnlySpan<string> known) =>
        known.Contains(name)
            ? new(
                501,
                "5.5.4",
                $"bad value of parameter {name}{(value is null ? "" : $"={SmtpReply.Printable(value)}")}"
            )
            : new(555, "5.5.4", $"parameter {SmtpReply.Printable(name)} is not supported");

    /// <summary>Splits <c>&lt;inner&gt; rest</c>; a quoted string may hold angle brackets and blanks.</summary>
    public static bool SplitPath(string text, out string inner, out string rest)
    {
        (inner, rest) = ("", "");
        if (text.Length < 2 || text[0] != '<')
            return false;
        var quoted = false;
        for (var i = 1; i < text.Length; i++)
        {
            if (quoted && text[i] == '\\')
                i++;
            else if (text[i] == '"')
                quoted = !quoted;
            else if (text[i] == '>' && !quoted)
            {
                (inner, rest) = (text[1..i], text[(i + 1)..]);
                return rest.Length == 0 || rest[0] == ' ';
            }
        }
        return false;
    }

    /// <summary>RFC 5321 4.1.2 and appendix C: a source route is accepted and ignored.</summary>
    public static string? StripRoute(string path)
    {
        if (path.Length == 0 || path[0] != '@')
            return path;
        var colon = path.IndexOf(':');
        return colon > 0 && path[..colon].Split(',').All(d => d.Length > 1 && d[0] == '@') ? path[(colon + 1)..] : null;
    }

    /// <summary>RFC 5321 4.1.2 Mail-parameters; null when they are not of that form.</summary>
    public static List<(string Name, string? Value)>? Parameters(string text)
    {
        var list = new List<(string, string?)>();
        foreach (var word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = word.IndexOf('=');
            var (name, value) = equals < 0 ? (word, null) : (word[..equals], word[(equals + 1)..]);
            if (
                name.Length == 0
                || !char.IsAsciiLetterOrDigit(name[0])
                || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '-')
                || value is ""
                || (value?.Any(c => c <= ' ' || c == 0x7F) ?? false)
            )
                return null;
            list.Add((name.ToUpperInvariant(), value));
        }
        return list;
    }

    /// <summary>RFC 3461 4: printable ASCII but <c>+</c> and <c>=</c>, or <c>+</c> and two upper-case hex digits.</summary>
    public static bool IsXtext(string text, int longest)
    {
        if (text.Length is 0 || text.Length > longest)
            return false;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '+' && i + 2 < text.Length && IsUpperHex(text[i + 1]) && IsUpperHex(text[i + 2]))
                i += 2;
            else if (text[i] is < '!' or > '~' or '+' or '=')
                return false;
        }
        return true;
    }

    private static bool IsUpperHex(char c) => c is >= '0' and <= '9' or >= 'A' and <= 'F';

    /// <summary>RFC 3461 4.1.</summary>
    public static bool IsNotify(string text)
    {
        var words = text.ToUpperInvariant().Split(',');
        return words is ["NEVER"]
            || (words.All(w => w is "SUCCESS" or "FAILURE" or "DELAY") && words.Distinct().Count() == words.Length);
    }

    /// <summary>RFC 3461 4.2, and RFC 6533 3 for the type <c>utf-8</c>.</summary>
    public static bool IsOrcpt(string text, bool utf8)
    {
        var semicolon = text.IndexOf(';');
        if (
            semicolon < 1
            || Encoding.UTF8.GetByteCount(text) > 500
            || !text[..semicolon].All(c => char.IsAsciiLetterOrDigit(c) || c == '-')
        )
            return false;
        var address = text[(semicolon + 1)..];
        if (!text[..semicolon].Equals("utf-8", StringComparison.OrdinalIgnoreCase))
            return IsXtext(address, 500);
        return address.Length > 0
            && address.All(c => c > ' ' && !char.IsControl(c) && c is not ('+' or '=') && (c < 0x80 || utf8));
    }
}
