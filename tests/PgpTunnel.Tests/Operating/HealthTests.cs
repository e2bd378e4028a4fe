namespace PgpTunnel.Tests;

/// <summary>What a monitor reads: one line, whose code is the worst of what is wrong.</summary>
public sealed class HealthTests
{
    private static readonly DateTimeOffset Now = new(2026, 9, 1, 12, 0, 0, TimeSpan.Zero);

    private static StatusView Status(bool running = true, string? missing = null) =>
        new(running, running ? 7 : null, null, null, null, missing is null, "f")
        {
            Domains = [new("a.example", missing is null, missing)],
        };

    private static async Task<HealthView> OfAsync(StatusView status, Func<Spool, Task>? before = null)
    {
        await using var pair = await Pair.CreateAsync();
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        if (before is not null)
            await before(spool);
        var view = status with { Queue = QueueCounts.Of(spool.Counts()) };
        return HealthView.Of(view, pair.A.Configuration, spool, Now);
    }

    private static (Parcel, ParcelContent) Waiting(string id, TimeSpan age, ParcelState state = ParcelState.Queued) =>
        (
            SpoolTests.Waiting(id, Now - age) with
            {
                State = state,
                Next = Now.AddDays(1),
            },
            new ParcelContent(new byte[] { 1 }, [2], [3])
        );

    [Fact]
    public async Task All_is_well()
    {
        var health = await OfAsync(
            Status(),
            s => s.CommitAsync(new() { Add = [Waiting("a", TimeSpan.FromMinutes(2))] })
        );
        Assert.Equal(HealthLevel.Ok, health.Level);
        Assert.Equal(
            "PGPTUNNEL OK - 1 queued, 0 held, 0 awaited, 0 overdue, 0 alarms | queued=1;;;0 held=0;;;0 oldest=120s;;;0 "
                + "awaited=0;;;0 overdue=0;;;0 alarms=0;;;0",
            health.ToString()
        );
    }

    [Theory]
    [InlineData("old", HealthLevel.Warning, "mail waits since 2026-09-01T07:00:00Z")]
    [InlineData("held", HealthLevel.Warning, "1 parcel(s) held")]
    [InlineData("overdue", HealthLevel.Warning, "1 receipt(s) overdue")]
    [InlineData("alarm", HealthLevel.Critical, "1 partner(s) with an alarm, whose mail waits: b.example")]
    public async Task What_waits_for_somebody_is_said(string what, HealthLevel level, string why)
    {
        var health = await OfAsync(
            Status(),
            async spool =>
            {
                var parcel = Waiting(
                    "a",
                    TimeSpan.FromHours(5),
                    what == "held" ? ParcelState.Held : ParcelState.Queued
                );
                if (what != "alarm")
                    await spool.CommitAsync(
                        new() { Add = [(parcel.Item1 with { Receipt = ReceiptState.Asked }, parcel.Item2)] }
                    );
                else
                    await spool.CommitAsync(
                        new() { Peer = new("b.example", record => record with { Alarm = "another key" }) }
                    );
                if (what != "overdue")
                    return;
                await spool.CommitAsync(new() { HandOver = new("a", Now.AddDays(9), "mx", Now) });
                await spool.CommitAsync(new() { Miss = new("a", Now.AddHours(1)) });
            }
        );
        Assert.Equal(level, health.Level);
        Assert.Equal([why], health.Findings);
    }

    [Fact]
    public async Task The_worst_comes_first_and_is_the_level()
    {
        var health = await OfAsync(
            Status(running: false, missing: "no | key\nis published"),
            s => s.CommitAsync(new() { Add = [Waiting("a", TimeSpan.FromHours(5))] })
        );
        Assert.Equal(HealthLevel.Critical, health.Level);
        Assert.StartsWith(
            "PGPTUNNEL CRITICAL - the gateway does not run; a.example is not armed: no / key is published; mail waits since",
            health.ToString()
        );
        Assert.Single(health.ToString().Split('\n'));
        Assert.Equal(2, health.ToString().Split('|').Length);
    }
}
