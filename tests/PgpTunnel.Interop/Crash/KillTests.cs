using System.Globalization;

namespace PgpTunnel.Interop;

/// <summary>
/// The gateway killed at the n-th system call of accepting a message that matters (writes, syncs, the reply), for every n until none is
/// left: whatever was answered 250 is there after restart, whole.
/// </summary>
public sealed class KillTests
{
    [Fact]
    public async Task Killed_between_any_two_steps_of_accepting_nothing_answered_is_lost()
    {
        var strace = Need.Program("strace");
        await using var lab = await Lab.CreateAsync();
        var (answered, killed) = (new List<string>(), 0);
        for (var n = 1; n <= 60; n++)
        {
            await using var gateway = await lab.StartAsync();
            var address = Lab.Outbound(gateway);
            await using var tracer = new Daemon(strace, ["-f", "-p", gateway.Id.ToString(CultureInfo.InvariantCulture), "-o", "/dev/null", "-e", "trace=pwrite64,write,fsync,fdatasync,sendmsg,sendto",
                "-e", string.Create(CultureInfo.InvariantCulture, $"inject=pwrite64,fsync,fdatasync,sendmsg,sendto:signal=SIGKILL:when={n}")]);
            await tracer.WaitForAsync("attached");
            var message = $"Subject: message {n}\r\n\r\nbody {n}\r\n";
            var reply = await Lab.SendAsync(address, "<bob@b.example>", message);
            if (reply is { Code: 250 })
                answered.Add(message);
            try
            {
                // It may die later, while it delivers: that must lose nothing either.
                await Wait.UntilAsync(() => gateway.HasExited || lab.OpenRelayed().Contains(message), () => "", 5);
            }
            catch (Xunit.Sdk.FailException)
            {
            }
            if (!gateway.HasExited)
                break; // no n-th call any more: tracer and gateway are killed as they go out of scope
            killed++;
        }
        Assert.True(killed > 5, $"only {killed} kills: the enumeration did not work");
        await using var last = await lab.StartAsync();
        await Wait.UntilAsync(() => answered.All(lab.OpenRelayed().Contains), () => $"{answered.Count} answered, missing: {string.Join(", ", answered.Except(lab.OpenRelayed()))}\n{last.Log}", 30);
        Assert.All(lab.OpenRelayed(), m => Assert.Matches("^Subject: message (\\d+)\r\n\r\nbody \\1\r\n$", m));
        await last.StopAsync();
    }
}
