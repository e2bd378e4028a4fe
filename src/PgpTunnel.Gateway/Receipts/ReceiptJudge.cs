using System.Collections.Concurrent;
using System.Text.Json;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What the records of a receipt come to.</summary>
/// <param name="Wrong">What cannot be, and makes all of it worthless; null = nothing.</param>
/// <param name="Settled">Parcels of ours.</param>
/// <param name="Reports">To senders who asked to hear that their mail was relayed.</param>
/// <param name="Known">Indexes of records that are about messages of ours.</param>
internal sealed record Judged(
    string? Wrong,
    int Outcomes,
    IReadOnlyList<SettledByReceipt> Settled,
    IReadOnlyList<(Parcel, ParcelContent)> Reports,
    IReadOnlySet<long> Known
);

/// <summary>Compares what a receipt says with what we have sealed.</summary>
internal sealed class ReceiptJudge(Site site, Parcels parcels, OwnMail ownMail)
{
    /// <summary>A message of ours that a record is about.</summary>
    /// <param name="Recipients">How many it has; null where that is not needed.</param>
    private sealed record Ours(Parcel? Parcel, InnerHeader? Header, ReadOnlyMemory<byte> Fields, long Recipients)
    {
        /// <summary>In the place of one that is about something else than it says.</summary>
        public static readonly Ours Other = new(null, null, default, 0) { IsOther = true };

        public bool IsOther { get; private init; }

        /// <summary>Not all that becomes of it has been told.</summary>
        public bool IsOpen => Parcel?.Receipt != ReceiptState.Settled;
    }

    private static readonly TimeSpan LookPause = TimeSpan.FromMinutes(1);

    /// <summary>When all that is on record was last looked through for a peer.</summary>
    private readonly ConcurrentDictionary<string, DateTimeOffset> _looked = new();

    /// <returns>Null when that takes a look at everything, and the peer has caused one just now.</returns>
    public Judged? Of(IReadOnlyList<TailItem> items, string own, string peer)
    {
        var records = items
            .Select(i => i.Record)
            .OfType<Record>()
            .Where(r => r.Event is "opened" or "outcome")
            .ToList();
        if (Forgotten(records, own, peer) is not { } forgotten)
            return null;
        var (settled, reports) = (new List<SettledByReceipt>(), new List<(Parcel, ParcelContent)>());
        var told = new Dictionary<string, HashSet<int>>(StringComparer.Ordinal);
        var (known, times, wrong) = (
            new HashSet<long>(),
            new Dictionary<string, int>(StringComparer.Ordinal),
            (string?)null
        );
        foreach (var record in records)
        {
            var id = record.Text("id") ?? "";
            switch (Find(record, own, peer, forgotten))
            {
                case null:
                    wrong ??= $"record {record.N} is about {id}, and we sealed no such message for {peer}";
                    continue;
                case { IsOther: true }:
                    wrong ??= $"record {record.N} is about {id}, and names other octets, or another domain";
                    continue;
                case var ours when record.Event == "opened":
                    Keep(1);
                    settled.Add(new(id, ReceiptState.Opened, Told(ours)));
                    continue;
                case var ours:
                    if (Recipients(record, ours.Recipients) is not { } recipients)
                    {
                        wrong ??= $"record {record.N} names recipients that {id} has not";
                        continue;
                    }
                    Keep(ours.Recipients);
                    // Each once, however often it is told.
                    var news = recipients.FindAll(r => Told(ours).Add(r.Index) && ours.IsOpen);
                    settled.Add(
                        new(id, StateOf(record), Told(ours))
                        {
                            Since =
                                ours.IsOpen && StateOf(record) == ReceiptState.Settled ? ours.Parcel?.Created : null,
                        }
                    );
                    if (ours is { Parcel: { } parcel, Header: { } header } && record.Number("dsn") != 1)
                        reports.AddRange(Report(parcel, header, ours.Fields, news, peer));
                    continue;
            }

            HashSet<int> Told(Ours ours) =>
                told.TryGetValue(id, out var done) ? done : told[id] = [.. ours.Parcel?.Done ?? new HashSet<int>()];

            // There are no more of one message than it has recipients: who tells more has them kept as hashes.
            void Keep(long most)
            {
                var key = $"{record.Event} {id}";
                times[key] = times.GetValueOrDefault(key) + 1;
                if (times[key] <= most)
                    known.Add(record.N);
            }
        }
        return wrong is null
            ? new(null, records.Count(r => r.Event == "outcome"), settled, reports, known)
            : new(wrong, 0, [], [], known);
    }

    private static ReceiptState StateOf(Record outcome) =>
        outcome.Number("final") == 1 ? ReceiptState.Settled : ReceiptState.Opened;

    /// <summary>
    /// What is on record of messages whose parcels are no more in the spool, of all at once: that takes a look at everything.
    /// </summary>
    /// <returns>Null when it is too soon for another.</returns>
    private Dictionary<string, Record>? Forgotten(List<Record> records, string own, string peer)
    {
        var ids = records
            .Select(r => r.Text("id"))
            .OfType<string>()
            .Where(id => LogEntry.IsId(id) && site.Spool.Find(id) is null)
            .ToHashSet(StringComparer.Ordinal);
        if (ids.Count == 0)
            return [];
        var now = site.Time.GetUtcNow();
        if (_looked.TryGetValue(peer, out var last) && (now - last).Duration() < LookPause)
            return null;
        _looked[peer] = now;
        var logs = site.Spool.Logs().ToDictionary(l => l.Number);
        return site
            .Spool.Tagged(ids.Select(LogEntry.TagOf))
            .Where(r => r.Record.Event == "sealed" && ids.Contains(r.Record.Text("id") ?? ""))
            .Where(r =>
                logs.GetValueOrDefault(r.Log) is { IsMirror: false } log
                && log.Origin.Own == own
                && log.Origin.Peer == peer
            )
            .DistinctBy(r => r.Record.Text("id"))
            .ToDictionary(r => r.Record.Text("id")!, r => r.Record);
    }

    /// <returns>Null when nothing of that id was sealed here.</returns>
    private Ours? Find(Record record, string own, string peer, Dictionary<string, Record> forgotten)
    {
        var (id, lit) = (record.Text("id") ?? "", record.Text("lit"));
        if (forgotten.TryGetValue(id, out var before))
            return before.Text("lit") == lit ? new(null, null, default, before.Number("rcpts") ?? 0) : Ours.Other;
        if (site.Spool.Find(id) is not { Form: ParcelForm.Sealed, Lit.Length: > 0 } parcel)
            return null;
        if (parcel.Own != own || parcel.Domain != peer || Convert.ToHexStringLower(parcel.Lit) != lit)
            return Ours.Other;
        if (record.Event == "opened")
            return new(parcel, null, default, 0);
        var (header, fields) = parcels.ReadEnvelope(new(default, [], site.Spool.Envelope(id) ?? []));
        return new(parcel, header, fields, header.RcptTo.Count);
    }

    /// <summary>Recipients that were relayed, by their index, with the status.</summary>
    /// <returns>Null when the record names others than there are, or is of another form.</returns>
    private static List<(int Index, string Status)>? Recipients(Record record, long recipients)
    {
        var relayed = new List<(int, string)>();
        var to = record.Fields.FirstOrDefault(f => f.Name == "to").Value;
        if (to.ValueKind != JsonValueKind.Array)
            return null;
        foreach (var one in to.EnumerateArray())
        {
            if (
                one.ValueKind != JsonValueKind.Array
                || one.GetArrayLength() != 3
                || one[0].ValueKind != JsonValueKind.Number
                || !one[0].TryGetInt32(out var index)
                || index < 0
                || index >= recipients
                || one[1].ValueKind != JsonValueKind.String
                || one[2].ValueKind != JsonValueKind.String
            )
                return null;
            if (one[1].GetString() == "relayed")
                relayed.Add((index, one[2].GetString()!));
        }
        return relayed;
    }

    private IEnumerable<(Parcel, ParcelContent)> Report(
        Parcel parcel,
        InnerHeader header,
        ReadOnlyMemory<byte> fields,
        List<(int Index, string Status)> told,
        string peer
    )
    {
        var wish = site.Configuration.Receipts.TellSender;
        if (wish == TellSender.Never)
            return [];
        var outcomes = told.Select(t =>
            (
                Wishing(header.RcptTo[t.Index], wish),
                new SmtpReply(250, t.Status, $"the gateway of {peer} has passed it on to its mail server")
            )
        );
        return
            Notice.Build(
                site.Configuration,
                NoticeAction.Relayed,
                header.MailFrom,
                [.. outcomes],
                [fields],
                parcel.Created,
                null
            )
                is { } notice
            ? [ownMail.Report(header.Sender.Domain, header.MailFrom, notice, parcel.ReportLeaves)]
            : [];
    }

    /// <summary>Who asked for silence gets it, whoever else is told (RFC 3461 4.1).</summary>
    private static ForwardPath Wishing(ForwardPath to, TellSender wish) =>
        wish == TellSender.Always && to.Notify != "NEVER" ? to with { Notify = "SUCCESS" } : to;
}
