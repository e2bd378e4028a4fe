using System.Globalization;
using System.Text;

namespace PgpTunnel;

/// <summary>Pieces of text as messages and people need them.</summary>
internal static class MessageText
{
    /// <summary>A date as header fields have it (RFC 5322 3.3).</summary>
    public static string Date(DateTimeOffset time) =>
        time.UtcDateTime.ToString("ddd, dd MMM yyyy HH:mm:ss", CultureInfo.InvariantCulture) + " +0000";

    /// <summary>What somebody else wrote, on one line and not without end.</summary>
    /// <param name="most">Characters.</param>
    public static string OneLine(string text, int most) =>
        string.Concat(text.Take(most).Select(c => char.IsControl(c) ? ' ' : c));

    private const int LongestLine = 900; // octets of ASCII; RFC 5322 2.1.1 has 998

    /// <summary>
    /// The body of a field, folded only where its line would be too long (RFC 5322 2.2.3), at a blank where there is one.
    /// </summary>
    /// <param name="indent">Characters before it.</param>
    public static string Folded(string body, int indent)
    {
        var lines = new List<string>();
        var room = LongestLine - indent;
        for (; Encoding.UTF8.GetByteCount(body) > room; room = LongestLine)
        {
            var most = Math.Min(body.Length - 1, room / 4); // characters that surely fit
            var at = body.LastIndexOf(' ', most) is var blank and > 0 ? blank : most;
            if (char.IsLowSurrogate(body[at]))
                at++;
            lines.Add(body[..at]);
            body = body[at..].TrimStart(' ');
        }
        return string.Join("\r\n ", [.. lines, body]);
    }
}
