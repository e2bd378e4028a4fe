using System.Globalization;
using System.Text;
using System.Text.Json;

namespace PgpTunnel;

/// <summary>
/// One line an event: <c>event=sealed id=… reply="250 2.0.0 …"</c>, or JSON. Never a body, a subject or a secret; control characters
/// are escaped, so that no mail can write log lines.
/// </summary>
internal sealed class EventLog(TextWriter output, bool json, TimeProvider time)
{
    private readonly Lock _lock = new();

    public void Write(string name, params ReadOnlySpan<(string Key, object? Value)> fields)
    {
        Metrics.Count(name, IsAlarm(fields));
        var line = json ? Json(name, fields) : Text(name, fields);
        lock (_lock)
        {
            try
            {
                output.WriteLine(line);
                output.Flush();
            }
            catch (IOException)
            {
                // A log on a full disk must not stop the mail.
            }
        }
    }

    private static bool IsAlarm(ReadOnlySpan<(string Key, object? Value)> fields)
    {
        foreach (var (key, value) in fields)
            if (key == "alarm" && value is true)
                return true;
        return false;
    }

    private static string Text(string name, ReadOnlySpan<(string Key, object? Value)> fields)
    {
        var line = new StringBuilder($"event={name}");
        foreach (var (key, value) in fields)
            if (value is not null)
                line.Append(' ').Append(key).Append('=').Append(Quote(Plain(value)));
        return line.ToString();
    }

    private static readonly JsonSerializerOptions Format = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static string Plain(object value) =>
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

    private string Json(string name, ReadOnlySpan<(string Key, object? Value)> fields)
    {
        var values = new Dictionary<string, object>
        {
            ["time"] = time.GetUtcNow().ToString("O", CultureInfo.InvariantCulture),
            ["event"] = name,
        };
        foreach (var (key, value) in fields)
            if (value is not null)
                values[key] = value is int or long or bool ? value : Plain(value);
        return JsonSerializer.Serialize(values, Format);
    }
}
