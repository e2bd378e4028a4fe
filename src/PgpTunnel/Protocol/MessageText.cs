using System.Globalization;

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
}
