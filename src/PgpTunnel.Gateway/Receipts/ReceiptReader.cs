using System.Collections.Concurrent;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Takes a receipt that has been opened and verified: puts what it tells behind what is held of that log, and settles the parcels that it
/// names. Nothing of one that does not fit counts (PROTOCOL.md 11).
/// </summary>
internal sealed class ReceiptReader(
    Site site,
    Parcels parcels,
    OwnMail ownMail,
    Witness witness,
    HeldLogs held,
    RewrittenLogs rewritten,
    ReceiptAlarms alarms
)
{
    private readonly ReceiptJudge _judge = new(site, parcels, ownMail);

    /// <param name="sender">Whose it is.</param>
    /// <param name="with">Committed with what comes of it.</param>
    public async Task<SmtpReply> TakeAsync(
        InnerHeader header,
        ReadOnlyMemory<byte> message,
        PeerState sender,
        SpoolChange with
    )
    {
        if (!site.Configuration.Evidence.Keep)
            return new SmtpReply(550, "5.7.1", "this gateway keeps no records, and has asked for no receipt");
        LogTail tail;
        WitnessedHead head;
        try
        {
            tail = LogTail.Read(message[MessageContent.HeaderLength(message.Span)..]);
            head = Checked(tail, header, sender);
        }
        catch (EvidenceException e)
        {
            return await MismatchAsync(header, message, with, e.Message);
        }
        if (tail.Items.Count == 0) // it only tells how far ours is held, which was looked at with the parcel
        {
            var isNew = !await rewritten.IsContradictedAsync(head);
            await site.Spool.CommitAsync(with with { Witnessed = isNew ? head : null });
            return Noted(header);
        }
        var mirrors = site.Spool.Mirrors(header.Sender.Domain, header.Recipient.Domain);
        var mirror = mirrors.FirstOrDefault(m => m.Origin == tail.Head.Origin);
        switch (FitOf(tail, mirror))
        {
            case Fit.Rewritten:
                await rewritten.ContradictsAsync(mirror!, head);
                await site.Spool.CommitAsync(with);
                return Noted(header);
            case Fit.Gap:
                site.Log.Write(
                    "receipt-ahead",
                    ("from", header.Sender.Domain),
                    ("why", $"it begins at record {tail.From}, and {mirror!.Edge.Size} are held: one was lost"),
                    ("do", "nothing: the sender hears how far its log is held, and sends what is missing")
                );
                held.Again(header.Recipient.Domain, header.Sender.Domain);
                await site.Spool.CommitAsync(with);
                return Noted(header);
            case Fit.NothingNew:
                held.Again(header.Recipient.Domain, header.Sender.Domain);
                await site.Spool.CommitAsync(with);
                return Noted(header);
        }
        if (IsTooMuch(tail, header, mirrors))
            return await MismatchAsync(header, message, with, "it tells of far more than has passed between us");
        if (
            mirror is null
            && site.Spool.BegunSince(header.Sender.Domain, header.Recipient.Domain, Yesterday) >= MostLogs
        )
            return await MismatchAsync(header, message, with, $"it is the head of more than {MostLogs} logs in a day");
        if (mirror is null && mirrors.Count > 0)
            with = with with { Entries = [.. with.Entries, .. Restored(tail, mirrors[^1])] };
        return await KeepAsync(header, message, with, tail, head, mirror);
    }

    private static SmtpReply Noted(InnerHeader header) => new(250, "2.0.0", $"{header.Id} noted");

    /// <exception cref="EvidenceException">It is another's, or not signed by who sends it.</exception>
    private WitnessedHead Checked(LogTail tail, InnerHeader header, PeerState sender)
    {
        var origin = tail.Head.Origin;
        if (origin.Own != header.Sender.Domain || origin.Peer != header.Recipient.Domain)
            throw new EvidenceException($"it is of log {origin}, and comes from {header.Sender.Domain}");
        return tail.Head.Signer(sender.Signers, tail.Signature) is var (key, _)
            ? new(
                tail.Head,
                tail.Signature,
                witness.CertificateOf(key) ?? "",
                sender.Proof ?? "",
                site.Time.GetUtcNow()
            )
            : throw new EvidenceException($"its head is signed by no key of {header.Sender.Domain}");
    }

    private const int MostHeld = 500_000, // records, most of them hashes, that have no counterpart here
        MostLogs = 10,
        MostMismatches = 20,
        KeptOfMismatch = 4096; // octets

    private DateTimeOffset Yesterday => site.Time.GetUtcNow().AddDays(-1);

    /// <summary>
    /// What passes is on record at both sides, in about as many records. A log that has many more, or whose records are huge, is made to
    /// fill our disk; one that was begun before ours may have some.
    /// </summary>
    private bool IsTooMuch(LogTail tail, InnerHeader header, IReadOnlyList<StoredLog> mirrors) =>
        mirrors.Sum(m => m.Edge.Size - m.Start.Size) + tail.Items.Count
            > MostHeld + 8 * site.Spool.Records(header.Recipient.Domain, header.Sender.Domain)
        || tail.Items.Sum(i => (long)(i.Record?.Octets.Length ?? 0) + (i.Opening?.Octets.Length ?? 0))
            > KeptOfMismatch + ((long)LogTail.LargestRecord * (tail.Items.Count + 32));

    private enum Fit
    {
        Behind,
        NothingNew,
        Gap,
        Rewritten,
    }

    /// <summary>How the tail fits to what is held of the log.</summary>
    private Fit FitOf(LogTail tail, StoredLog? mirror)
    {
        if (mirror is null)
            return Fit.Behind;
        var size = mirror.Edge.Size;
        if (tail.From > size)
            return Fit.Gap;
        if (tail.Head.Size <= size)
            return
                tail.Head.Size < mirror.Start.Size
                || site.Spool.RootAt(mirror, tail.Head.Size).AsSpan().SequenceEqual(tail.Head.Root)
                ? Fit.NothingNew
                : Fit.Rewritten;
        var edge = tail.Edge.Copy();
        foreach (var item in tail.Items.Take((int)(size - tail.From)))
            edge.Append(item.Leaf);
        return edge.Root().AsSpan().SequenceEqual(mirror.Edge.Root()) ? Fit.Behind : Fit.Rewritten;
    }

    private async Task<SmtpReply> KeepAsync(
        InnerHeader header,
        ReadOnlyMemory<byte> message,
        SpoolChange with,
        LogTail tail,
        WitnessedHead head,
        StoredLog? mirror
    )
    {
        var (own, peer) = (header.Recipient.Domain, header.Sender.Domain);
        var known = mirror?.Edge.Size - tail.From ?? 0;
        var items = tail.Items.Skip((int)known).ToList();
        if (_judge.Of(items, own, peer) is not { } judged)
            return new SmtpReply(451, "4.3.2", $"{peer} asks for much of late; try again");
        if (judged.Wrong is { } wrong)
            with = with with { Entries = [.. with.Entries, .. await WrongAsync(header, message, wrong)] };
        var change = with with
        {
            Mirror = new(tail, known, [.. items.Select(i => witness.Kept(Worth(i, judged)))], site.Time.GetUtcNow()),
            Witnessed = head,
            Settle = judged.Settled,
            Add = judged.Reports,
            Entries = [.. with.Entries, .. witness.Receipt(own, peer, head, judged.Outcomes)],
        };
        if (!await site.Spool.CommitAsync(change))
            return new SmtpReply(451, "4.3.0", "two receipts of one log came at once; try again");
        foreach (var since in judged.Settled.Select(s => s.Since).OfType<DateTimeOffset>())
            Metrics.ReceiptCame(site.Time.GetUtcNow() - since);
        held.Grown(own, peer);
        foreach (var pending in site.Spool.Witnessed(head.Head.Origin).Where(h => h.Head.Size <= head.Head.Size))
            await rewritten.IsContradictedAsync(pending);
        await site.Spool.ForgetHeadsAsync(head.Head.Origin, below: head.Head.Size);
        site.Log.Write(
            "receipt",
            ("id", header.Id),
            ("from", peer),
            ("log", head.Head.Origin.ToString()),
            ("size", head.Head.Size),
            ("outcomes", judged.Outcomes),
            ("settled", judged.Settled.Count)
        );
        return new SmtpReply(250, "2.0.0", $"{header.Id} taken: {head.Head.Size} records are held");
    }

    /// <summary>What is about no message of ours need not be kept whole.</summary>
    private static TailItem Worth(TailItem item, Judged judged) =>
        item.Record is { Event: not "begin" } record && !judged.Known.Contains(record.N) ? new(item.Leaf) : item;

    private async Task<SmtpReply> MismatchAsync(
        InnerHeader header,
        ReadOnlyMemory<byte> message,
        SpoolChange with,
        string why
    )
    {
        await site.Spool.CommitAsync(
            with with
            {
                Entries = [.. with.Entries, .. await WrongAsync(header, message, why)],
            }
        );
        return Noted(header);
    }

    /// <summary>Of each pair of domains the day, and how many were put on record in it.</summary>
    private readonly ConcurrentDictionary<(string Own, string Peer), (DateOnly Day, int Count)> _wrong = new();

    /// <summary>A receipt that says what cannot be: its beginning is kept, and somebody must look.</summary>
    private async Task<IReadOnlyList<LogEntry>> WrongAsync(InnerHeader header, ReadOnlyMemory<byte> message, string why)
    {
        var peer = header.Sender.Domain;
        site.Log.Write(
            "receipt-mismatch",
            ("id", header.Id),
            ("alarm", true),
            ("from", peer),
            ("why", why),
            ("do", $"ask the administrator of {peer}; nothing of this receipt counts")
        );
        await alarms.TellAsync(
            peer,
            $"A receipt of {peer} does not fit",
            $"""
            A receipt that is signed by the gateway of {peer} says what cannot be:

              {OwnMail.Printable(why)}

            Nothing of it counts. It is on record with the alarm.
            Mail is not affected. Ask the administrator there.
            """
        );
        // Who sends many fills no disk with them; the log has every one.
        var today = DateOnly.FromDateTime(site.Time.GetUtcNow().UtcDateTime);
        var (_, count) = _wrong.AddOrUpdate(
            (header.Recipient.Domain, peer),
            _ => (today, 1),
            (_, known) => known.Day == today ? (today, known.Count + 1) : (today, 1)
        );
        return count <= MostMismatches
            ? witness.Mismatch(header.Recipient.Domain, peer, why, message.Span, KeptOfMismatch)
            : [];
    }

    /// <summary>The peer goes on in another log: it was restored from a copy, or says so.</summary>
    private IReadOnlyList<LogEntry> Restored(LogTail tail, StoredLog before)
    {
        var origin = tail.Head.Origin;
        site.Log.Write(
            "partner-restored",
            ("alarm", true),
            ("from", origin.Own),
            ("log", origin.ToString()),
            ("was", before.Origin.ToString()),
            ("why", $"{origin.Own} has begun another log, as after a restore from a backup"),
            ("do", $"ask its administrator whether that was so; what it signed before is kept: {before.Head.Line}")
        );
        return witness.Alarm(
            origin.Peer,
            origin.Own,
            "partner-restored",
            $"{origin} in the place of {before.Head.Line}",
            []
        );
    }
}
