using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// One JSON object of the configuration while it is read: each key is taken once by name and kind, every mistake is collected with
/// its full key, and what was not taken at the end is an unknown key.
/// </summary>
/// <param name="folder">What relative paths are relative to.</param>
internal sealed class ConfigurationNode(JsonObject values, string path, string folder, List<string> mistakes)
{
    private readonly List<string> _known = [];
    private bool _keysAreTheOperators;

    public string PathOf(string key) => path.Length == 0 ? key : $"{path}.{key}";

    public void Mistake(string key, string what) => mistakes.Add($"{PathOf(key)}: {what}");

    private JsonNode? Take(string key)
    {
        _known.Add(key);
        return values.FirstOrDefault(v => v.Key.Equals(key, StringComparison.OrdinalIgnoreCase)).Value;
    }

    /// <summary>True when the key is there and is <c>null</c>.</summary>
    public bool IsNull(string key) =>
        values.Any(v => v.Key.Equals(key, StringComparison.OrdinalIgnoreCase) && v.Value is null);

    public string? Text(string key, string? fallback)
    {
        switch (Take(key))
        {
            case null:
                return fallback;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                return value.GetValue<string>();
            default:
                Mistake(key, "must be a string");
                return fallback;
        }
    }

    /// <summary>The full path of a file or folder.</summary>
    public string? File(string key, string? fallback) => Text(key, fallback) is { } given ? InFolder(given) : null;

    public string InFolder(string path) => Path.GetFullPath(path, folder);

    public long Number(string key, long fallback, long smallest, long largest)
    {
        switch (Take(key))
        {
            case null:
                return fallback;
            case JsonValue value
                when value.GetValueKind() == JsonValueKind.Number
                    && long.TryParse(
                        value.ToJsonString(),
                        NumberStyles.None,
                        CultureInfo.InvariantCulture,
                        out var number
                    )
                    && number >= smallest
                    && number <= largest:
                return number;
            default:
                Mistake(key, $"must be a whole number from {smallest} to {largest}");
                return fallback;
        }
    }

    public bool Flag(string key, bool fallback)
    {
        switch (Take(key))
        {
            case null:
                return fallback;
            case JsonValue value when value.GetValueKind() is JsonValueKind.True or JsonValueKind.False:
                return value.GetValue<bool>();
            default:
                Mistake(key, "must be true or false");
                return fallback;
        }
    }

    /// <summary>A span of time such as <c>00:01:00</c> or <c>5.00:00:00</c>.</summary>
    public TimeSpan Time(string key, TimeSpan fallback)
    {
        var text = Text(key, null);
        if (text is null)
            return fallback;
        if (TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out var time) && time > TimeSpan.Zero)
            return time;
        Mistake(key, $"'{text}' is not a time such as 00:01:00 or 5.00:00:00 (days.hours:minutes:seconds)");
        return fallback;
    }

    public T Choice<T>(string key, T fallback, params ReadOnlySpan<(string Name, T Value)> choices)
    {
        var text = Text(key, null);
        if (text is null)
            return fallback;
        var names = new List<string>();
        foreach (var (name, value) in choices)
        {
            if (name == text)
                return value;
            names.Add(name);
        }
        Mistake(key, $"'{text}' is none of {string.Join(", ", names)}");
        return fallback;
    }

    /// <summary>A list of strings, or null when the key is absent or null.</summary>
    public List<string>? TextList(string key)
    {
        switch (Take(key))
        {
            case null:
                return null;
            case JsonArray array when array.All(i => i is JsonValue v && v.GetValueKind() == JsonValueKind.String):
                return [.. array.Select(i => i!.GetValue<string>())];
            default:
                Mistake(key, "must be a list of strings");
                return null;
        }
    }

    /// <summary>An address and port such as <c>127.0.0.1:25</c> or <c>[::1]:25</c>.</summary>
    public IPEndPoint? Address(string key, string? text, int? defaultPort = null)
    {
        if (
            text is not null
            && IPEndPoint.TryParse(text, out var address)
            && (address.Port != 0 || text.EndsWith(":0", StringComparison.Ordinal) || defaultPort is not null)
        )
            return address.Port == 0 && defaultPort is { } port && !text.EndsWith(":0", StringComparison.Ordinal)
                ? new IPEndPoint(address.Address, port)
                : address;
        Mistake(key, $"'{text}' is not an address and port such as 127.0.0.1:10025");
        return null;
    }

    /// <summary>A list of domains, normalised, or null when the key is absent or null.</summary>
    public List<string>? DomainList(string key)
    {
        if (TextList(key) is not { } given)
            return null;
        var list = new List<string>();
        foreach (var text in given)
        {
            if (Domains.TryNormalise(text, out var domain) && !list.Contains(domain))
                list.Add(domain);
            else
                Mistake(key, $"'{text}' is not a domain, or stands twice");
        }
        return list;
    }

    /// <summary>A mailbox, its domain normalised.</summary>
    /// <param name="longestLocal">Octets of its local part.</param>
    public Mailbox Mailbox(string key, string fallback, int longestLocal = Smtp.Mailbox.LongestLocal)
    {
        var text = Text(key, fallback)!;
        if (
            Smtp.Mailbox.TryParse(text, false, out var mailbox)
            && Domains.TryNormalise(mailbox.Domain, out var domain)
            && mailbox.Local.Length <= longestLocal
        )
            return mailbox with { Domain = domain };
        var limit = longestLocal < Smtp.Mailbox.LongestLocal ? $" (local part at most {longestLocal} octets)" : "";
        Mistake(key, $"'{text}' is not a mailbox such as {fallback}{limit}");
        return new Mailbox("invalid", "invalid.example"); // never used: there is a mistake
    }

    public ConfigurationNode Section(string key) =>
        OptionalSection(key) ?? new ConfigurationNode([], PathOf(key), folder, mistakes);

    /// <summary>A nested object, or null when the key is absent or null.</summary>
    public ConfigurationNode? OptionalSection(string key)
    {
        switch (Take(key))
        {
            case null:
                return null;
            case JsonObject section:
                return new ConfigurationNode(section, PathOf(key), folder, mistakes);
            default:
                Mistake(key, "must be an object { … }");
                return null;
        }
    }

    /// <summary>A value that may be a string or an object.</summary>
    public (string? Text, ConfigurationNode? Section) TextOrSection(string key)
    {
        var isText =
            values.FirstOrDefault(v => v.Key.Equals(key, StringComparison.OrdinalIgnoreCase)).Value is JsonValue;
        return isText ? (Text(key, null), null) : (null, OptionalSection(key));
    }

    /// <summary>Every key of a section whose keys are the operator's own.</summary>
    public IEnumerable<string> OwnKeys()
    {
        _keysAreTheOperators = true;
        _known.AddRange(values.Select(v => v.Key));
        return values.Select(v => v.Key);
    }

    /// <summary>Reports every key that nobody asked for.</summary>
    public void Close()
    {
        if (!_keysAreTheOperators)
            foreach (
                var twice in values.GroupBy(v => v.Key, StringComparer.OrdinalIgnoreCase).Where(g => g.Count() > 1)
            )
                Mistake(twice.Key, $"stands twice, as {string.Join(" and ", twice.Select(v => v.Key))}");
        foreach (var (key, _) in values.Where(v => !_known.Contains(v.Key, StringComparer.OrdinalIgnoreCase)))
        {
            var nearest = _known.OrderBy(k => Distance(k, key)).FirstOrDefault();
            Mistake(key, nearest is null ? "unknown key" : $"unknown key; did you mean {PathOf(nearest)}?");
        }
    }

    /// <summary>Letters to change, add or leave out to make one of the other.</summary>
    internal static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var (diagonal, left) = (row[0], i);
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                left = Math.Min(
                    Math.Min(left, row[j]) + 1,
                    diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1)
                );
                (diagonal, row[j]) = (row[j], left);
            }
        }
        return row[^1];
    }
}
