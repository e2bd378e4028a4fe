namespace PgpTunnel.Tests;

internal static class Wait
{
    /// <summary>
    /// For what comes at once on an idle machine, and must come on one that does thirty other things; only a failure takes that long.
    /// </summary>
    public static readonly TimeSpan Bound = TimeSpan.FromMinutes(5);

    public static async Task UntilAsync(Func<bool> condition, Func<string> complaint)
    {
        var deadline = Environment.TickCount64 + (long)Bound.TotalMilliseconds;
        while (!condition())
        {
            if (Environment.TickCount64 > deadline)
                Assert.Fail(complaint());
            await Task.Delay(20);
        }
    }
}
