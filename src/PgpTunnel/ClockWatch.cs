namespace PgpTunnel;

/// <summary>
/// Notices a wall clock that jumps (a dead battery, a virtual machine that slept, a mistyped date): by the monotonic clock while running,
/// and by the time the spool was last used at start. For a day after a jump nothing is given up or forgotten for its age, since nobody
/// knows yet which time is the right one.
/// </summary>
internal sealed class ClockWatch(EventLog log, TimeProvider time)
{
    private static readonly TimeSpan Tolerance = TimeSpan.FromHours(1), LongestPause = TimeSpan.FromDays(2), Doubt = TimeSpan.FromDays(1);

    private DateTimeOffset _wall = time.GetUtcNow();
    private long _monotonic = time.GetTimestamp();
    private long? _doubtedSince;

    /// <summary>While true, age is no reason for anything final.</summary>
    public bool IsInDoubt => _doubtedSince is { } since && time.GetElapsedTime(since) < Doubt;

    /// <param name="last">When a gateway last used this spool; null = never.</param>
    public void Start(DateTimeOffset? last)
    {
        if (last is { } then && (_wall - then > LongestPause || then - _wall > Tolerance))
            Jumped(_wall - then, "since the spool was last used");
    }

    /// <summary>Called every second or so.</summary>
    /// <returns>True when the clock has jumped.</returns>
    public bool Look()
    {
        var (wall, monotonic) = (time.GetUtcNow(), time.GetTimestamp());
        var jump = wall - _wall - time.GetElapsedTime(_monotonic, monotonic);
        (_wall, _monotonic) = (wall, monotonic);
        if (jump.Duration() <= Tolerance)
            return false;
        Jumped(jump, "while running");
        return true;
    }

    private void Jumped(TimeSpan by, string when)
    {
        _doubtedSince = time.GetTimestamp();
        log.Write("clock-jumped", ("alarm", true), ("by", by.ToString("c", System.Globalization.CultureInfo.InvariantCulture)), ("why", $"the clock has moved {when}"),
            ("do", "see that the clock is right; for a day nothing is given up or forgotten for its age"));
    }
}
