using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>Disks that are full.</summary>
public sealed partial class FaultTests
{
    private static readonly string Large =
        "Subject: large\r\n\r\n" + string.Concat(Enumerable.Repeat("a line of the large message\r\n", 100_000));

    [Fact]
    public async Task A_full_disk_takes_no_mail_and_recovers()
    {
        await using var lab = await Lab.CreateAsync();
        await using var disk = await SmallDisk.MountAsync(lab, "size=2m");
        await using var gateway = await lab.StartAsync();
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
        await Wait.UntilAsync(() => lab.OpenRelayed().Count == 1, () => gateway.Log);
        Assert.StartsWith(
            "452 4.3.1 the disk of the spool is full",
            (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Large))!.ToString()
        );
        await gateway.WaitForAsync("make room");
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
        await Wait.UntilAsync(() => lab.OpenRelayed().Count == 2, () => gateway.Log);
        Assert.All(lab.OpenRelayed(), m => Assert.Equal(Message, m));
        Assert.Equal(0, await gateway.StopAsync());
    }

    [Fact]
    public async Task Without_inodes_small_mail_still_flows_large_mail_waits_outside_and_a_start_says_what_is_wrong()
    {
        await using var lab = await Lab.CreateAsync();
        await using var disk = await SmallDisk.MountAsync(lab, "size=64m,nr_inodes=12");
        lab.Change(c => c["deliver"]!["relay"] = "127.0.0.1:1");
        await using (var gateway = await lab.StartAsync())
        {
            disk.TakeInodes();
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
            await gateway.WaitForAsync("event=delivery-deferred");
            Assert.StartsWith(
                "452 4.3.1 the disk of the spool is full",
                (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Large))!.ToString()
            );
            disk.GiveInodesBack();
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Large))!.Code);
            Assert.Equal(0, await gateway.StopAsync());
        }
        disk.TakeInodes();
        Assert.Contains("spool.db", (await FailingRunAsync(lab, 73)).Error);
        disk.GiveInodesBack();
        await using var again = await lab.StartAsync();
        Assert.Contains("b.example", (await lab.PgpTunnelAsync("queue", "list")).Expect(0).Text);
        Assert.Contains("2 parcel(s), each opens", (await lab.PgpTunnelAsync("queue", "check")).Expect(0).Text);
        Assert.Equal(0, await again.StopAsync());
    }

    /// <summary>
    /// What may not be looked at is neither absent nor damaged: a map without its partners would send their mail past the gateway.
    /// </summary>
    [Fact]
    public async Task A_spool_that_may_not_be_looked_at_is_named_by_every_command()
    {
        Need.Root();
        await using var lab = await Lab.CreateAsync();
        var folder = Path.Combine(lab.Directory, "a");
        Directory.CreateDirectory(Path.Combine(folder, "hidden"));
        lab.Change(c => c["spool"] = "sqlite:hidden/spool.db");
        (await lab.PgpTunnelAsync("queue", "list")).Expect(0);
        (await Run.ProgramAsync("chmod", ["-R", "a+rX", lab.Directory])).Expect(0);
        (await Run.ProgramAsync("chown", ["-R", "nobody", Path.Combine(folder, "keys")])).Expect(0);
        (await Run.ProgramAsync("chmod", ["-R", "go-rwx", Path.Combine(folder, "keys")])).Expect(0);
        (await Run.ProgramAsync("chmod", ["700", Path.Combine(folder, "hidden")])).Expect(0);
        string[][] commands =
        [
            ["postfix", "map"],
            ["partner", "list"],
            ["partner", "show", "b.example"],
            ["status"],
            ["queue", "list"],
            ["queue", "check"],
        ];
        foreach (var command in commands)
        {
            var said = await Run.ProgramAsync(
                "setpriv",
                ["--reuid=nobody", "--clear-groups", Run.Gateway, .. command, "--config", lab.Config]
            );
            Assert.Contains("this is user nobody", said.Expect(73).Error);
        }
    }
}
