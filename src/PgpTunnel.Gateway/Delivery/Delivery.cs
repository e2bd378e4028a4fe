using System.Collections.Concurrent;
using System.Diagnostics;

namespace PgpTunnel;

/// <summary>
/// Gives parcels in the spool their turn when their time has come: so many at once, fair to each destination. What is new has its turn at
/// once where nothing waits before it. What a crash interrupts is tried again after restart.
/// </summary>
internal sealed class Delivery(
    Site site,
    Parcels parcels,
    ClockWatch clock,
    Slots slots,
    Schedule schedule,
    Attempts attempts
) : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1),
        PurgeEvery = TimeSpan.FromHours(1);

    private readonly SemaphoreSlim _wake = new(0);

    /// <summary>
    /// Destinations with more due than they have slots: the next slot that one of them gives back goes to what waits there.
    /// </summary>
    private readonly ConcurrentDictionary<Destination, byte> _backlog = new();
    private readonly AtHand _atHand = new(() => site.Configuration.Limits.Memory / 16, parcels.GiveBack);
    private CancellationToken _abort;

    /// <summary>Runs until cancelled; attempts in hand then go on until <paramref name="abort"/>.</summary>
    public async Task RunAsync(CancellationToken stop, CancellationToken abort)
    {
        _abort = abort;
        site.Spool.Committed = Offer;
        var (lastPurge, polled, anew) = (DateTimeOffset.MinValue, 0L, true);
        while (!stop.IsCancellationRequested)
        {
            try
            {
                if (anew || Stopwatch.GetElapsedTime(polled) >= Poll)
                {
                    polled = Stopwatch.GetTimestamp();
                    // Commands write to the spool too, and a clock that has jumped puts everything in another order.
                    if (clock.HasJumped() | await site.Spool.ChangedElsewhereAsync() | anew)
                    {
                        schedule.Replace(site.Spool.Destinations());
                        _atHand.Clear();
                    }
                    anew = false;
                    if ((site.Time.GetUtcNow() - lastPurge).Duration() >= PurgeEvery)
                        await PurgeAsync(lastPurge = site.Time.GetUtcNow());
                }
                Serve();
            }
            catch (SpoolException e)
            {
                site.Log.Write("spool-error", ("why", e.Message), ("do", $"{SpoolException.Advice}; mail waits"));
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
        site.Spool.Committed = null;
        await slots.CloseAsync();
    }

    private async Task PurgeAsync(DateTimeOffset now)
    {
        _atHand.Clear();
        await site.Spool.UsedAsync(clock.Sure); // while the clock is in doubt, a time that is not
        if (!clock.IsInDoubt)
            await site.Spool.PurgeAsync(now);
    }

    /// <summary>A new parcel goes at once where a slot is free and nothing waits before it; its ciphertext is at hand still.</summary>
    private void Offer(Parcel parcel, ParcelContent content)
    {
        var destination = parcel.Destination;
        var behind = _backlog.ContainsKey(destination); // then it is looked at when a slot comes back
        if (!behind && !schedule.HasWaiting(slots.StandingOf(destination)) && slots.TryTake(parcel))
        {
            Start(parcel, content);
            return;
        }
        _atHand.Keep(parcel.Id, content);
        if (behind)
            return;
        schedule.Note(destination, parcel.Next);
        Wake();
    }

    /// <summary>A parcel in the spool is to have its turn.</summary>
    public void Note(Destination destination, DateTimeOffset at)
    {
        schedule.Note(destination, at);
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
        var now = site.Time.GetUtcNow();
        var far = now + 2 * site.Configuration.Retry.Longest; // no pause is longer
        schedule.Look(now, far);
        foreach (var standing in Enum.GetValues<Standing>())
            for (
                var left = schedule.Waiting(standing);
                left > 0 && slots.HasRoom(standing) && schedule.TryTake(standing, out var destination);
                left--
            )
                Serve(destination, now, far);
    }

    private void Serve(Destination destination, DateTimeOffset now, DateTimeOffset far)
    {
        _backlog.TryRemove(destination, out _); // before the spool is asked: what comes after that is not in the answer
        var most = slots.Flying(destination) + Slots.PerDestination + 1;
        var due = site.Spool.Due(destination, now, far, most);
        foreach (var parcel in due.Where(p => !slots.IsTaken(p.Id)))
        {
            if (slots.TryTake(parcel))
            {
                Start(parcel, null);
                continue;
            }
            _backlog[destination] = 0;
            if (slots.Flying(destination) == 0) // none of its own will make room for it
                schedule.Wait(destination);
            return;
        }
        if (due.Count >= most)
            schedule.Wait(destination);
        else if (site.Spool.NextDue(destination, now) is { } next)
            schedule.Note(destination, next);
    }

    private void Start(Parcel parcel, ParcelContent? content) =>
        Task.Run(async () =>
        {
            try
            {
                if (await attempts.MakeAsync(parcel, content ?? _atHand.Take(parcel.Id), _abort) is { } next)
                    schedule.Note(parcel.Destination, next);
            }
            catch (OperationCanceledException)
            {
                // Going down while the spool would not take the outcome.
            }
            finally
            {
                _atHand.Drop(parcel.Id);
                slots.Release(parcel);
                if (_backlog.ContainsKey(parcel.Destination))
                    schedule.Note(parcel.Destination, DateTimeOffset.MinValue);
                Wake();
            }
        });

    public void Dispose() => _wake.Dispose();
}
