using System.Globalization;

namespace PgpTunnel;

/// <summary>By the exit codes of the Monitoring Plugins' guidelines, which Nagios, Icinga and their kind read.</summary>
public enum HealthLevel
{
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// <param name="Unit">Of the guidelines: <c>s</c>, or empty for a number.</param>
internal sealed record HealthMeasure(string Name, long Value, string Unit);

/// <summary>A gateway as a monitor asks for it: whether somebody must look, and why.</summary>
/// <param name="Findings">What is wrong, the worst first; none = all is well.</param>
internal sealed record HealthView(
    HealthLevel Level,
    IReadOnlyList<string> Findings,
    IReadOnlyList<HealthMeasure> Measures
)
{
    private const int MostNamed = 5;

    /// <param name="status">Of now.</param>
    /// <param name="spool">Null = no gateway has run yet.</param>
    public static HealthView Of(StatusView status, GatewayConfiguration configuration, Spool? spool, DateTimeOffset now)
    {
        var (alarms, overdue) = (spool?.PeersInAlarm() ?? [], spool?.OverdueCount() ?? 0);
        var waits = Since(status.Queue.Oldest, now);
        List<string> critical =
        [
            .. status.Running ? [] : new[] { "the gateway does not run" },
            .. status
                .Domains.Where(d => d is { Armed: false, IsKnown: true })
                .Select(d => $"{d.Domain} is not armed: {d.Missing}"),
            .. Named(alarms, "partner(s) with an alarm, whose mail waits"),
        ];
        List<string> warnings =
        [
            .. status
                .Domains.Where(d => !d.IsKnown)
                .Select(d => $"whether {d.Domain} is armed is not known: {d.Missing}"),
            .. waits >= configuration.Retry.DelayNotice
                ? [Invariant($"mail waits since {status.Queue.Oldest}")]
                : Array.Empty<string>(),
            .. status.Queue.Held > 0 ? [Invariant($"{status.Queue.Held} parcel(s) held")] : Array.Empty<string>(),
            .. status.NotInBackup is { } key ? [$"the key {key} is in no backup"] : Array.Empty<string>(),
            .. overdue > 0 ? [Invariant($"{overdue} receipt(s) overdue")] : Array.Empty<string>(),
        ];
        return new(
            critical.Count > 0 ? HealthLevel.Critical
                : warnings.Count > 0 ? HealthLevel.Warning
                : HealthLevel.Ok,
            [.. critical, .. warnings],
            [
                new("queued", status.Queue.Queued, ""),
                new("held", status.Queue.Held, ""),
                new("oldest", (long)waits.TotalSeconds, "s"),
                new("awaited", status.Receipts.Awaited, ""),
                new("overdue", overdue, ""),
                new("alarms", alarms.Count, ""),
            ]
        );
    }

    /// <summary>One line: the level, what is wrong, and behind a bar the measures.</summary>
    public override string ToString()
    {
        var text = Findings.Count > 0 ? string.Join("; ", Findings) : Words();
        var measures = string.Join(' ', Measures.Select(m => Invariant($"{m.Name}={m.Value}{m.Unit};;;0")));
        var line = MessageText.OneLine($"PGPTUNNEL {Level.ToString().ToUpperInvariant()} - {text}", 1000);
        return line.Replace('|', '/') + (measures.Length > 0 ? $" | {measures}" : "");
    }

    private string Words() =>
        string.Join(", ", Measures.Where(m => m.Unit.Length == 0).Select(m => Invariant($"{m.Value} {m.Name}")));

    private static IEnumerable<string> Named(IReadOnlyList<string> domains, string what) =>
        domains.Count == 0
            ? []
            :
            [
                Invariant($"{domains.Count} {what}: {string.Join(", ", domains.Take(MostNamed))}")
                    + (domains.Count > MostNamed ? ", …" : ""),
            ];

    private static TimeSpan Since(string? time, DateTimeOffset now) =>
        time is not null && DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, out var then) && now > then
            ? now - then
            : TimeSpan.Zero;

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
