using System.Diagnostics.Metrics;

namespace PgpTunnel;

/// <summary>
/// What can be watched from outside: every event of the log counted by its name, alarms by theirs, and the days left of what expires.
/// </summary>
internal static class Metrics
{
    public const string MeterName = "PgpTunnel";
    private static readonly Meter Meter = new(MeterName);
    private static readonly Counter<long> Events = Meter.CreateCounter<long>(
        "pgptunnel.events",
        "{event}",
        "Events of the log, by name."
    );
    private static readonly Counter<long> Alarms = Meter.CreateCounter<long>(
        "pgptunnel.alarms",
        "{alarm}",
        "Events that somebody should look at, by name."
    );
    private static IReadOnlyDictionary<string, double> _daysLeft = new Dictionary<string, double>();
    private static readonly ObservableGauge<double> DaysLeft = Meter.CreateObservableGauge(
        "pgptunnel.days_left",
        () => _daysLeft.Select(d => new Measurement<double>(d.Value, new KeyValuePair<string, object?>("what", d.Key))),
        "d",
        "Days until a key of ours expires."
    );
    private static readonly Gauge<long> Findings = Meter.CreateGauge<long>(
        "pgptunnel.self_check.findings",
        "{finding}",
        "Findings of the last self-check, by level."
    );

    private static readonly Histogram<double> HandoverTime = Meter.CreateHistogram(
        "pgptunnel.handover.duration",
        "s",
        "Time from the 250 for a message to the next server's.",
        advice: Buckets(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
    );
    private static readonly Histogram<double> ReceiptTime = Meter.CreateHistogram(
        "pgptunnel.receipt.duration",
        "s",
        "Time from the 250 for a message to the receipt that says what became of it.",
        advice: Buckets(5, 15, 30, 60, 90, 120, 300, 900, 3600, 14400, 86400)
    );

    private static InstrumentAdvice<double> Buckets(params double[] bounds) =>
        new() { HistogramBucketBoundaries = bounds };

    /// <param name="route"><c>gateway</c>, <c>world</c> or <c>local</c>.</param>
    public static void HandedOver(Enum route, TimeSpan after)
    {
        if (HandoverTime.Enabled)
            HandoverTime.Record(
                after.TotalSeconds,
                new KeyValuePair<string, object?>("route", route.ToString().ToLowerInvariant())
            );
    }

    public static void ReceiptCame(TimeSpan after) => ReceiptTime.Record(after.TotalSeconds);

    public static void Count(string name, bool alarm)
    {
        Events.Add(1, new KeyValuePair<string, object?>("event", name));
        if (alarm)
            Alarms.Add(1, new KeyValuePair<string, object?>("event", name));
    }

    /// <param name="days">Of each key that expires, by its fingerprint; what is not among them does not expire, or is no more.</param>
    public static void Expiries(IReadOnlyDictionary<string, double> days) => _daysLeft = days;

    /// <param name="level"><c>ok</c>, <c>warning</c> or <c>wrong</c>.</param>
    public static void SelfCheck(string domain, string level, int count) =>
        Findings.Record(
            count,
            new KeyValuePair<string, object?>("domain", domain),
            new KeyValuePair<string, object?>("level", level)
        );
}

/// <summary>Counts events.</summary>
internal sealed class EventCounts : EventListener
{
    protected override void Take(Event happened) => Metrics.Count(happened.Name, happened.IsAlarm);
}
