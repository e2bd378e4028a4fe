using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Misses receipts: says so once of each parcel, sends the oldest of a domain again as it is, and tells the sender when there is nothing
/// left to send or no time. A gateway that has it already drops it as a replay, and gives its receipt again.
/// </summary>
/// <param name="resent">Told where a parcel waits again, and from when on.</param>
internal sealed class OverdueReceipts(
    Site site,
    Parcels parcels,
    OwnMail ownMail,
    Witness witness,
    ReceiptAlarms alarms,
    Action<Destination, DateTimeOffset> resent
)
{
    private const int MostARound = 500,
        LongestPause = 5; // doublings

    private static readonly TimeSpan FirstPause = TimeSpan.FromHours(1);

    /// <summary>Looks at what is overdue now.</summary>
    public async Task LookAsync()
    {
        var (now, oldest) = (site.Time.GetUtcNow(), new Dictionary<string, string?>(StringComparer.Ordinal));
        foreach (var parcel in site.Spool.Overdue(now, MostARound))
        {
            if (parcel.Receipt == ReceiptState.Asked)
                await MissAsync(parcel, now);
            else if (parcel.Octets == 0 || now >= parcel.Expires)
                await GiveUpAsync(parcel);
            else if (Oldest(parcel.Domain) == parcel.Id)
                await SendAgainAsync(parcel, now);
            else
                await LaterAsync(parcel, now);
        }

        string? Oldest(string domain) =>
            oldest.TryGetValue(domain, out var known) ? known : oldest[domain] = site.Spool.OldestMissed(domain);
    }

    /// <summary>Lets bodies go that have waited for their receipts long enough.</summary>
    public async Task DropKeptAsync()
    {
        var dropped = await site.Spool.DropKeptAsync(
            long.MaxValue,
            site.Time.GetUtcNow() - site.Configuration.Receipts.Keep
        );
        if (dropped > 0)
            site.Log.Write(
                "kept-dropped",
                ("alarm", true),
                ("count", dropped),
                ("why", $"no receipt within receipts.keep, {site.Configuration.Receipts.Keep:c}"),
                ("do", "see 'pgptunnel partner list' for whose gateway gives none; it cannot be sent again")
            );
    }

    private async Task MissAsync(Parcel parcel, DateTimeOffset now)
    {
        await site.Spool.CommitAsync(new() { Miss = new(parcel.Id, now), Entries = witness.Overdue(parcel) });
        site.Log.Write(
            "receipt-overdue",
            ("id", parcel.Id),
            ("alarm", true),
            ("to", parcel.Domain),
            ("host", parcel.Server),
            (
                "why",
                $"{parcel.Domain} gives receipts, and gave none for it: its gateway is dead, or its MX is another's"
            ),
            ("do", $"ask its administrator, by another way than mail; 'pgptunnel trace {parcel.Id}'")
        );
        await alarms.TellAsync(
            parcel.Domain,
            $"No receipt from {parcel.Domain}",
            $"""
            Mail was handed over for {parcel.Domain}, to {(
                parcel.Server.Length > 0 ? parcel.Server : "its mail server"
            )},
            and its gateway, which gives receipts, has given none since:

              {parcel.Id}, sealed {InnerHeader.Time(parcel.Created)}

            Its gateway may be down, or somebody else may take its mail, which he cannot
            read. Ask the administrator there, by another way than mail.
            The same octets go again until a receipt comes, or they expire.

            This is said once a day at most and domain; the log has every case.
            """
        );
    }

    private static TimeSpan Pause(Parcel parcel) => FirstPause * (1 << Math.Min(parcel.Attempts, LongestPause));

    private Task LaterAsync(Parcel parcel, DateTimeOffset now) =>
        site.Spool.CommitAsync(new() { Miss = new(parcel.Id, now + FirstPause) });

    private async Task SendAgainAsync(Parcel oldest, DateTimeOffset now)
    {
        await site.Spool.CommitAsync(new() { Resend = new(oldest.Id, now, now + Pause(oldest)) });
        resent(oldest.Destination, now);
    }

    /// <summary>
    /// It cannot be sent again. Where that domain has given receipts before, its sender is told that there is none for this: from others
    /// none was ever sure to come.
    /// </summary>
    private async Task GiveUpAsync(Parcel parcel)
    {
        var (header, fields) = parcels.ReadEnvelope(new(default, [], site.Spool.Envelope(parcel.Id) ?? []));
        var gives = site.Spool.Mirrors(parcel.Domain, parcel.Own).Count > 0;
        var reply = new SmtpReply(
            550,
            "5.4.7",
            $"it was handed to {(parcel.Server.Length > 0 ? parcel.Server : "the next mail server")}, and the gateway of "
                + $"{parcel.Domain} has given no receipt for it"
        );
        var notice = gives
            ? Notice.Build(
                site.Configuration,
                NoticeAction.Failed,
                header.MailFrom,
                [.. header.RcptTo.Select(r => (r, reply))],
                [fields],
                parcel.Created,
                "It may have arrived all the same; ask the recipient before you send it again."
            )
            : null;
        await site.Spool.CommitAsync(
            new()
            {
                Miss = new(parcel.Id, null),
                Add = notice is null
                    ? []
                    : [ownMail.Report(header.Sender.Domain, header.MailFrom, notice.Value, parcel.ReportLeaves)],
            }
        );
        site.Log.Write(
            "receipt-never",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("notice", notice is not null),
            ("reply", reply)
        );
    }
}
