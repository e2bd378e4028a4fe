using System.Buffers;
using System.Collections;
using System.Globalization;
using System.Text.Json;

namespace PgpTunnel.Evidence;

/// <summary>
/// The one form in which records and openings are written: a JSON object on one line, ASCII, its names in order, no blanks, numbers
/// whole. What is written is what is hashed; nobody writes it anew.
/// </summary>
internal static class JsonFields
{
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 8, AllowDuplicateProperties = false };
    private static readonly JsonWriterOptions Plain = new() { SkipValidation = true };

    private static readonly Comparison<(string Name, object? Value)> ByName = (a, b) =>
        string.CompareOrdinal(a.Name, b.Name);

    // One a thread: to make them costs as much as to write a record.
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _octets;

    [ThreadStatic]
    private static Utf8JsonWriter? _json;

    /// <param name="fields">A value is a string, octets (written in Base64), a whole number, or a list of such; null = left out. They are
    /// put in order where they stand.</param>
    public static byte[] Write((string Name, object? Value)[] fields)
    {
        Array.Sort(fields, ByName);
        _octets ??= new(4096);
        _octets.Clear();
        var json = _json ??= new(_octets, Plain);
        json.Reset();
        json.WriteStartObject();
        foreach (var (name, value) in fields)
        {
            if (value is null)
                continue;
            json.WritePropertyName(name);
            Write(json, value);
        }
        json.WriteEndObject();
        json.Flush();
        var written = _octets.WrittenSpan.ToArray();
        _octets.Clear(); // nothing private stays in it
        return written;
    }

    private static void Write(Utf8JsonWriter json, object value)
    {
        switch (value)
        {
            case string text:
                json.WriteStringValue(text);
                break;
            case byte[] octets:
                json.WriteBase64StringValue(octets);
                break;
            case IEnumerable list:
                json.WriteStartArray();
                foreach (var item in list)
                    Write(json, item!);
                json.WriteEndArray();
                break;
            default:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
        }
    }

    /// <param name="what">That it should be, for the message.</param>
    /// <exception cref="EvidenceException">It is not one JSON object in printable ASCII, or has a name twice.</exception>
    public static JsonElement Read(ReadOnlyMemory<byte> octets, string what)
    {
        if (octets.Span.ContainsAnyExceptInRange((byte)' ', (byte)'~'))
            throw new EvidenceException($"{what} has octets that are not printable ASCII");
        try
        {
            using var document = JsonDocument.Parse(octets, Strict);
            if (document.RootElement.ValueKind == JsonValueKind.Object && IsText(document.RootElement))
                return document.RootElement.Clone();
        }
        catch (JsonException) { }
        throw new EvidenceException($"{what} is not one JSON object with each name once");
    }

    /// <summary>False where half a surrogate pair is escaped somewhere: that is JSON, and no text.</summary>
    private static bool IsText(JsonElement element)
    {
        try
        {
            return element.ValueKind switch
            {
                JsonValueKind.Object => element.EnumerateObject().All(p => p.Name.Length >= 0 && IsText(p.Value)),
                JsonValueKind.Array => element.EnumerateArray().All(IsText),
                JsonValueKind.String => element.GetString() is not null,
                _ => true,
            };
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <returns>Null when it has no such text.</returns>
    public static string? Text(this JsonElement fields, string name) =>
        fields.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    /// <returns>Null when it has no such whole number.</returns>
    public static long? Number(this JsonElement fields, string name) =>
        fields.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number
        && value.TryGetInt64(out var number)
            ? number
            : null;
}
