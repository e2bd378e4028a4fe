using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>A wall clock that jumps while the monotonic one goes on: whoever decides by age sees it in that very moment.</summary>
public sealed class ClockTests
{
    private static readonly DateTimeOffset Now = new(2026, 9, 1, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(400)]
    [InlineData(-400)]
    public void A_jump_is_seen_by_the_first_who_asks_and_doubted_for_a_day(int days)
    {
        var time = new JumpingClock(Now);
        var log = new LogText();
        var clock = new ClockWatch(new EventLog(log, false, time), time);
        time.Advance(TimeSpan.FromHours(3)); // time that passes is no jump, however seldom somebody asks
        Assert.False(clock.IsInDoubt);
        Assert.Equal(time.GetUtcNow(), clock.Sure);

        time.Jump(TimeSpan.FromDays(days));
        Assert.True(clock.IsInDoubt);
        Assert.True(clock.Sure <= Now.AddHours(3), $"{clock.Sure}");
        Assert.Contains("event=clock-jumped", log.ToString());
        time.Advance(TimeSpan.FromHours(23));
        Assert.True(clock.IsInDoubt);
        Assert.True(clock.Sure <= Now.AddHours(26), $"{clock.Sure}");
        time.Advance(TimeSpan.FromHours(2));
        Assert.False(clock.IsInDoubt);
        Assert.Equal(time.GetUtcNow(), clock.Sure);
    }

    /// <summary>The attempt comes together with the jump: nobody has looked at the clock in between.</summary>
    [Fact]
    public async Task An_attempt_in_the_moment_of_the_jump_gives_nothing_up()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: waits\r\n\r\nbody\r\n");
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        int Attempts() => pair.A.Log.ToString().Split("event=delivery-deferred").Length;
        foreach (var days in new[] { 400, -800, 400 })
        {
            var attempts = Attempts(); // where the signatures in DNS are of another year it ends before the hop
            pair.World.Time.Jump(TimeSpan.FromDays(days));
            pair.World.Time.Advance(TimeSpan.FromMinutes(10));
            await Wait.UntilAsync(
                () => Attempts() > attempts || pair.A.Log.ToString().Contains("event=failed"),
                () => $"no attempt after {days} days\n{pair.A.Log}"
            );
        }
        Assert.DoesNotContain("event=failed", pair.A.Log.ToString());
        Assert.All(
            pair.A.Received,
            s =>
                Assert.Contains(
                    "Subject: Mail to or from b.example waits",
                    System.Text.Encoding.ASCII.GetString(s.Message)
                )
        ); // no word of failure or delay
        pair.HopAnswer = _ => null;
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromMinutes(5));
                return pair.B.Received.Count == 1;
            },
            () => $"{pair.A.Log}\n{pair.B.Log}"
        );
    }

    /// <summary>What is gone for good goes only when the time has surely come.</summary>
    [Fact]
    public async Task A_jump_destroys_no_old_subkey_and_lifts_no_hold()
    {
        await using var pair = await Pair.CreateAsync();
        var b = pair.B.Configuration;
        SubkeyRotation.TakeStep(b, null, null, pair.World.Time.GetUtcNow(), byHand: true);
        Assert.Contains(
            "is published",
            SubkeyRotation.TakeStep(b, null, KeyRing.Load(b).Active.EncryptionFingerprint, pair.World.Time.GetUtcNow())
        );
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(
                spool,
                "b.example",
                r =>
                    r with
                    {
                        Override = new PartnerOverride("hold", pair.World.Time.GetUtcNow().AddDays(30), "a test"),
                    }
            );
        Assert.Contains(
            "held by an administrator",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: s\r\n\r\nbody\r\n"))[0]
                .ToString()
        );
        int Checks() => pair.B.Log.ToString().Split("event=self-check").Length;
        await Wait.UntilAsync(() => Checks() > 1, () => pair.B.Log.ToString());

        var checks = Checks();
        pair.World.Time.Jump(TimeSpan.FromDays(60));
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromSeconds(10));
                return Checks() > checks && pair.A.Log.ToString().Contains("event=clock-jumped");
            },
            () => pair.B.Log.ToString()
        );
        pair.World.Time.Advance(TimeSpan.FromMinutes(10));
        Assert.Contains(
            "held by an administrator",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: s\r\n\r\nbody\r\n"))[0]
                .ToString()
        );
        Assert.True(KeyRing.Load(b).Active.HasOldEncryption);
        Assert.DoesNotContain("destroyed", pair.B.Log.ToString());
    }
}
