namespace PgpTunnel;

/// <summary>The section <c>retry</c>.</summary>
public sealed record RetryTimes(TimeSpan First, TimeSpan Longest, TimeSpan GiveUp, TimeSpan DelayNotice)
{
    internal static RetryTimes Read(ConfigurationNode root)
    {
        var retry = root.Section("retry");
        var times = new RetryTimes(
            retry.Time("first", TimeSpan.FromMinutes(1)),
            retry.Time("longest", TimeSpan.FromHours(1)),
            retry.Time("giveUp", TimeSpan.FromDays(5)),
            retry.Time("delayNotice", TimeSpan.FromHours(4))
        );
        if (times.First > times.Longest)
            retry.Mistake("first", "is longer than retry.longest");
        retry.Close();
        return times;
    }
}
