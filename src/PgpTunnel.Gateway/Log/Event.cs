using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace PgpTunnel;

/// <summary>
/// One event with its fields, as text <c>event=sealed id=… reply="250 2.0.0 …"</c> or as JSON. Control characters are escaped, so that no
/// mail can write log lines.
/// </summary>
internal sealed class Event : IReadOnlyList<KeyValuePair<string, object?>>
{
    private readonly List<KeyValuePair<string, object?>> _fields;

    /// <param name="fields">Those without a value are left out.</param>
    public Event(string name, DateTimeOffset time, ReadOnlySpan<(string Key, object? Value)> fields)
    {
        (Name, Time, _fields) = (name, time, new(fields.Length));
        foreach (var (key, value) in fields)
            if (value is not null)
                _fields.Add(new(key, value));
    }

    public string Name { get; }
    public DateTimeOffset Time { get; }

    /// <summary>Somebody should look.</summary>
    public bool IsAlarm => _fields.Exists(f => f is { Key: "alarm", Value: true });

    public int Count => _fields.Count;

    public KeyValuePair<string, object?> this[int index] => _fields[index];

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => _fields.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString()
    {
        var line = new StringBuilder($"event={Name}");
        foreach (var (key, value) in _fields)
            line.Append(' ').Append(key).Append('=').Append(Quote(Plain(value)));
        return line.ToString();
    }

    public string ToJson()
    {
        var values = new Dictionary<string, object>
        {
            ["time"] = Time.ToString("O", CultureInfo.InvariantCulture),
            ["event"] = Name,
        };
        foreach (var (key, value) in _fields)
            values[key] = value is int or long or bool ? value : Plain(value);
        return JsonSerializer.Serialize(values, Format);
    }

    private static readonly JsonSerializerOptions Format = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static string Plain(object? value) =>
        value is bool flag
            ? flag
                ? "true"
                : "false"
            : Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";

    private static string Quote(string text)
    {
        if (text.Length > 0 && text.All(c => c is > ' ' and <= '~' and not ('"' or '\\' or '=')))
            return text;
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
        {
            if (c is '"' or '\\')
                quoted.Append('\\').Append(c);
            else if (char.IsControl(c) || c is '\u2028' or '\u2029')
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                quoted.Append(c);
        }
        return quoted.Append('"').ToString();
    }
}
