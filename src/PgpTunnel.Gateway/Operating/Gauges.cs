using System.Diagnostics.Metrics;

namespace PgpTunnel;

/// <summary>
/// How a running gateway stands, as monitors read it: looked at when one asks, and not more often than every few seconds.
/// </summary>
internal sealed class Gauges : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    /// <param name="Oldest">When the oldest that waits came.</param>
    private sealed record Numbers(
        DateTimeOffset At,
        IReadOnlyDictionary<ParcelState, (long Count, DateTimeOffset Oldest)> Parcels,
        (long Count, DateTimeOffset? Oldest) Awaited,
        long Overdue,
        int Alarms
    );

    private readonly Meter _meter = new(Metrics.MeterName);
    private readonly Spool _spool;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private Numbers? _last;

    public Gauges(Settings settings, Spool spool, Arming arming, TimeProvider time)
    {
        (_spool, _time) = (spool, time);
        _meter.CreateObservableGauge("pgptunnel.queue.parcels", Parcels, "{parcel}", "Parcels in the spool, by state.");
        _meter.CreateObservableGauge(
            "pgptunnel.queue.oldest",
            Oldest,
            "s",
            "How long the oldest that is queued waits."
        );
        _meter.CreateObservableGauge(
            "pgptunnel.receipts.awaited",
            () => Now().Awaited.Count,
            "{receipt}",
            "Receipts awaited."
        );
        _meter.CreateObservableGauge(
            "pgptunnel.receipts.overdue",
            () => Now().Overdue,
            "{receipt}",
            "Receipts overdue."
        );
        _meter.CreateObservableGauge(
            "pgptunnel.partners.alarmed",
            () => Now().Alarms,
            "{partner}",
            "Partners under an alarm, whose mail waits."
        );
        _meter.CreateObservableGauge(
            "pgptunnel.armed",
            () =>
                settings.Configuration.Domains.Select(d => new Measurement<int>(
                    arming.State(d).IsArmed ? 1 : 0,
                    new KeyValuePair<string, object?>("domain", d)
                )),
            "{domain}",
            "1 where partners can find and trust the key of a domain of ours, else 0."
        );
    }

    private IEnumerable<Measurement<long>> Parcels() =>
        new[] { ParcelState.Queued, ParcelState.Held, ParcelState.Handed }.Select(state => new Measurement<long>(
            Now().Parcels.GetValueOrDefault(state).Count,
            new KeyValuePair<string, object?>("state", state.ToString().ToLowerInvariant())
        ));

    private double Oldest() =>
        Now() is var numbers && numbers.Parcels.TryGetValue(ParcelState.Queued, out var queued)
            ? Math.Max(0, (numbers.At - queued.Oldest).TotalSeconds)
            : 0;

    private Numbers Now()
    {
        lock (_lock)
        {
            var now = _time.GetUtcNow();
            if (_last is null || (now - _last.At).Duration() >= Pause)
                _last = new(now, _spool.Counts(), _spool.Awaited(), _spool.OverdueCount(), _spool.PeersInAlarm().Count);
            return _last;
        }
    }

    public void Dispose() => _meter.Dispose();
}
