using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
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
    private const int MostAtOnce = 10_000, // a minute
        MostARound = 500, // a second
        LongestPause = 5; // doublings

    private static readonly TimeSpan FirstPause = TimeSpan.FromHours(1),
        LookPause = TimeSpan.FromMinutes(1);

    private DateTimeOffset _looked;

    /// <summary>Looks at what is overdue now.</summary>
    public async Task LookAsync()
    {
        var (now, oldest) = (site.Time.GetUtcNow(), new Dictionary<string, string?>(StringComparer.Ordinal));
        if (
            (now - _looked).Duration() >= LookPause
            && site.Spool.Overdue(now, ReceiptState.Asked, MostAtOnce) is [_, ..] news
        )
        {
            _looked = now;
            await MissAsync(news, now);
        }
        foreach (var parcel in site.Spool.Overdue(now, ReceiptState.Overdue, MostARound))
        {
            if (parcel.Octets == 0 || now >= parcel.Expires)
                await TryGiveUpAsync(parcel, now);
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

    /// <summary>
    /// What is held of the peers' logs is asked first: a receipt of which another part did not fit has settled nothing, and may have told
    /// of these all the same.
    /// </summary>
    private async Task MissAsync(IReadOnlyList<Parcel> overdue, DateTimeOffset now)
    {
        foreach (var pair in overdue.GroupBy(p => (p.Domain, p.Own)))
        {
            var told = site
                .Spool.Mirrors(pair.Key.Domain, pair.Key.Own)
                .SelectMany(m => site.Spool.Tagged(pair.Select(p => LogEntry.TagOf(p.Id)), m.Number))
                .Where(r => r.Record.Event is "opened" or "outcome")
                .ToLookup(r => r.Record.Text("id"));
            foreach (var parcel in pair)
                if (told[parcel.Id].LastOrDefault(r => IsAbout(r.Record, parcel)) is not { } record)
                    await MissAsync(parcel, now);
                else
                    await site.Spool.CommitAsync(
                        new() { Settle = [new(parcel.Id, StateOf(record.Record), parcel.Done)] }
                    );
        }
    }

    private static ReceiptState StateOf(Record record) =>
        record.Event == "outcome" && record.Number("final") == 1 ? ReceiptState.Settled : ReceiptState.Opened;

    private static bool IsAbout(Record record, Parcel parcel) =>
        record.Text("lit") == Convert.ToHexStringLower(parcel.Lit);

    private async Task MissAsync(Parcel parcel, DateTimeOffset now)
    {
        if (!await site.Spool.CommitAsync(new() { Miss = new(parcel.Id, now), Entries = witness.Overdue(parcel) }))
            return; // its receipt has come
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

    /// <summary>A parcel whose envelope cannot be opened any more holds up no other.</summary>
    private async Task TryGiveUpAsync(Parcel parcel, DateTimeOffset now)
    {
        try
        {
            await GiveUpAsync(parcel);
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException or FormatException)
        {
            await LaterAsync(parcel, now);
            site.Log.Write(
                "receipt-never",
                ("id", parcel.Id),
                ("alarm", true),
                ("to", parcel.Domain),
                ("why", e.Message),
                ("do", "its sender cannot be told: see that all keys are in keys.directory; it is tried again")
            );
        }
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
        var isMissed = await site.Spool.CommitAsync(
            new()
            {
                Miss = new(parcel.Id, null),
                Add = notice is null
                    ? []
                    : [ownMail.Report(header.Sender.Domain, header.MailFrom, notice.Value, parcel.ReportLeaves)],
            }
        );
        if (!isMissed)
            return; // its receipt has come
        site.Log.Write(
            "receipt-never",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("notice", notice is not null),
            ("reply", reply)
        );
    }
}
