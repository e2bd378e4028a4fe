using System.Text;

namespace PgpTunnel;

/// <summary>
/// Reads who claims to have written an Authentication-Results field (RFC 8601 2.2, with the comments and folding of RFC 5322 3.2).
/// </summary>
internal static class AuthenticationResults
{
    private const string Specials = "()<>@,;:\\\"/[]?="; // RFC 2045 5.1

    /// <summary>
    /// The authserv-id, a final dot left out; null where the field cannot be read strictly, so that nobody can tell how others read it.
    /// </summary>
    /// <param name="field">The whole field, folded lines included.</param>
    public static string? AuthServId(ReadOnlySpan<byte> field)
    {
        var text = Encoding.Latin1.GetString(field);
        var at = text.IndexOf(':') + 1;
        if (
            at == 0
            || !SkipComments(text, ref at)
            || Value(text, ref at) is not { Length: > 0 } id
            || id.Any(c => char.IsWhiteSpace(c)) // some readers trim it
            || !SkipComments(text, ref at)
        )
            return null;
        // A version may stand between, and then the results or the end must follow.
        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        return SkipComments(text, ref at) && (at == text.Length || text[at] == ';') ? id.TrimEnd('.') : null;
    }

    /// <summary>CFWS: blanks, line ends that are followed by one, and comments, which nest and may quote.</summary>
    private static bool SkipComments(string text, ref int at)
    {
        var depth = 0;
        for (; at < text.Length; at++)
        {
            var c = text[at];
            if (c == '(')
                depth++;
            else if (c == ')' && depth > 0)
                depth--;
            else if (c == '\\' && depth > 0)
                at++;
            else if (depth == 0 && c is not (' ' or '\t' or '\r' or '\n'))
                return true;
            if (c > '\x7E' || (c < ' ' && c is not ('\t' or '\r' or '\n')))
                return false;
        }
        return depth == 0;
    }

    /// <summary>A token, or a quoted string without its quotes.</summary>
    private static string? Value(string text, ref int at)
    {
        var value = new StringBuilder();
        if (at >= text.Length)
            return null;
        if (text[at] != '"')
        {
            for (; at < text.Length && text[at] is > ' ' and < '\x7F' && !Specials.Contains(text[at]); at++)
                value.Append(text[at]);
            return value.ToString();
        }
        for (at++; at < text.Length && text[at] != '"'; at++)
        {
            if (text[at] == '\\' && ++at == text.Length)
                return null;
            if (text[at] is < ' ' or > '\x7E')
                return null;
            value.Append(text[at]);
        }
        return at++ < text.Length ? value.ToString() : null;
    }
}
