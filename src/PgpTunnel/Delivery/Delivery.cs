using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using Destination = (PgpTunnel.ParcelRoute Route, string Domain);

namespace PgpTunnel;

/// <summary>
/// Takes parcels from the spool when their time has come: decides again, sends, and acts on the reply: done, later, or a notice. The
/// three routes are in <c>Delivery.Routes.cs</c>, what becomes of a parcel that did not go in <c>Delivery.Outcomes.cs</c>. What a crash
/// interrupts is tried again after restart.
/// </summary>
internal sealed partial class Delivery(Settings settings, Decisions decisions, Peers peers, NextHops hops, SmtpSender sender, Parcels parcels, OwnMail ownMail, Returns returns, Echoes echoes, Alarms alarms, ClockWatch clock, Slots slots, Spool spool, EventLog log, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1), PurgeEvery = TimeSpan.FromHours(1), TokenLife = TimeSpan.FromDays(14);

    private readonly Schedule _schedule = new(slots);
    private readonly SemaphoreSlim _wake = new(0);

    /// <summary>Destinations with more due than they have slots: the next slot that one of them gives back goes to what waits there.</summary>
    private readonly ConcurrentDictionary<Destination, byte> _backlog = new();
    private readonly AtHand _atHand = new(() => settings.Configuration.Memory / 16, parcels.GiveBack);
    private CancellationToken _abort;

    /// <summary>Runs until cancelled; attempts in hand then go on until <paramref name="abort"/>.</summary>
    public async Task RunAsync(CancellationToken stop, CancellationToken abort)
    {
        _abort = abort;
        spool.Committed = Offer;
        var (lastPurge, polled, anew) = (DateTimeOffset.MinValue, 0L, true);
        while (!stop.IsCancellationRequested)
        {
            try
            {
                if (anew || Stopwatch.GetElapsedTime(polled) >= Poll)
                {
                    polled = Stopwatch.GetTimestamp();
                    // Commands write to the spool too, and a clock that has jumped puts everything in another order.
                    if (clock.HasJumped() | await spool.ChangedElsewhereAsync() | anew)
                    {
                        _schedule.Replace(spool.Destinations());
                        _atHand.Clear();
                    }
                    anew = false;
                    if ((time.GetUtcNow() - lastPurge).Duration() >= PurgeEvery)
                        await PurgeAsync(lastPurge = time.GetUtcNow());
                }
                Serve();
            }
            catch (Exception e) when (e is SpoolException or Microsoft.Data.Sqlite.SqliteException)
            {
                log.Write("spool-error", ("why", e.Message), ("do", "see that the spool's disk has room and is healthy; mail waits"));
                anew = true;
            }
            try
            {
                await _wake.WaitAsync(Poll, stop);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
        spool.Committed = null;
        await slots.CloseAsync();
    }

    private async Task PurgeAsync(DateTimeOffset now)
    {
        _atHand.Clear();
        await spool.UsedAsync(now);
        if (!clock.IsInDoubt)
            await spool.PurgeAsync(now);
    }

    /// <summary>A new parcel goes at once where a slot is free and nothing waits before it; its ciphertext is at hand still.</summary>
    private void Offer(Parcel parcel, ParcelContent content)
    {
        var destination = (parcel.Route, parcel.Domain);
        var behind = _backlog.ContainsKey(destination); // then it is looked at when a slot comes back
        if (!behind && !_schedule.HasWaiting(slots.StandingOf(destination)) && slots.TryTake(parcel))
        {
            Start(parcel, content);
            return;
        }
        _atHand.Keep(parcel.Id, content);
        if (behind)
            return;
        _schedule.Note(destination, parcel.Next);
        Wake();
    }

    private void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    /// <summary>Gives free slots to what is due, destination by destination in the order in which they came due.</summary>
    private void Serve()
    {
        var now = time.GetUtcNow();
        var far = now + 2 * settings.Configuration.Retry.Longest; // no pause is longer
        _schedule.Look(now, far);
        foreach (var standing in Enum.GetValues<Standing>())
            for (var left = _schedule.Waiting(standing); left > 0 && slots.HasRoom(standing) && _schedule.TryTake(standing, out var destination); left--)
                Serve(destination, now, far);
    }

    private void Serve(Destination destination, DateTimeOffset now, DateTimeOffset far)
    {
        _backlog.TryRemove(destination, out _); // before the spool is asked: what comes after that is not in the answer
        var most = slots.Flying(destination) + Slots.PerDestination + 1;
        var due = spool.Due(destination.Route, destination.Domain, now, far, most);
        foreach (var parcel in due.Where(p => !slots.IsTaken(p.Id)))
        {
            if (slots.TryTake(parcel))
            {
                Start(parcel, null);
                continue;
            }
            _backlog[destination] = 0;
            if (slots.Flying(destination) == 0) // none of its own will make room for it
                _schedule.Wait(destination);
            return;
        }
        if (due.Count >= most)
            _schedule.Wait(destination);
        else if (spool.NextDue(destination.Route, destination.Domain, now) is { } next)
            _schedule.Note(destination, next);
    }

    private void Start(Parcel parcel, ParcelContent? content) => Task.Run(async () =>
    {
        try
        {
            await AttemptAsync(parcel, content, _abort);
        }
        catch (OperationCanceledException)
        {
            // Going down while the spool would not take the outcome.
        }
        finally
        {
            _atHand.Drop(parcel.Id);
            slots.Release(parcel);
            if (_backlog.ContainsKey((parcel.Route, parcel.Domain)))
                _schedule.Note((parcel.Route, parcel.Domain), DateTimeOffset.MinValue);
            Wake();
        }
    });

    /// <summary>One attempt; whatever happens, the parcel is settled or tried again.</summary>
    /// <param name="listed">The parcel as the list of due ones had it: an attempt that ended since may have changed it.</param>
    /// <param name="fresh">Its ciphertexts, when it has been taken just now; null = they are at hand or in the spool.</param>
    private async Task AttemptAsync(Parcel listed, ParcelContent? fresh, CancellationToken cancel)
    {
        var parcel = listed;
        var used = fresh;
        try
        {
            // Read anew while it has its slot: only now nobody else settles it. It may be sent, held or dropped by now, even one that is new:
            // the loop can have found it in the spool before it was offered here.
            used ??= _atHand.Take(listed.Id);
            var found = used is null ? spool.Load(listed.Id) : spool.Find(listed.Id) is { } row ? (row, used) : null;
            if (found is not ({ State: ParcelState.Queued } current, { Body.Length: > 0 } content))
                return;
            if (!IsDue(current))
            {
                _schedule.Note((current.Route, current.Domain), current.Next);
                return;
            }
            (parcel, used) = (current, content);
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
        catch (SpoolException e)
        {
            log.Write("spool-error", ("id", parcel.Id), ("alarm", true), ("why", e.Message), ("do", "see that the spool's disk is healthy, and 'pgptunnel queue check'; the parcel waits"));
            await LaterAsync(parcel, new SmtpReply(451, "4.3.0", "the gateway cannot read the message from its disk"), cancel);
        }
        catch (Exception e)
        {
            log.Write("error", ("id", parcel.Id), ("why", e.ToString()));
            await LaterAsync(parcel, new SmtpReply(451, "4.3.0", $"internal error: {e.Message}"), cancel);
        }
        finally
        {
            if (used is not null)
                parcels.GiveBack(used);
        }
    }

    private bool IsDue(Parcel parcel) => parcel.Next <= time.GetUtcNow() || parcel.Next > time.GetUtcNow() + 2 * settings.Configuration.Retry.Longest;

    private static ReadOnlyMemory<byte> Mark(Endpoint? endpoint) =>
        Encoding.ASCII.GetBytes(string.Concat(endpoint?.Mark.Select(m => $"{m.Key}: {m.Value}\r\n") ?? []));

    /// <summary>Tries the servers in order until one gives a verdict.</summary>
    private async Task<IReadOnlyList<SmtpReply>> SendAsync(Parcel parcel, Endpoint? endpoint, string domain, ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        try
        {
            SmtpUnavailableException? last = null;
            IReadOnlyList<SmtpReply>? refused = null;
            foreach (var target in await hops.FindAsync(parcel.Route, endpoint, domain, cancel))
            {
                try
                {
                    SmtpReply[] replies = [.. (await sender.SendAsync(target, from, to, message, cancel)).Select(r => r with { Server = target.Host })];
                    slots.Reached((parcel.Route, parcel.Domain), true);
                    // Where a refusal may bring clear text, one server does not speak for all.
                    if (!(parcel.Leaving == Leaving.ClearAfterTest && replies.All(r => r.IsPermanent)))
                        return replies;
                    refused = replies;
                }
                catch (SmtpUnavailableException e)
                {
                    last = new SmtpUnavailableException(e.Reply with { Server = target.Host }, e) { AfterContent = e.AfterContent };
                    if (e.AfterContent)
                        throw last;
                }
            }
            return last is null ? refused! : throw last;
        }
        catch (SmtpUnavailableException)
        {
            slots.Reached((parcel.Route, parcel.Domain), false);
            throw;
        }
    }

    public void Dispose() => _wake.Dispose();
}
