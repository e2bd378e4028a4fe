using System.Text.Json;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Chooses what a receipt tells of our log: outcomes whole with their private parts, of what is opened and has no outcome yet that it is,
/// how a log began, and of everything else the hash.
/// </summary>
internal sealed class TailMaker(Settings settings, Spool spool)
{
    private const int MostRecords = 8192,
        MostOctets = LogTail.Largest / 2; // as base64, and with what a parcel adds, it stays below what peers take

    private (GatewayConfiguration Configuration, string Month, RecordSearch Search)? _search;

    /// <param name="from">Index of the first record that the peer has not.</param>
    /// <param name="now">For the key of the month.</param>
    /// <returns>In the order of the log; fewer than there are where they are many.</returns>
    public IReadOnlyList<TailItem> Items(StoredLog log, long from, DateTimeOffset now)
    {
        var (records, octets, outcomes) = (new List<StoredRecord>(), 0, 0);
        foreach (var record in spool.Records(log.Number, from))
        {
            var isOutcome = record.Record.Event == "outcome";
            octets += IsTold(record.Record) ? 2 * record.Record.Octets.Length : 64;
            outcomes += isOutcome ? 1 : 0;
            if (records.Count == MostRecords || octets > MostOctets || outcomes > LogTail.MostOutcomes)
                break;
            records.Add(record);
        }
        var settled = records
            .Where(r => r.Record.Event == "outcome")
            .Select(r => r.Record.Text("id"))
            .ToHashSet(StringComparer.Ordinal);
        var search = SearchOf(now);
        return
        [
            .. records.Select(r =>
                !IsTold(r.Record) || (r.Record.Event == "opened" && settled.Contains(r.Record.Text("id")))
                    ? new TailItem(r.Record.LeafHash)
                    : new TailItem(r.Record, r.Record.Event == "outcome" ? search.Open(r) : null)
            ),
        ];
    }

    /// <summary>What is the peer's to know: of its own parcels, and of the log itself.</summary>
    private static bool IsTold(Record record) => record.Event is "outcome" or "opened" or "begin";

    /// <summary>With the keys of all months so far; a new month has a new one.</summary>
    private RecordSearch SearchOf(DateTimeOffset now)
    {
        var (configuration, month) = (settings.Configuration, now.ToString("yyyy-MM", null));
        if (_search is not var (known, of, search) || known != configuration || of != month)
            _search = (configuration, month, search = new(configuration, spool));
        return search;
    }
}
