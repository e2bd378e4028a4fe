using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Finds what is on record about a message, by what people know of it, and opens its private parts.</summary>
internal sealed class RecordSearch(GatewayConfiguration configuration, Spool spool)
{
    private const int IdDigits = 32;

    private readonly Dictionary<string, GatewayKey?> _months = [];

    /// <summary>The records about one parcel, log by log, the oldest first.</summary>
    public IReadOnlyList<StoredRecord> About(string id) =>
        [.. spool.Tagged([LogEntry.TagOf(id)]).Where(r => r.Record.Text("id") == id)];

    /// <summary>Ids of the parcels that something is known of, the oldest first.</summary>
    /// <param name="what">A parcel's id, a Message-ID, or an address.</param>
    public IReadOnlyList<string> Find(string what)
    {
        if (what.Length == IdDigits && what.All(char.IsAsciiHexDigitLower))
            return About(what).Count > 0 ? [what] : [];
        string[] texts = [FoundBy.MessageId(what), FoundBy.Address(what.Trim().TrimStart('<').TrimEnd('>'))];
        return Ids(spool.Tagged([.. MonthKeys.All(configuration).SelectMany(m => texts.Select(m.Tag))]));
    }

    private static List<string> Ids(IEnumerable<StoredRecord> records) =>
        [.. records.OrderBy(r => r.Record.At).Select(r => r.Record.Text("id")).OfType<string>().Distinct()];

    /// <summary>The private part of a record; null where it has none, or none that can be opened any more.</summary>
    /// <exception cref="ConfigurationException">The key of its month cannot be read.</exception>
    public RecordOpening? Open(StoredRecord record)
    {
        if (record is not { Opening: { } octets, Month: { } month })
            return null;
        if (!_months.TryGetValue(month, out var key))
            _months[month] = key = MonthKeys.Load(configuration, month);
        if (key is null)
            return null;
        try
        {
            var opening = RecordOpening.Read(MessageOpener.ReadSpooled(octets, [key]));
            return opening.Commitment == record.Record.Text("open") ? opening : null;
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException or EvidenceException)
        {
            return null;
        }
    }
}
