using System.Text;
using System.Text.Json;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Finds a person in the private parts of what is on record: whoever wrote or got a message, or is only named in a server's reply. Every
/// one is opened, since what a record is found by tells of the envelope alone.
/// </summary>
internal sealed class PersonSearch(Spool spool, RecordSearch search)
{
    /// <param name="Parts">Those that name the address.</param>
    /// <param name="Shut">Private parts that cannot be opened here.</param>
    internal sealed record Result(IReadOnlyList<Erased> Parts, long Shut);

    /// <summary>In our own logs, and in what is held of others' about us.</summary>
    /// <param name="address">A mailbox, without angle brackets.</param>
    public Result Find(string address, IProgress<Stage> progress)
    {
        var (parts, shut, done) = (new List<Erased>(), 0L, 0L);
        var logs = spool.Logs();
        var all = logs.Sum(l => l.Edge.Size - l.Start.Size);
        foreach (var log in logs)
        {
            var indexes = new List<long>();
            foreach (var record in spool.Records(log.Number, log.Start.Size))
            {
                progress.Report(new("records, each is looked into", ++done, all));
                if (record.Opening is null)
                    continue;
                if (search.Open(record) is not { } opening)
                    shut++;
                else if (opening.Fields.Any(f => Names(f.Value, address)))
                    indexes.Add(record.Record.N);
            }
            if (indexes.Count > 0)
                parts.Add(new(log.Origin, indexes));
        }
        return new(parts, shut);
    }

    private static bool Names(JsonElement value, string address) =>
        value.ValueKind switch
        {
            JsonValueKind.String => Names(value.GetString()!, address) || IsInOctets(value, address),
            JsonValueKind.Array => value.EnumerateArray().Any(v => Names(v, address)),
            _ => false,
        };

    /// <summary>What another has written is kept as octets.</summary>
    private static bool IsInOctets(JsonElement value, string address) =>
        value.TryGetBytesFromBase64(out var octets) && Names(Encoding.Latin1.GetString(octets), address);

    /// <summary>
    /// True where the text has the address, and not as a part of a longer one. In doubt it has: what else a local part may hold (RFC 5322
    /// 3.2.3) stands around addresses more often than in them.
    /// </summary>
    public static bool Names(string text, string address)
    {
        for (var at = 0; (at = text.IndexOf(address, at, StringComparison.OrdinalIgnoreCase)) >= 0; at++)
            if (!(at > 0 && IsOfLocalPart(text[at - 1])) && !GoesOn(text.AsSpan(at + address.Length)))
                return true;
        return false;
    }

    private static bool IsOfLocalPart(char c) => char.IsLetterOrDigit(c) || c is '.' or '+' or '-' or '_';

    private static bool GoesOn(ReadOnlySpan<char> after) =>
        after is [var c, ..] && (IsOfDomain(c) || (c == '.' && after is [_, var next, ..] && IsOfDomain(next)));

    private static bool IsOfDomain(char c) => char.IsLetterOrDigit(c) || c == '-';
}
