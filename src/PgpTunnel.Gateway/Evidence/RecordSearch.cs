using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Finds what is on record about a message, by what people know of it, and opens its private parts.</summary>
internal sealed class RecordSearch(GatewayConfiguration configuration, Spool spool)
{
    private const int IdDigits = 32;

    // Where one cannot be read just now, it is tried again.
    private readonly Lazy<IReadOnlyDictionary<string, MonthKey>> _months = new(
        () => MonthKeys.All(configuration).ToDictionary(m => m.Month),
        LazyThreadSafetyMode.PublicationOnly
    );

    /// <summary>False where the keys must be read anew: under that configuration, or for that record's month.</summary>
    public bool HasKeyOf(StoredRecord record, GatewayConfiguration now) =>
        configuration == now && (record.Month is null || _months.Value.ContainsKey(record.Month));

    /// <summary>The tags that these texts have, whatever the month.</summary>
    private IEnumerable<byte[]> TagsOf(IReadOnlyList<string> texts) =>
        _months.Value.Values.SelectMany(m => texts.Select(m.Tag));

    /// <summary>The records about one parcel, log by log, the oldest first.</summary>
    public IReadOnlyList<StoredRecord> About(string id)
    {
        var records = spool.Tagged([LogEntry.TagOf(id)]).Where(r => r.Record.Text("id") == id).ToList();
        var logs = records.Select(r => r.Log).Distinct().ToDictionary(number => number, spool.Log);
        var ours = logs.Values.OfType<StoredLog>().Where(l => !l.IsMirror).Select(l => l.Origin).ToList();
        return records.FindAll(r => logs[r.Log] is { } log && (!log.IsMirror || IsTheOther(log.Origin, ours)));
    }

    /// <summary>
    /// A third party can put any id into its own log. Where we have something on record, only who it was for, or from, has a say in it.
    /// </summary>
    private static bool IsTheOther(LogOrigin theirs, List<LogOrigin> ours) =>
        ours.Count == 0 || ours.Exists(o => o.Own == theirs.Peer && o.Peer == theirs.Own);

    /// <summary>Ids of the parcels that something is known of, the oldest first.</summary>
    /// <param name="what">A parcel's id, a Message-ID, an address, or the id that our mail server gave it.</param>
    public IReadOnlyList<string> Find(string what)
    {
        if (what.Length == IdDigits && what.All(char.IsAsciiHexDigitLower))
            return About(what).Count > 0 ? [what] : [];
        string[] texts = [FoundBy.MessageId(what), FoundBy.Address(FoundBy.Bare(what)), FoundBy.QueueId(what)];
        return Ids(spool.Tagged(TagsOf(texts)));
    }

    /// <summary>Ids of the parcels that all but the state of a filter is true of, the oldest first.</summary>
    public IReadOnlyList<string> Find(RecordFilter filter)
    {
        var logs = spool.Logs().ToDictionary(l => l.Number);
        var texts = filter.Texts.ToList();
        var found =
            filter.Id is { } id ? About(id)
            : texts.Count == 0
                ? logs.Values.Where(l => IsAbout(l.Origin, filter)).SelectMany(l => spool.Records(l.Number))
            : spool.Tagged(TagsOf(texts));
        return Ids(
            found.Where(r =>
                r.Record.At >= filter.Since
                && r.Record.At < filter.Until
                && (
                    (logs.TryGetValue(r.Log, out var log) && IsAbout(log.Origin, filter))
                    || r.Record.Text("domain") == filter.Domain
                )
                && (texts.Count == 0 || Fits(Open(r), filter))
            )
        );
    }

    private static bool IsAbout(LogOrigin origin, RecordFilter filter) =>
        filter.Domain is null || origin.Peer == filter.Domain || origin.Peer == LogOrigin.World;

    /// <summary>Tags are short, and do not tell a sender from a recipient.</summary>
    private static bool Fits(RecordOpening? opening, RecordFilter filter)
    {
        static bool Same(string? a, string b) => a is not null && FoundBy.Address(a) == FoundBy.Address(b);
        return opening is not null
            && (filter.From is null || Same(opening.Text("from"), filter.From))
            && (filter.To is null || opening.Texts("to").Any(t => Same(t, filter.To)))
            && (
                filter.MessageId is null
                || (
                    opening.Text("msgid") is { } messageId
                    && FoundBy.MessageId(messageId) == FoundBy.MessageId(filter.MessageId)
                )
            );
    }

    private static List<string> Ids(IEnumerable<StoredRecord> records) =>
        [.. records.OrderBy(r => r.Record.At).Select(r => r.Record.Text("id")).OfType<string>().Distinct()];

    /// <summary>The private part of a record; null where it has none, or none that can be opened any more.</summary>
    /// <exception cref="ConfigurationException">The key of its month cannot be read.</exception>
    public RecordOpening? Open(StoredRecord record)
    {
        if (record is not { Opening: { } octets, Month: { } month } || !_months.Value.TryGetValue(month, out var key))
            return null;
        try
        {
            var opening = RecordOpening.Read(MessageOpener.ReadSpooled(octets, [key.Key]));
            return opening.Commitment == record.Record.Text("open") ? opening : null;
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException or EvidenceException)
        {
            return null;
        }
    }
}
