using PgpTunnel.Smtp;

namespace PgpTunnel;

internal sealed partial class Outcomes
{
    /// <summary>Of what went out into the world.</summary>
    public async Task WorldAsync(Answered answered, CancellationToken cancel)
    {
        var (parcel, header, failed) = (answered.Parcel, answered.Header, answered.Failed);
        if (
            failed.Count > 0
            && parcel.Leaving == Leaving.Exempt
            && await returns.FailedOnTheWayAsync(header.MailFrom, failed[0].Reply)
        )
            await SettleAsync(answered, [], cancel);
        else if (failed.Count > 0 && parcel.IsNotice && ownMail.IsForPostmaster(header))
            await HoldAsync(parcel, failed[0].Reply, parcel.Done, cancel);
        else
            await SettleAsync(answered, [.. failed.Count == 0 ? [] : ToldOf(answered), .. Successes(answered)], cancel);
    }

    private IReadOnlyList<(Parcel, ParcelContent)> ToldOf(Answered answered) =>
        FailureNotice(answered) is { } notice
            ? [Report(answered.Parcel, answered.Header, notice)]
            : Untold(answered.Parcel, answered.Header, answered.Failed[0].Reply);

    /// <summary>Of what went to our own mail server, opened or a notice.</summary>
    public async Task LocalAsync(Answered answered, CancellationToken cancel)
    {
        var (parcel, failed) = (answered.Parcel, answered.Failed);
        if (failed.Count == 0)
            await SettleAsync(answered, Successes(answered), cancel);
        else if (SomebodyIsTold(answered))
            await SettleAsync(answered, [.. Successes(answered), .. ToldOfLocal(answered)], cancel);
        else if (answered.Later is { } later) // the others first
        {
            var rest = parcel with { Done = answered.Have };
            await PersistAsync(new() { Update = rest, Entries = OnRecord(answered, answered.Have) }, parcel, cancel);
            await LaterAsync(rest, later, cancel);
        }
        else if (parcel.Form == ParcelForm.Kept || peers.IsPartner(answered.Header.Sender.Domain) || !HoldsMany())
            await HoldAsync(parcel, failed[0].Reply, answered.Have, cancel, OnRecord(answered, answered.Have));
        else
        {
            LogDiscarded(answered, "strangers have enough held here already; see 'pgptunnel queue list'");
            await SettleAsync(answered, Successes(answered), cancel);
        }
    }

    /// <summary>
    /// Not of a notice to the postmaster, who is the last to be told, nor of mail that a partner passed on for a sender of another
    /// domain: to tell that sender would be backscatter. (Who wants to hear nothing counts as told: RFC 5321 6.1, RFC 3461 4.1.)
    /// </summary>
    private bool SomebodyIsTold(Answered answered) =>
        answered.Parcel.Form == ParcelForm.Received
            ? IsOfItsSender(answered.Header)
                || answered.Header.MailFrom.Mailbox is null
                || answered.Failed.All(f => !f.To.NotifiesFailure)
            : !(answered.Parcel.IsNotice && ownMail.IsForPostmaster(answered.Header));

    private IReadOnlyList<(Parcel, ParcelContent)> ToldOfLocal(Answered answered) =>
        answered.Parcel.Form == ParcelForm.Received
            ? FailureNotice(answered) is { } notice
                ? ThroughTheTunnel(answered.Header, notice)
                : []
            : answered.Header.MailFrom.Mailbox is not null
                ? OwnUsersAreTold(answered)
                : Untold(answered.Parcel, answered.Header, answered.Failed[0].Reply);

    /// <summary>What strangers may have us keep for a person to see; it has no end, so it has a bound.</summary>
    private const int MostHeld = 1000;
    private const long MostHeldOctets = 256 * 1024 * 1024;

    private bool HoldsMany() =>
        site.Spool.Held() is var (parcels, octets) && (parcels >= MostHeld || octets >= MostHeldOctets);

    /// <summary>
    /// Of our own users' mail they are told. A stranger's mail to the postmaster was kept with NOTIFY=NEVER: strangers get no notices
    /// (backscatter), and must not fill the spool.
    /// </summary>
    private IReadOnlyList<(Parcel, ParcelContent)> OwnUsersAreTold(Answered answered)
    {
        if (FailureNotice(answered) is { } notice)
            return [Report(answered.Parcel, answered.Header, notice)];
        LogDiscarded(
            answered,
            $"our own mail server refuses mail whose sender is not told; does it take mail for {site.Configuration.Postmaster}?"
        );
        return [];
    }

    private void LogDiscarded(Answered answered, string advice) =>
        site.Log.Write(
            "discarded",
            ("id", answered.Parcel.Id),
            ("alarm", true),
            ("reply", answered.Failed[0].Reply),
            ("do", advice)
        );

    private ReadOnlyMemory<byte>? FailureNotice(Answered answered) =>
        Notice.Build(
            site.Configuration,
            NoticeAction.Failed,
            answered.Header.MailFrom,
            answered.Failed,
            [answered.Message],
            answered.Parcel.Created,
            null
        );

    /// <summary>
    /// Reports of success where the next server leaves them to us; of a parcel that asked for a receipt its sender's gateway makes them
    /// from that (PROTOCOL.md 11).
    /// </summary>
    private IReadOnlyList<(Parcel, ParcelContent)> Successes(Answered answered)
    {
        if (
            answered is { Parcel.Form: ParcelForm.Received, Header.AsksReceipt: true }
            && site.Configuration.Evidence.Keep
        )
            return [];
        var taken = answered
            .To.Zip(answered.Replies)
            .Where(r => r.Second is { IsPositive: true, LeavesReports: true })
            .Select(r => (r.First, r.Second))
            .ToList();
        if (
            Notice.Build(
                site.Configuration,
                NoticeAction.Relayed,
                answered.Header.MailFrom,
                taken,
                [answered.Message],
                answered.Parcel.Created,
                null
            )
            is not { } notice
        )
            return [];
        return answered.Parcel.Form == ParcelForm.Received
            ? ThroughTheTunnel(answered.Header, notice)
            : [Report(answered.Parcel, answered.Header, notice)];
    }

    /// <summary>
    /// A notice back through the tunnel, to the gateway of the sender domain only (PROTOCOL.md 7); none for another sender.
    /// </summary>
    private IReadOnlyList<(Parcel, ParcelContent)> ThroughTheTunnel(InnerHeader header, ReadOnlyMemory<byte> notice) =>
        IsOfItsSender(header)
            ? [ownMail.Report(header.Recipient.Domain, header.MailFrom, notice, Leaving.SealedOnly)]
            : [];

    private static bool IsOfItsSender(InnerHeader header) =>
        header.MailFrom.Mailbox is { } original
        && Domains.TryNormalise(original.Domain, out var domain)
        && domain == header.Sender.Domain;

    /// <summary>What goes on record of recipients that are settled now.</summary>
    private IReadOnlyList<LogEntry> OnRecord(Answered answered, IReadOnlySet<int> settled)
    {
        var (parcel, replies) = (answered.Parcel, answered.Of(settled));
        if (parcel.Route == ParcelRoute.Local)
            return witness.Outcome(parcel, answered.Header, replies, settled.Count == answered.Header.RcptTo.Count);
        var (taken, failed) = (
            replies.FirstOrDefault(r => r.Reply.IsPositive).Reply,
            replies.Where(r => r.Reply.IsPermanent).Select(r => r.Reply).ToList()
        );
        return
        [
            .. taken is null ? [] : witness.Handed(parcel, taken),
            .. failed.Count == 0 ? [] : witness.Failed(parcel, failed[0], failed.Count),
        ];
    }

    /// <summary>Writes down who has it, with the notices for those who never will, in one step.</summary>
    private async Task SettleAsync(
        Answered answered,
        IReadOnlyList<(Parcel, ParcelContent)> notices,
        CancellationToken cancel
    )
    {
        var (parcel, settled) = (answered.Parcel, answered.Settled);
        foreach (var reply in answered.Replies.Distinct())
            if (!reply.IsTemporary)
                site.Log.Write(
                    reply.IsPositive ? "delivered" : "failed",
                    ("id", parcel.Id),
                    ("to", Towards(parcel)),
                    ("notice", reply.IsPositive ? null : notices.Count > 0),
                    ("reply", reply)
                );
        if (answered.Replies.Any(r => r.IsPositive))
            Metrics.HandedOver(parcel.Route, site.Time.GetUtcNow() - parcel.Created);
        var change = new SpoolChange { Add = notices, Entries = OnRecord(answered, settled) };
        if (answered.Later is not { } later)
        {
            await PersistAsync(change with { Remove = parcel.Id }, parcel, cancel);
            return;
        }
        var rest = parcel with { Done = settled };
        await PersistAsync(change with { Update = rest }, parcel, cancel);
        await LaterAsync(rest, later, cancel);
    }
}
