using System.Globalization;
using System.Text;

namespace PgpTunnel.Tests;

/// <summary>
/// How version 0.1 read what others send, word for word as it was then, less what it did with the values: it is not to be mended. What
/// gateways send today must be to it what it was then.
/// </summary>
internal static class Version01
{
    private static readonly string[] Known =
    [
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
    ];

    /// <summary>What it understood of a parcel's inside, and what it had to understand and did not.</summary>
    public sealed record Inside(string Id, string From, IReadOnlyList<string> To, int Size, string? NotUnderstood);

    /// <exception cref="FormatException">It took the parcel for malformed.</exception>
    public static Inside ReadInside(byte[] body)
    {
        var end = body.AsSpan().IndexOf("\r\n\r\n"u8);
        if (end is < 0 or > 256 * 1024)
            throw new FormatException("the header block does not end");
        var lines = Encoding.UTF8.GetString(body.AsSpan(0, end)).Split("\r\n");
        if (lines.Any(l => l.Length > 1000 || l.Any(char.IsControl) || l.EndsWith(' ')))
            throw new FormatException("a line is too long, or has a control character or a trailing blank");
        var (fields, critical) = (new List<(string Name, string Value)>(), (string?)null);
        foreach (var line in lines)
        {
            var colon = line.IndexOf(": ", StringComparison.Ordinal);
            if (colon < 1 || line[colon + 2] == ' ' || !line[..colon].All(c => c is > ' ' and <= '~'))
                throw new FormatException("a line is not a header field");
            if (
                Array.FindIndex(Known, k => k.Equals(line[..colon], StringComparison.OrdinalIgnoreCase))
                is >= 0
                    and var n
            )
                fields.Add((Known[n], line[(colon + 2)..]));
            else if (line.StartsWith("PgpTunnel-Crit-", StringComparison.OrdinalIgnoreCase))
                critical ??= line[..colon];
        }
        var at = 0;
        foreach (var name in Known)
        {
            var optional = name is "PgpTunnel-Receipt" or "PgpTunnel-Echo-Of";
            var first = at;
            while (at < fields.Count && fields[at].Name == name && (at == first || name == "PgpTunnel-Rcpt-To"))
                at++;
            if (at == first && !optional)
                throw new FormatException($"{name} is missing or out of order");
        }
        if (at < fields.Count)
            throw new FormatException($"{fields[at].Name} is doubled or out of order");
        string Of(string name) => fields.First(f => f.Name == name).Value;
        var kind = Of("PgpTunnel-Kind");
        return new(
            Of("PgpTunnel-Id"),
            Of("PgpTunnel-Mail-From"),
            [.. fields.Where(f => f.Name == "PgpTunnel-Rcpt-To").Select(f => f.Value)],
            int.Parse(Of("PgpTunnel-Size"), NumberStyles.None, CultureInfo.InvariantCulture),
            critical ?? (kind is "message" or "echo" ? null : $"kind {kind}")
        );
    }

    /// <summary>The tags of a policy that it knew.</summary>
    /// <exception cref="FormatException">It took the record for unusable.</exception>
    public static IReadOnlyDictionary<string, string> ReadPolicy(string text)
    {
        if (text.Length > 1024 || !text.StartsWith("v=PGPT1;", StringComparison.Ordinal))
            throw new FormatException("no policy");
        var tags = new Dictionary<string, string>();
        var fields = text.Split(';');
        for (var i = 0; i < fields.Length; i++)
        {
            var field = fields[i].Trim(' ', '\t');
            if (field.Length == 0 && i == fields.Length - 1 && i > 0)
                break; // one trailing semicolon
            var equals = field.IndexOf('=');
            if (equals < 1 || !field[..equals].All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
                throw new FormatException($"'{field}' is not of the form tag=value");
            var (name, value) = (field[..equals], field[(equals + 1)..]);
            if (value.Any(c => c is < '!' or > '~' or ';') || !tags.TryAdd(name, value))
                throw new FormatException($"{name} is doubled, or has a character that is not allowed");
        }
        return tags.Where(t => t.Key is "v" or "m" or "fp" or "xfp" or "gw" or "a" or "sz").ToDictionary();
    }
}
