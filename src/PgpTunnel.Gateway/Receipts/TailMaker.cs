using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Chooses what a receipt tells of our log: outcomes whole with their private parts, of what is opened and has no outcome yet that it is,
/// how a log began, and of everything else the hash.
/// </summary>
internal sealed class TailMaker(Settings settings, Spool spool)
{
    private const int MostRecords = 8192,
        MostOctets = LogTail.Largest * 3 / 4, // room for the first line
        LineEnds = 16; // octets beside what a line tells

    private RecordSearch? _search;

    /// <param name="from">Index of the first record that the peer has not.</param>
    /// <returns>In the order of the log; fewer than there are where they are many, and at least one where there is one.</returns>
    public IReadOnlyList<TailItem> Items(StoredLog log, long from)
    {
        var (items, octets, outcomes) = (new List<TailItem>(), 0, 0);
        foreach (var record in spool.Records(log.Number, from))
        {
            var item = Item(record);
            octets += OctetsOf(item);
            outcomes += record.Record.Event == "outcome" ? 1 : 0;
            if (items.Count == MostRecords || octets > MostOctets || outcomes > LogTail.MostOutcomes)
                break;
            items.Add(item);
        }
        var settled = items
            .Where(i => i.Record?.Event == "outcome")
            .Select(i => i.Record!.Text("id"))
            .ToHashSet(StringComparer.Ordinal);
        return
        [
            .. items.Select(i =>
                i.Record is { Event: "opened" } record && settled.Contains(record.Text("id")) ? new TailItem(i.Leaf) : i
            ),
        ];
    }

    /// <summary>
    /// As it is told. What is longer than peers take on an average goes without its private part, or as its hash: it stands in our log all
    /// the same.
    /// </summary>
    private TailItem Item(StoredRecord stored)
    {
        var record = stored.Record;
        if (!IsTold(record) || record.Octets.Length > LogTail.LargestRecord)
            return new(record.LeafHash);
        var opening = record.Event == "outcome" ? SearchOf(stored).Open(stored) : null;
        return new(record, opening?.Octets.Length + record.Octets.Length > LogTail.LargestRecord ? null : opening);
    }

    private static int OctetsOf(TailItem item) =>
        item.Record is null
            ? 2 * item.Leaf.Length
            : item.Record.Octets.Length + (item.Opening?.Octets.Length ?? 0) + 2 * LineEnds;

    /// <summary>What is the peer's to know: of its own parcels, and of the log itself.</summary>
    private static bool IsTold(Record record) => record.Event is "outcome" or "opened" or "begin";

    /// <summary>With the keys of all months so far; a new month has a new one.</summary>
    private RecordSearch SearchOf(StoredRecord record)
    {
        if (_search is null || !_search.HasKeyOf(record, settings.Configuration))
            _search = new(settings.Configuration, spool);
        return _search;
    }
}
