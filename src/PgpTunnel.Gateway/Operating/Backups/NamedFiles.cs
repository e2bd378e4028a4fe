using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel;

/// <summary>The files that a configuration names.</summary>
/// <param name="Kept">Those that go into a backup: certificates and trust anchors, as they are named there.</param>
/// <param name="Left">Those that do not, since they are secrets of others: passphrases, passwords, TLS keys.</param>
internal sealed record NamedFiles(IReadOnlyList<string> Kept, IReadOnlyList<string> Left)
{
    private static readonly string[] Secret = ["passphraseFile", "passwordFile", "tls"];

    /// <param name="text">Of a configuration that was read without a mistake.</param>
    public static NamedFiles Of(string text)
    {
        var root = JsonNode.Parse(
            text,
            new JsonNodeOptions { PropertyNameCaseInsensitive = true },
            new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }
        )!;
        var (kept, left) = (new List<string>(), new List<string>());
        if (root["dns"]?["trustAnchors"] is JsonValue anchors)
            kept.Add(anchors.GetValue<string>());
        if (root["evidence"]?["auditors"] is JsonArray auditors)
            kept.AddRange(auditors.Select(a => a!.GetValue<string>()));
        if (root["policy"]?["partners"] is JsonObject partners)
            kept.AddRange(
                partners.Select(p => p.Value?["certificate"]).OfType<JsonValue>().Select(c => c.GetValue<string>())
            );
        FindSecrets(root, left);
        return new([.. kept.Distinct()], [.. left.Distinct()]);
    }

    private static void FindSecrets(JsonNode? node, List<string> left)
    {
        if (node is not JsonObject values)
            return;
        foreach (var (key, value) in values)
            if (!Secret.Contains(key, StringComparer.OrdinalIgnoreCase))
                FindSecrets(value, left);
            else if (value is JsonObject tls)
                left.AddRange(tls.Select(t => t.Value).OfType<JsonValue>().Select(t => t.ToString()));
            else if (value is JsonValue file && !key.Equals("tls", StringComparison.OrdinalIgnoreCase))
                left.Add(file.ToString());
    }
}
