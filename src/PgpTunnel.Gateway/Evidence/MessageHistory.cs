using System.Globalization;
using System.Text.Json;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>What is on record about one parcel, and what that comes to.</summary>
/// <param name="MessageId">Of the message in it; null = it has none, or its private part cannot be opened.</param>
/// <param name="Missing">What one would look for and is not there, each with its reason.</param>
internal sealed record MessageHistory(
    string Id,
    string? MessageId,
    string State,
    IReadOnlyList<StoredRecord> Records,
    IReadOnlyList<string> Missing
)
{
    /// <summary>States a message can be in, each named by the last thing that is on record of it.</summary>
    public static readonly IReadOnlyList<string> States =
    [
        "waiting",
        "handed",
        "opened",
        "relayed",
        "failed",
        "refused",
        "clear",
        Overdue,
    ];

    /// <summary>Not a state of its own: one that was handed over, and for which the receipt that should have come has not.</summary>
    private const string Overdue = "overdue";

    /// <param name="state">One of <see cref="States"/>.</param>
    public bool Is(string state) => state == Overdue ? IsOverdue : State == state;

    /// <param name="spool">For what waits still.</param>
    public static MessageHistory Of(RecordSearch search, Spool spool, string id)
    {
        // By cause: two clocks are in it, and neither says which of two things was first.
        var records = search
            .About(id)
            .OrderBy(r => Array.IndexOf(Causes, r.Record.Event))
            .ThenBy(r => r.Record.At)
            .ThenBy(r => r.Log)
            .ThenBy(r => r.Record.N)
            .ToList();
        var state = StateOf(records);
        var messageId = records.Select(search.Open).Select(o => o?.Text("msgid")).FirstOrDefault(m => m is not null);
        return new(id, messageId, state, records, Lacking(records, state, Waiting(spool, id, records), spool.Find(id)));
    }

    /// <summary>What happens to a message, in the order in which it must; what is not in it comes first.</summary>
    private static readonly string[] Causes =
    [
        "clear",
        "sealed",
        "handed",
        "overdue",
        "resent",
        "opened",
        "outcome",
        "refused",
        "failed",
    ];

    /// <summary>Handed over, and its receipt is missed.</summary>
    public bool IsOverdue => State == "handed" && Records.Any(r => r.Record.Event == "overdue");

    private static string StateOf(IReadOnlyList<StoredRecord> records)
    {
        bool Has(string ev) => records.Any(r => r.Record.Event == ev);
        if (records.LastOrDefault(r => r.Record.Event == "outcome") is { } outcome)
            return outcome.Record.Number("final") != 1 ? "opened"
                : Actions(records).Contains("failed") ? "failed"
                : "relayed";
        return Has("opened") ? "opened"
            : Has("refused") ? "refused"
            : Has("failed") ? "failed"
            : Has("clear") ? "clear"
            : Has("handed") ? "handed"
            : "waiting";
    }

    /// <summary>What became of its recipients, by the outcomes.</summary>
    private static IEnumerable<string?> Actions(IReadOnlyList<StoredRecord> records) =>
        records
            .Where(r => r.Record.Event == "outcome")
            .SelectMany(r => r.Record.Fields.Where(f => f.Name == "to"))
            .Where(f => f.Value.ValueKind == JsonValueKind.Array)
            .SelectMany(f => f.Value.EnumerateArray())
            .Where(t => t.ValueKind == JsonValueKind.Array && t.GetArrayLength() > 1)
            .Select(t => t[1].GetString());

    /// <summary>The parcel while it is in the spool; a received one has its sender's key behind its id.</summary>
    private static Parcel? Waiting(Spool spool, string id, IReadOnlyList<StoredRecord> records) =>
        records
            .Select(r => r.Record.Event == "opened" ? $"{id}-{r.Record.Text("signer")}" : id)
            .Distinct()
            .Select(spool.Find)
            .FirstOrDefault(p => p is { State: not ParcelState.Handed });

    private static string WhereAndWhy(Parcel waiting)
    {
        var held = waiting.State == ParcelState.Held ? ", held," : "";
        var where = waiting.Route == ParcelRoute.Local ? "our own mail server" : waiting.Domain;
        if (waiting.Attempts == 0)
            return $"it waits here{held} for {where}, not tried yet";
        var by = waiting.Server.Length > 0 ? $" by {waiting.Server}" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"it waits here{held} for {where}, tried {waiting.Attempts} time(s), last answer {waiting.Status}{by}, next at "
                + $"{InnerHeader.Time(waiting.Next)}"
        );
    }

    private static string Receipt(Parcel? parcel) =>
        parcel switch
        {
            { Receipt: ReceiptState.Asked, Overdue: { } due } =>
                $"the receipt of {parcel.Domain}, which is awaited; it is missed from {InnerHeader.Time(due)} on",
            { Receipt: ReceiptState.Overdue } =>
                $"the receipt of {parcel.Domain}, which is overdue: its gateway is down, or somebody else takes its mail",
            _ => "what the receiving gateway has on record: it has given no receipt, and none was asked for; ask its "
                + "administrator for 'evidence export' of this id",
        };

    /// <param name="parcel">It as it is in the spool still, sealed by us.</param>
    private static List<string> Lacking(
        IReadOnlyList<StoredRecord> records,
        string state,
        Parcel? waiting,
        Parcel? parcel
    )
    {
        var missing = new List<string>();
        if (waiting is not null)
            missing.Add(WhereAndWhy(waiting));
        if (state == "handed" && records.Any(r => r.Record.Event == "sealed"))
            missing.Add(Receipt(parcel));
        if (records.Any(r => r.Record.Event is "sealed" or "opened" or "clear" && r.Record.Text("dns") is null))
            missing.Add("a proof of the DNS: it could not be had when the record was made, or the key is configured");
        return missing;
    }
}
