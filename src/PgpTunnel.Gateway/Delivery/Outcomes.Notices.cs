using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Who is told that a parcel is late or lost.</summary>
internal sealed partial class Outcomes
{
    private async Task TellDelayAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        if (OpenForNotice(parcel, final: false) is not var (header, message, _))
            return;
        if (
            Notice.Build(
                site.Configuration,
                NoticeAction.Delayed,
                header.MailFrom,
                [.. Answered.Unsettled(parcel, header).Select(r => (r, reply))],
                [message],
                parcel.Created,
                null
            ) is
            { } notice
        )
            await PersistAsync(new() { Add = [Report(parcel, header, notice)] }, parcel, cancel);
    }

    /// <summary>
    /// The whole parcel has failed: a notice to its sender takes its place, or, where none may be sent, a person must look.
    /// </summary>
    public async Task FailAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        if (site.Spool.Find(parcel.Id) is { State: ParcelState.Handed }) // a receipt says that it has arrived
            return;
        if (OpenForNotice(parcel, final: true) is not var (header, message, whole))
            return;
        if (header.Kind == ParcelKind.Receipt)
            await OweAgainAsync(parcel, header, null);
        if (parcel.Route == ParcelRoute.Local)
        {
            await LocalAsync(Answered.Alike(parcel, header, message, reply), cancel);
            return;
        }
        if (parcel.IsNotice && ownMail.IsForPostmaster(header))
        {
            await HoldAsync(parcel, reply, parcel.Done, cancel);
            return;
        }
        if (parcel.Leaving == Leaving.Exempt && await returns.FailedOnTheWayAsync(header.MailFrom, reply))
        {
            await PersistAsync(new() { Remove = parcel.Id }, parcel, cancel);
            return;
        }
        var notice = Notice.Build(
            site.Configuration,
            NoticeAction.Failed,
            header.MailFrom,
            Answered.Alike(parcel, header, message, reply).Failed,
            [message],
            parcel.Created,
            null
        );
        if (notice is null && !whole)
            throw new SpoolException("its body is lost, and nobody is to be told", false); // so a person must look
        var isKept = await PersistAsync(
            new()
            {
                Replace = parcel.Id,
                Add = notice is null ? Untold(parcel, header, reply) : [Report(parcel, header, notice.Value)],
                Facts = header.Kind == ParcelKind.Echo ? echoes.Outcome(parcel.Id, $"failed: {reply}") : [],
                Entries = witness.Failed(parcel, reply, header.RcptTo.Count - parcel.Done.Count),
            },
            parcel,
            cancel
        );
        if (!isKept)
            return; // it has arrived meanwhile, or was dropped
        site.Log.Write(
            "failed",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("notice", notice is not null),
            ("reply", reply)
        );
    }

    /// <summary>A receipt of ours does not arrive: what it told is owed still.</summary>
    /// <param name="due">Since when; null = until the peer asks again: it may take none any more.</param>
    public async Task OweAgainAsync(Parcel parcel, InnerHeader header, DateTimeOffset? due)
    {
        if (site.Spool.OwedReceipt(header.Sender.Domain, parcel.Domain) is not { } owed || owed.Parcel != parcel.Id)
            return;
        if (due is { } since)
            await site.Spool.OweAgainAsync(owed, owed.Acked, since);
        else
            await site.Spool.EndOwedAsync(owed, owed.Acked);
    }

    private (Parcel, ParcelContent) Report(Parcel parcel, InnerHeader about, ReadOnlyMemory<byte> notice) =>
        ownMail.Report(about.Sender.Domain, about.MailFrom, notice, parcel.ReportLeaves);

    /// <summary>
    /// Of a report of ours that fails itself the postmaster is told; of other mail from the null sender nobody is (RFC 5321 6.1).
    /// </summary>
    private List<(Parcel, ParcelContent)> Untold(Parcel parcel, InnerHeader header, SmtpReply reply) =>
        parcel.IsNotice ? [ownMail.Undeliverable(header, reply)] : [];

    /// <summary>
    /// What a notice is made from: the parcel, or, where the disk has lost its body or a part of it, its envelope. Null = it is settled. A
    /// body that only cannot be read may come back, so it is given up only after its sender has been told of a delay.
    /// </summary>
    private (InnerHeader Header, ReadOnlyMemory<byte> Message, bool Whole)? OpenForNotice(Parcel parcel, bool final)
    {
        try
        {
            if (site.Spool.Load(parcel.Id) is not var (_, content))
                return null;
            var (header, message) = parcels.Read(parcel, content);
            return (header, message, true);
        }
        catch (Exception e)
            when (parcel.Form == ParcelForm.Sealed
                && (e is OpenPgpException || (e is SpoolException && (!final || parcel.Delayed)))
            )
        {
            site.Log.Write(
                "body-lost",
                ("id", parcel.Id),
                ("alarm", true),
                ("why", e.Message),
                (
                    "do",
                    "see 'pgptunnel queue check'; where the body comes back the parcel still goes, else its sender is "
                        + "told when it is given up"
                )
            );
            if (site.Spool.LoadWithoutBody(parcel.Id) is not { } rest)
                return null;
            var (header, fields) = parcels.ReadEnvelope(rest);
            return (header, fields, false);
        }
    }
}
