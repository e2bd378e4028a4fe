using System.Collections.Concurrent;
using System.Text;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Takes parcels from the spool when their time has come: decides again, sends, and acts on the reply: done, later, or a notice. The
/// three routes are in <c>Delivery.Routes.cs</c>. What a crash interrupts is tried again after restart.
/// </summary>
internal sealed partial class Delivery(Settings settings, Decisions decisions, Peers peers, Routes routes, SmtpSender sender, Parcels parcels, Echoes echoes, Alarms alarms, ClockWatch clock, Spool spool, EventLog log, TimeProvider time)
{
    private const int AtOnce = 100, AtOnceLocal = 20, AtOncePerDestination = 5;

    /// <summary>
    /// Attempts at once to destinations that have not taken anything yet, one each, and among them to those that could not be reached
    /// last time: a server that accepts and says nothing holds its place for minutes, and the living need theirs.
    /// </summary>
    private const int MostDestinations = 100_000, AtOnceUnproven = 75, AtOnceTroubled = 20;

    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1), PurgeEvery = TimeSpan.FromHours(1), TokenLife = TimeSpan.FromDays(14);

    private readonly ConcurrentDictionary<string, (Parcel Parcel, Task Attempt)> _inFlight = new();
    private readonly ConcurrentDictionary<(ParcelRoute, string), bool> _reached = new(); // by the last attempt that was sent; absent = none yet

    /// <summary>Runs until cancelled; attempts in hand then go on until <paramref name="abort"/>.</summary>
    public async Task RunAsync(CancellationToken stop, CancellationToken abort)
    {
        var lastPurge = DateTimeOffset.MinValue;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                clock.Look();
                if ((time.GetUtcNow() - lastPurge).Duration() >= PurgeEvery)
                {
                    lastPurge = time.GetUtcNow();
                    if (_reached.Count > MostDestinations)
                        _reached.Clear();
                    await spool.UsedAsync(lastPurge);
                    if (!clock.IsInDoubt)
                        await spool.PurgeAsync(lastPurge);
                }
                foreach (var parcel in Next())
                    Start(parcel, abort);
            }
            catch (Exception e) when (e is SpoolException or Microsoft.Data.Sqlite.SqliteException)
            {
                log.Write("spool-error", ("why", e.Message), ("do", "see that the spool's disk has room and is healthy; mail waits"));
            }
            try
            {
                await spool.WaitAsync(Poll, stop);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
        await Task.WhenAll(_inFlight.Values.Select(f => f.Attempt));
    }

    /// <summary>
    /// Due parcels that are not in flight, within the limits in all and per destination. Local delivery has slots of its own: dead
    /// destinations out in the world never hold up opened mail.
    /// </summary>
    private List<Parcel> Next()
    {
        var flying = _inFlight.Values.Select(f => f.Parcel).ToList();
        int Room(bool local) => (local ? AtOnceLocal : AtOnce) - flying.Count(p => p.Route == ParcelRoute.Local == local);
        IEnumerable<Parcel> Waiting(bool local) => Room(local) <= 0 ? [] : spool.Due(time.GetUtcNow(), settings.Configuration.Retry.Longest, local, 2 * AtOncePerDestination, 4 * AtOnce).Where(p => !_inFlight.ContainsKey(p.Id))
            .GroupBy(p => (p.Route, p.Domain)).SelectMany(g => g.Take((local || Proven(g.Key) ? AtOncePerDestination : 1) - flying.Count(f => (f.Route, f.Domain) == g.Key))).OrderBy(p => p.Next).Take(Room(local));
        var (unproven, troubled) = (flying.Count(p => !Proven((p.Route, p.Domain))), flying.Count(p => Troubled((p.Route, p.Domain))));
        // Each attempt holds its parcel several times over; one is always let through, however large.
        var (chosen, octets) = (new List<Parcel>(), flying.Sum(p => p.Octets));
        foreach (var parcel in Waiting(true).Concat(Waiting(false)))
        {
            var destination = (parcel.Route, parcel.Domain);
            if (parcel.Route != ParcelRoute.Local && ((!Proven(destination) && unproven >= AtOnceUnproven) || (Troubled(destination) && troubled >= AtOnceTroubled)))
                continue;
            if (octets > 0 && octets + parcel.Octets > settings.Configuration.Memory / 16)
                continue;
            chosen.Add(parcel);
            unproven += Proven(destination) ? 0 : 1;
            troubled += Troubled(destination) ? 1 : 0;
            octets += parcel.Octets;
        }
        return chosen;
    }

    private bool Proven((ParcelRoute, string) destination) => destination.Item1 == ParcelRoute.Local || (_reached.TryGetValue(destination, out var reached) && reached);

    private bool Troubled((ParcelRoute, string) destination) => _reached.TryGetValue(destination, out var reached) && !reached;

    private void Start(Parcel parcel, CancellationToken abort)
    {
        var ready = new TaskCompletionSource();
        _inFlight[parcel.Id] = (parcel, Run());
        ready.SetResult();

        async Task Run()
        {
            await ready.Task;
            await Task.Yield();
            try
            {
                await AttemptAsync(parcel, abort);
            }
            catch (OperationCanceledException)
            {
                // Going down while the spool would not take the outcome.
            }
            finally
            {
                _inFlight.TryRemove(parcel.Id, out _);
                spool.Signal(); // its place is free
            }
        }
    }

    /// <summary>One attempt; whatever happens, the parcel is settled or tried again.</summary>
    /// <param name="listed">The parcel as the list of due ones had it: an attempt that ended since may have changed it.</param>
    private async Task AttemptAsync(Parcel listed, CancellationToken cancel)
    {
        var parcel = listed;
        try
        {
            // Read anew while it counts as in flight: only now nobody else settles it. It may be handed over, held or dropped by now.
            if (spool.Find(listed.Id) is not { State: ParcelState.Queued } current || !Spool.IsDue(current, time.GetUtcNow(), settings.Configuration.Retry.Longest) || spool.Load(listed.Id) is not { Body.Length: > 0 } content)
                return;
            parcel = current;
            await (parcel.Route switch
            {
                ParcelRoute.Gateway => ToGatewayAsync(parcel, content, cancel),
                ParcelRoute.World => ToWorldAsync(parcel, content, cancel),
                _ => ToLocalAsync(parcel, content, cancel),
            });
        }
        catch (OperationCanceledException)
        {
            // Going down: the parcel stays as it is in the spool.
        }
        catch (SmtpUnavailableException e)
        {
            await LaterAsync(parcel, e.Reply, cancel);
        }
        catch (Exception e) when (e is OpenPgpException or NoKeyException)
        {
            await LaterAsync(parcel, new SmtpReply(451, "4.3.5", $"the parcel does not open: {e.Message}; is a key missing from keys.directory?"), cancel);
        }
        catch (Exception e)
        {
            log.Write("error", ("id", parcel.Id), ("why", e.ToString()));
            await LaterAsync(parcel, new SmtpReply(451, "4.3.0", $"internal error: {e.Message}"), cancel);
        }
    }

    /// <summary>Tries again with growing pauses, tells of a long delay once, gives up when the time is over.</summary>
    private async Task LaterAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        var retry = settings.Configuration.Retry;
        var age = time.GetUtcNow() - parcel.Created;
        var pause = TimeSpan.FromTicks(Math.Min(retry.Longest.Ticks, retry.First.Ticks << Math.Min(parcel.Attempts, 20)));
        var next = parcel with { Attempts = parcel.Attempts + 1, Next = time.GetUtcNow() + pause, Status = reply.Status, Delayed = parcel.Delayed || age >= retry.DelayNotice };
        try
        {
            if (reply.IsPermanent || (age >= retry.GiveUp && !clock.IsInDoubt))
            {
                await FailAsync(parcel, reply.IsPermanent ? reply : new SmtpReply(550, "5.4.7", $"given up after {retry.GiveUp:c}; last: {reply}"), cancel);
                return;
            }
            if (next.Delayed && !parcel.Delayed && parcel.Form != ParcelForm.Received)
                await TellDelayAsync(parcel, reply, cancel);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A notice needs the parcel opened. Where that fails the parcel still waits in the spool, and a person must look.
            log.Write("stuck", ("id", parcel.Id), ("alarm", true), ("why", e.Message), ("do", $"is a key missing from keys.directory? 'pgptunnel queue show {parcel.Id}'"));
            next = next with { Next = time.GetUtcNow() + retry.Longest, Delayed = parcel.Delayed };
        }
        await PersistAsync(() => spool.UpdateAsync(next), parcel, cancel);
        log.Write("delivery-deferred", ("id", parcel.Id), ("to", Towards(parcel)), ("attempts", next.Attempts), ("next", InnerHeader.Time(next.Next)), ("reply", reply));
    }

    /// <summary>
    /// Writes an outcome down, however long the spool refuses. Until then the parcel counts as in flight: it is not sent again because
    /// a disk is full.
    /// </summary>
    private async Task PersistAsync(Func<Task> write, Parcel parcel, CancellationToken cancel)
    {
        for (var pause = Poll; ; pause = TimeSpan.FromSeconds(Math.Min(60, 2 * pause.TotalSeconds)))
        {
            try
            {
                await write();
                return;
            }
            catch (SpoolException e)
            {
                log.Write("spool-error", ("id", parcel.Id), ("alarm", true), ("why", e.Message), ("do", "see that the spool's disk has room and is healthy; what was sent is written down as soon as it can be"));
                await Task.Delay(pause, cancel);
            }
        }
    }

    private async Task TellDelayAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        if (spool.Load(parcel.Id) is not { } content)
            return;
        var (header, message) = parcels.Open(parcel, content);
        if (Notice.Build(settings.Configuration, NoticeAction.Delayed, header.MailFrom, [.. Open(parcel, header).Select(r => (r, reply))], [message], parcel.Created, null) is { } notice)
            await PersistAsync(() => spool.AddAsync([KeepNotice(header, notice)], null), parcel, cancel);
    }

    private static string Towards(Parcel parcel) => parcel.Route == ParcelRoute.Local ? "local" : parcel.Domain;

    private static IEnumerable<ForwardPath> Open(Parcel parcel, InnerHeader header) => header.RcptTo.Where((_, i) => !parcel.Done.Contains(i));

    /// <summary>The whole parcel has failed: a notice to its sender takes its place, or, where none may be sent, a person must look.</summary>
    private async Task FailAsync(Parcel parcel, SmtpReply reply, CancellationToken cancel)
    {
        var content = spool.Load(parcel.Id);
        if (content is null)
            return;
        var (header, message) = parcels.Open(parcel, content);
        var failed = Open(parcel, header).Select(r => (r, reply)).ToList();
        if (parcel.Route == ParcelRoute.Local)
        {
            await SettleLocalAsync(parcel, header, message, failed, new HashSet<int>(Enumerable.Range(0, header.RcptTo.Count)), [reply], [], cancel);
            return;
        }
        if (header.Kind == ParcelKind.Echo)
            await PersistAsync(() => echoes.OutcomeAsync(parcel.Id, $"failed: {reply}"), parcel, cancel);
        var notice = Notice.Build(settings.Configuration, NoticeAction.Failed, header.MailFrom, failed, [message], parcel.Created, null);
        await PersistAsync(() => spool.ReplaceAsync(parcel.Id, notice is null ? [] : [KeepNotice(header, notice.Value)]), parcel, cancel);
        log.Write("failed", ("id", parcel.Id), ("to", parcel.Domain), ("notice", notice is not null), ("reply", reply));
    }

    /// <summary>A notice to one of our own users, by way of our mail server.</summary>
    private (Parcel, ParcelContent) KeepNotice(InnerHeader about, ReadOnlyMemory<byte> notice) => parcels.Keep(ParcelRoute.Local, about.Sender.Domain, about.Sender.Domain,
        new ReversePath((Mailbox?)null, SmtpUtf8: about.MailFrom.SmtpUtf8), [new ForwardPath(about.MailFrom.Mailbox!, "NEVER")], [notice], false, false);

    private static ReadOnlyMemory<byte> Mark(Endpoint? endpoint) =>
        Encoding.ASCII.GetBytes(string.Concat(endpoint?.Mark.Select(m => $"{m.Key}: {m.Value}\r\n") ?? []));

    /// <summary>Tries the servers in order until one gives a verdict.</summary>
    private async Task<SmtpReplies> SendAsync(Parcel parcel, Endpoint? endpoint, string domain, ReversePath from, IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> message, CancellationToken cancel)
    {
        try
        {
            SmtpUnavailableException? last = null;
            foreach (var target in await routes.FindAsync(endpoint, domain, cancel))
            {
                try
                {
                    var replies = await sender.SendAsync(target, from, to, message, cancel);
                    _reached[(parcel.Route, parcel.Domain)] = true;
                    return replies;
                }
                catch (SmtpUnavailableException e) when (!e.AfterContent)
                {
                    last = e;
                }
            }
            throw last!;
        }
        catch (SmtpUnavailableException)
        {
            _reached[(parcel.Route, parcel.Domain)] = false;
            throw;
        }
    }
}
