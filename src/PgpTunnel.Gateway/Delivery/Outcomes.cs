using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// What becomes of a parcel, written to the spool and from there on true: here of the parcel as a whole, in <c>Outcomes.Recipients.cs</c>
/// of its recipients one by one, in <c>Outcomes.Notices.cs</c> who is told that it is late or lost.
/// </summary>
internal sealed partial class Outcomes(
    Site site,
    Peers peers,
    Parcels parcels,
    OwnMail ownMail,
    Returns returns,
    Echoes echoes,
    Witness witness,
    ClockWatch clock,
    Schedule schedule
)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);

    /// <summary>The next server has the sealed parcel; its envelope stays for a bounce to its token.</summary>
    public async Task HandedOverAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        DateTimeOffset? overdue = parcel.Receipt switch
        {
            ReceiptState.Asked => site.Time.GetUtcNow() + site.Configuration.Receipts.Overdue,
            ReceiptState.Overdue => parcel.Overdue,
            _ => null,
        };
        await PersistAsync(
            new()
            {
                HandOver = new(parcel.Id, parcel.Expires + ParcelLife.Token, reply.Server ?? "", overdue),
                Entries =
                    parcel.Receipt == ReceiptState.Overdue
                        ? witness.Resent(parcel, reply)
                        : witness.Handed(parcel, reply),
            },
            parcel,
            cancel
        );
        if (parcel.Receipt != ReceiptState.Overdue)
            Metrics.HandedOver(parcel.Route, site.Time.GetUtcNow() - parcel.Created);
        site.Log.Write(
            "delivered",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("token", parcel.Token),
            ("reply", reply)
        );
    }

    /// <summary>Tries again with growing pauses, tells of a long delay once, gives up when the time is over.</summary>
    public async Task LaterAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        if (parcel.Receipt == ReceiptState.Overdue)
        {
            await HandBackAsync(parcel, reply, cancel);
            return;
        }
        var retry = site.Configuration.Retry;
        var age = clock.Sure - parcel.Created; // a clock that jumps delays nobody's mail
        var pause = TimeSpan.FromTicks(
            Math.Min(retry.Longest.Ticks, retry.First.Ticks << Math.Min(parcel.Attempts, 20))
        );
        var next = parcel with
        {
            Attempts = parcel.Attempts + 1,
            Next = site.Time.GetUtcNow() + pause,
            Status = reply.Status,
            Server = reply.Server ?? "",
            Delayed = parcel.Delayed || age >= retry.DelayNotice,
        };
        try
        {
            if (reply.IsPermanent || (age >= retry.GiveUp && !clock.IsInDoubt))
            {
                await FailAsync(
                    parcel,
                    reply.IsPermanent
                        ? reply
                        : new SmtpReply(550, "5.4.7", $"given up after {retry.GiveUp:c}; last: {reply}"),
                    cancel
                );
                return;
            }
            if (next.Delayed && !parcel.Delayed && parcel.Form != ParcelForm.Received)
                await TellDelayAsync(parcel, reply, cancel);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A notice needs the parcel opened. Where that fails the parcel still waits in the spool, and a person must look.
            site.Log.Write(
                "stuck",
                ("id", parcel.Id),
                ("alarm", true),
                ("why", e.Message),
                ("do", $"is a key missing from keys.directory? 'pgptunnel queue show {parcel.Id}'")
            );
            next = next with { Next = site.Time.GetUtcNow() + retry.Longest, Delayed = parcel.Delayed };
        }
        await PersistAsync(new() { Update = next }, parcel, cancel);
        schedule.Note(next.Destination, next.Next);
        site.Log.Write(
            "delivery-deferred",
            ("id", parcel.Id),
            ("to", Towards(parcel)),
            ("attempts", next.Attempts),
            ("next", InnerHeader.Time(next.Next)),
            ("reply", reply)
        );
    }

    /// <summary>
    /// A parcel that went again for want of a receipt, and was not taken this time: it has been handed over before, and stays so.
    /// </summary>
    private async Task HandBackAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        await PersistAsync(
            new() { HandOver = new(parcel.Id, parcel.Expires + ParcelLife.Token, parcel.Server, parcel.Overdue) },
            parcel,
            cancel
        );
        site.Log.Write(
            "resend-deferred",
            ("id", parcel.Id),
            ("to", parcel.Domain),
            ("next", parcel.Overdue is { } next ? InnerHeader.Time(next) : null),
            ("reply", reply)
        );
    }

    /// <summary>
    /// Writes an outcome down, however long the spool refuses. Until then the parcel counts as in flight: it is not sent again because
    /// a disk is full.
    /// </summary>
    /// <returns>False when a condition of it does not hold; nothing was written then.</returns>
    public async Task<bool> PersistAsync(SpoolChange outcome, Parcel parcel, CancellationToken cancel)
    {
        for (var pause = FirstPause; ; pause = TimeSpan.FromSeconds(Math.Min(60, 2 * pause.TotalSeconds)))
        {
            try
            {
                return await site.Spool.CommitAsync(outcome);
            }
            catch (SpoolException e)
            {
                site.Log.Write(
                    "spool-error",
                    ("id", parcel.Id),
                    ("alarm", true),
                    ("why", e.Message),
                    ("do", $"{SpoolException.Advice}; what was sent is written down as soon as it can be")
                );
                await Task.Delay(pause, cancel);
            }
        }
    }

    private static string Towards(Parcel parcel) => parcel.Route == ParcelRoute.Local ? "local" : parcel.Domain;

    /// <summary>Nobody can be told of its failure, so it is kept for a person to see.</summary>
    /// <param name="done">Recipients that are settled.</param>
    /// <param name="entries">What goes on record of those.</param>
    private async Task HoldAsync(
        Parcel parcel,
        SmtpReply reply,
        IReadOnlySet<int> done,
        CancellationToken cancel,
        IReadOnlyList<LogEntry>? entries = null
    )
    {
        await PersistAsync(
            new()
            {
                Update = parcel with
                {
                    State = ParcelState.Held,
                    Attempts = parcel.Attempts + 1,
                    Status = reply.Status,
                    Server = reply.Server ?? "",
                    Done = done,
                },
                Entries = entries ?? [],
            },
            parcel,
            cancel
        );
        site.Log.Write(
            "held",
            ("id", parcel.Id),
            ("alarm", true),
            ("reply", reply),
            ("do", $"it is refused and nobody can be told; 'pgptunnel queue show {parcel.Id}', then release or drop it")
        );
    }

    private const int RefusalsBeforeClear = 3;
    private static readonly TimeSpan RefusedBeforeClear = TimeSpan.FromHours(4);

    /// <summary>
    /// One refusal is no reason for clear text: whoever can spoof a hop, or has a bad hour, would have it. Several over hours, by all
    /// servers, are.
    /// </summary>
    public async Task RefusedTestAsync(Parcel parcel, ParcelContent content, SmtpReply reply, CancellationToken cancel)
    {
        var now = site.Time.GetUtcNow();
        var refused = parcel with { Refusals = parcel.Refusals + 1, RefusedSince = parcel.RefusedSince ?? now };
        if (
            refused.Refusals >= RefusalsBeforeClear
            && now - refused.RefusedSince >= RefusedBeforeClear
            && !clock.IsInDoubt
        )
            await ClearAfterTestAsync(parcel, content, reply, cancel);
        else
            await LaterAsync(
                refused,
                new SmtpReply(
                    451,
                    "4.7.5",
                    $"{parcel.Domain} only tests, and its gateway has refused {refused.Refusals} time(s): {reply}"
                ),
                cancel
            );
    }

    /// <summary>PROTOCOL.md 6: a domain that only tests, and a policy that only prefers, must not lose mail to the test.</summary>
    private async Task ClearAfterTestAsync(
        Parcel parcel,
        ParcelContent content,
        SmtpReply reply,
        CancellationToken cancel
    )
    {
        var (header, message) = parcels.Read(parcel, content);
        var (clear, kept) = parcels.Keep(
            ParcelRoute.World,
            parcel.Domain,
            new(header.Sender.Domain, header.MailFrom, header.RcptTo, [message], Leaving.ClearAfterTest)
            {
                Was = parcel.Id,
                Why = $"the domain only tests, and refused it: {reply.Code} {reply.Status}",
            }
        );
        if (!await PersistAsync(new() { Replace = parcel.Id, Add = [(clear.InPlaceOf(parcel), kept)] }, parcel, cancel))
            return; // it has arrived meanwhile, or was dropped
        site.Log.Write(
            "clear-after-test",
            ("id", clear.Id),
            ("was", parcel.Id),
            ("to", parcel.Domain),
            ("alarm", true),
            ("reply", reply),
            (
                "do",
                $"tell {parcel.Domain} that its gateway refuses what is sealed for it; 'require' in policy.partners "
                    + "keeps mail to it from going in clear"
            )
        );
    }
}
