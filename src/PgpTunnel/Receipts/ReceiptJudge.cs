using System.Text.Json;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What the records of a receipt come to.</summary>
/// <param name="Wrong">What cannot be; null = all is right.</param>
/// <param name="Settled">Parcels of ours.</param>
/// <param name="Reports">To senders who asked to hear that their mail was relayed.</param>
internal sealed record Judged(
    string? Wrong,
    int Outcomes,
    IReadOnlyList<SettledByReceipt> Settled,
    IReadOnlyList<(Parcel, ParcelContent)> Reports
)
{
    public Judged WithoutEffect => this with { Settled = [], Reports = [] };
}

/// <summary>Compares what a receipt says with what we have sealed.</summary>
internal sealed class ReceiptJudge(Site site, Parcels parcels, OwnMail ownMail)
{
    /// <summary>A message of ours that a record is about.</summary>
    /// <param name="Recipients">How many it has; null where that is not needed.</param>
    private sealed record Ours(Parcel? Parcel, InnerHeader? Header, ReadOnlyMemory<byte> Fields, long Recipients);

    public Judged Of(IReadOnlyList<TailItem> items, string own, string peer)
    {
        var records = items
            .Select(i => i.Record)
            .OfType<Record>()
            .Where(r => r.Event is "opened" or "outcome")
            .ToList();
        var forgotten = Forgotten(records, own, peer);
        var (settled, reports) = (new List<SettledByReceipt>(), new List<(Parcel, ParcelContent)>());
        foreach (var record in records)
        {
            var id = record.Text("id") ?? "";
            if (Find(record, own, peer, forgotten) is not { } ours)
                return new($"record {record.N} is about {id}, and we sealed no such message for {peer}", 0, [], []);
            if (record.Event == "opened")
            {
                settled.Add(new(id, ReceiptState.Opened));
                continue;
            }
            if (Recipients(record, ours.Recipients) is not { } told)
                return new($"record {record.N} names recipients that {id} has not", 0, [], []);
            settled.Add(new(id, record.Number("final") == 1 ? ReceiptState.Settled : ReceiptState.Opened));
            if (ours is { Parcel: { } parcel, Header: { } header } && record.Number("dsn") != 1)
                reports.AddRange(Report(parcel, header, ours.Fields, told, peer));
        }
        return new(null, records.Count(r => r.Event == "outcome"), settled, reports);
    }

    /// <summary>
    /// What is on record of messages whose parcels are no more in the spool, of all at once: that takes a look at everything.
    /// </summary>
    private Dictionary<string, Record> Forgotten(List<Record> records, string own, string peer)
    {
        var ids = records
            .Select(r => r.Text("id"))
            .OfType<string>()
            .Where(id => LogEntry.IsId(id) && site.Spool.Find(id) is null)
            .ToHashSet(StringComparer.Ordinal);
        if (ids.Count == 0)
            return [];
        var logs = site.Spool.Logs().ToDictionary(l => l.Number);
        return site
            .Spool.Tagged(ids.Select(LogEntry.TagOf))
            .Where(r => r.Record.Event == "sealed" && ids.Contains(r.Record.Text("id") ?? ""))
            .Where(r => logs[r.Log] is { IsMirror: false } log && log.Origin.Own == own && log.Origin.Peer == peer)
            .DistinctBy(r => r.Record.Text("id"))
            .ToDictionary(r => r.Record.Text("id")!, r => r.Record);
    }

    /// <returns>Null when we sealed no such message for that domain.</returns>
    private Ours? Find(Record record, string own, string peer, Dictionary<string, Record> forgotten)
    {
        var (id, lit) = (record.Text("id") ?? "", record.Text("lit"));
        if (forgotten.TryGetValue(id, out var before))
            return before.Text("lit") == lit ? new(null, null, default, before.Number("rcpts") ?? 0) : null;
        if (
            site.Spool.Find(id) is not { Form: ParcelForm.Sealed, Lit.Length: > 0 } parcel
            || parcel.Own != own
            || parcel.Domain != peer
            || Convert.ToHexStringLower(parcel.Lit) != lit
        )
            return null;
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
