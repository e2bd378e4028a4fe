using System.Text.Json;
using System.Text.Json.Serialization;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>A message's way, for people and programs.</summary>
/// <param name="State"><c>waiting</c>, <c>handed</c>, <c>opened</c>, <c>relayed</c>, <c>failed</c>, <c>refused</c> or <c>clear</c>.</param>
/// <param name="Events">In the order of causes, each with <c>at</c>, <c>side</c> (<c>ours</c> or <c>theirs</c>), <c>ev</c>, and what its
/// record says.</param>
internal sealed record HistoryView(
    string Id,
    string? MessageId,
    string State,
    IReadOnlyList<IReadOnlyDictionary<string, object>> Events,
    IReadOnlyList<string> Missing
)
{
    public static HistoryView Of(MessageHistory history, Spool spool) =>
        new(
            history.Id,
            history.MessageId,
            history.State,
            [.. history.Records.Select(r => Event(r.Record, spool.Log(r.Log)!))],
            history.Missing
        );

    private static Dictionary<string, object> Event(Record record, StoredLog log)
    {
        var fields = new Dictionary<string, object>
        {
            ["at"] = RecordTime.Write(record.At),
            ["side"] = log.IsMirror ? "theirs" : "ours",
            ["ev"] = record.Event,
            ["log"] = log.Origin.ToString(),
        };
        foreach (var (name, value) in record.Fields)
            fields.TryAdd(name, value.ValueKind == JsonValueKind.String ? value.GetString()! : value);
        return fields;
    }

    /// <summary>One line an event.</summary>
    [JsonIgnore]
    public string Text =>
        string.Join(
            '\n',
            [
                $"{Id}  {State}{(MessageId is null ? "" : $"  {MessageId}")}",
                .. Events.Select(e => $"  {e["at"]}  {e["side"], -6}  {e["ev"], -8} {Said(e)}"),
                .. Missing.Select(m => $"  missing: {m}"),
            ]
        );

    private static string Said(IReadOnlyDictionary<string, object> fields)
    {
        string? Of(string name) => fields.GetValueOrDefault(name)?.ToString();
        var log = Of("log")!.Split('/');
        return Of("ev") switch
        {
            "sealed" => $"for {log[2]}, key {Of("key")}, {Of("octets")} octets, DNS proof {Of("dns") ?? "none"}",
            "handed" => $"to {Of("host") ?? log[2]}: {Of("code")}, {Of("tls") ?? "no TLS"}",
            "overdue" => $"no receipt of {Of("domain")}",
            "resent" => $"the same octets, to {Of("host") ?? log[2]}: {Of("code")}, {Of("tls") ?? "no TLS"}",
            "opened" =>
                $"from {log[2]}, signed by {Of("signer")}, {Of("octets")} octets, DNS proof {Of("dns") ?? "none"}",
            "outcome" => $"{Of("to")}",
            "clear" => $"to {Of("domain")}: {Of("why")}",
            "refused" => $"{Of("reply")}",
            "failed" => $"{Of("why")}, {Of("rcpts")} recipient(s)",
            _ => "",
        };
    }
}
