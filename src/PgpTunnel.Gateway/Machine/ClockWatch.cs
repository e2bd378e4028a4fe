namespace PgpTunnel;

/// <summary>
/// Notices a wall clock that jumps (a dead battery, a virtual machine that slept, a mistyped date): by the monotonic clock while running,
/// and by the time the spool was last used at start. For a day after a jump nothing is given up or forgotten for its age, since nobody
/// knows yet which time is the right one. Whoever gives up, forgets or lets expire asks here, and the clock is looked at in that moment.
/// </summary>
internal sealed class ClockWatch(EventLog log, TimeProvider time)
{
    private static readonly TimeSpan Tolerance = TimeSpan.FromHours(1),
        LongestPause = TimeSpan.FromDays(2),
        Doubt = TimeSpan.FromDays(1);

    private readonly Lock _lock = new();
    private DateTimeOffset _wall = time.GetUtcNow(),
        _sure;
    private long _monotonic = time.GetTimestamp();
    private long? _doubtedSince;
    private int _jumps,
        _seen;

    /// <summary>While true, age is no reason for anything final.</summary>
    public bool IsInDoubt
    {
        get
        {
            using var locked = _lock.EnterScope();
            Look();
            return Doubted;
        }
    }

    /// <summary>The time that has certainly come: while the clock is in doubt, that of before its jump and what has passed since.</summary>
    public DateTimeOffset Sure
    {
        get
        {
            using var locked = _lock.EnterScope();
            Look();
            if (!Doubted)
                return _wall;
            var sure = _sure + time.GetElapsedTime(_doubtedSince!.Value);
            return sure < _wall ? sure : _wall;
        }
    }

    private bool Doubted => _doubtedSince is { } since && time.GetElapsedTime(since) < Doubt;

    /// <param name="last">When a gateway last used this spool; null = never.</param>
    public void Start(DateTimeOffset? last)
    {
        using var locked = _lock.EnterScope();
        if (last is { } then && !Follows(then, _wall))
            Jumped(then, _wall - then, "since the spool was last used");
    }

    /// <summary>Whether the time now may be right, by when a spool was last used; null = never.</summary>
    public static bool Follows(DateTimeOffset? last, DateTimeOffset now) =>
        last is not { } then || (now - then <= LongestPause && then - now <= Tolerance);

    /// <summary>
    /// The time that has certainly come, for a program that does not run all the time: where the clock does not follow when the spool was
    /// last used, that time.
    /// </summary>
    /// <param name="last">When a gateway last used the spool; null = never.</param>
    public static DateTimeOffset SureAfter(DateTimeOffset? last, DateTimeOffset now) =>
        Follows(last, now) ? now : last!.Value;

    /// <summary>True when the clock has jumped since this was last asked.</summary>
    public bool HasJumped()
    {
        using var locked = _lock.EnterScope();
        Look();
        var jumped = _jumps != _seen;
        _seen = _jumps;
        return jumped;
    }

    private void Look()
    {
        var (wall, monotonic) = (time.GetUtcNow(), time.GetTimestamp());
        var expected = _wall + time.GetElapsedTime(_monotonic, monotonic);
        (_wall, _monotonic) = (wall, monotonic);
        if ((wall - expected).Duration() > Tolerance)
            Jumped(
                Doubted ? _sure + time.GetElapsedTime(_doubtedSince!.Value) : expected,
                wall - expected,
                "while running"
            );
    }

    private void Jumped(DateTimeOffset sure, TimeSpan by, string when)
    {
        (_sure, _doubtedSince) = (sure, time.GetTimestamp());
        _jumps++;
        log.Write(
            "clock-jumped",
            ("alarm", true),
            ("by", by.ToString("c", System.Globalization.CultureInfo.InvariantCulture)),
            ("why", $"the clock has moved {when}"),
            ("do", "see that the clock is right; for a day nothing is given up or forgotten for its age")
        );
    }
}
