using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>
/// What an operator gets wrong, and what breaks under the gateway: a clear line, the right exit code or reply, nothing lost.
/// </summary>
public sealed partial class FaultTests
{
    private const string Message = "Subject: x\r\n\r\nbody\r\n";

    private static async Task<Finished> FailingRunAsync(Lab lab, int code)
    {
        var finished = (await Run.ProgramAsync(Run.Gateway, ["run", "--config", lab.Config])).Expect(code);
        Assert.StartsWith("pgptunnel: ", finished.Error);
        return finished;
    }

    [Fact]
    public async Task Every_mistake_in_the_configuration_is_named()
    {
        await using var lab = await Lab.CreateAsync();
        lab.Change(c =>
        {
            c["listn"] = new JsonObject();
            c["policy"] = new JsonObject
            {
                ["default"] = "always",
                ["partners"] = new JsonObject { ["b.example"] = new JsonObject { ["fingerprint"] = "abc" } },
            };
            c["limits"] = new JsonObject { ["memory"] = "lots" };
        });
        foreach (
            var error in new[]
            {
                (await FailingRunAsync(lab, 78)).Error,
                (await lab.PgpTunnelAsync("config", "check")).Expect(78).Error,
            }
        )
        {
            Assert.Contains("listn: unknown key; did you mean listen?", error);
            Assert.Contains("policy.default: 'always' is none of never, prefer, require, require-verified", error);
            Assert.Contains("policy.partners.b.example.fingerprint: 'abc'", error);
            Assert.Contains("limits.memory: must be a whole number", error);
        }
        var json = JsonDocument
            .Parse((await lab.PgpTunnelAsync("config", "check", "--json")).Expect(78).Output)
            .RootElement;
        Assert.False(json.GetProperty("ok").GetBoolean());
        Assert.Equal(4, json.GetProperty("mistakes").GetArrayLength());
        await File.WriteAllTextAsync(lab.Config, "{ not json");
        await FailingRunAsync(lab, 78);
        File.Delete(lab.Config);
        Assert.Contains(lab.Config, (await FailingRunAsync(lab, 78)).Error);
    }

    [Fact]
    public async Task Keys_that_are_missing_readable_by_others_or_protected_are_named()
    {
        await using var lab = await Lab.CreateAsync();
        var key = Directory.EnumerateFiles(Path.Combine(lab.Directory, "a", "keys"), "*.key").Single();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Assert.Contains("chmod 600", (await FailingRunAsync(lab, 78)).Error);
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(key, "nonsense");
        Assert.Contains(key, (await FailingRunAsync(lab, 78)).Error);
        File.Delete(key);
        Assert.Contains("key generate", (await FailingRunAsync(lab, 78)).Error);
        // a passphrase protects what generate, import and backup write
        await File.WriteAllTextAsync(Path.Combine(lab.Directory, "a", "passphrase"), "correct horse\n");
        lab.Change(c => c["keys"] = new JsonObject { ["passphraseFile"] = "passphrase" });
        File.Delete(key.Replace(".key", ".revocation"));
        (await lab.PgpTunnelAsync("key", "generate")).Expect(0);
        (await lab.PgpTunnelAsync("key", "list")).Expect(0);
        var backup = Path.Combine(lab.Directory, "backup.asc");
        (await lab.PgpTunnelAsync("key", "backup", backup)).Expect(0);
        (await lab.PgpTunnelAsync("key", "backup", backup)).Expect(73);
        lab.Change(c => c["keys"] = new JsonObject());
        Assert.Contains("passphrase", (await FailingRunAsync(lab, 78)).Error);
        lab.Change(c => c["keys"] = new JsonObject { ["passphraseFile"] = "passphrase", ["directory"] = "restored" });
        (await lab.PgpTunnelAsync("key", "import", backup)).Expect(0);
        (await lab.PgpTunnelAsync("key", "import", backup)).Expect(73);
        (await lab.PgpTunnelAsync("key", "list")).Expect(0);
    }

    [Fact]
    public async Task Busy_ports_and_spools_are_named()
    {
        await using var lab = await Lab.CreateAsync();
        await using var first = await lab.StartAsync();
        Assert.Contains("in use by another running gateway", (await FailingRunAsync(lab, 73)).Error);
        var status = (await lab.PgpTunnelAsync("status")).Expect(0).Text;
        Assert.Contains($"running, pid {first.Id}", status);
        Assert.Contains("is in no backup", (await lab.PgpTunnelAsync("status", "--check")).Expect(1).Text);
        (await lab.PgpTunnelAsync("key", "backup", Path.Combine(lab.Directory, "keys.asc"))).Expect(0);
        Assert.StartsWith("PGPTUNNEL OK - 0 queued", (await lab.PgpTunnelAsync("status", "--check")).Expect(0).Text);
        lab.Change(c =>
        {
            c["spool"] = "sqlite:other.db";
            c["listen"]!["outbound"]!["address"] = Lab.Outbound(first).ToString();
        });
        Assert.Contains($"cannot listen on {Lab.Outbound(first)}", (await FailingRunAsync(lab, 69)).Error);
        lab.Change(c => c["spool"] = "sqlite:/nonexistent/spool.db");
        Assert.Contains("/nonexistent/spool.db", (await FailingRunAsync(lab, 73)).Error);
        await File.WriteAllBytesAsync(Path.Combine(lab.Directory, "a", "bad.db"), new byte[8192]);
        File.WriteAllText(
            Path.Combine(lab.Directory, "a", "bad.db"),
            "this is not a database, whatever it is called; it only has to be long enough to look like a page of one"
        );
        lab.Change(c => c["spool"] = "sqlite:bad.db");
        Assert.Contains("bad.db", (await FailingRunAsync(lab, 73)).Error);
        Assert.Equal(0, await first.StopAsync());
        lab.Change(c => c["spool"] = "sqlite:spool.db");
        Assert.Contains("not running", (await lab.PgpTunnelAsync("status")).Expect(69).Text);
        Assert.StartsWith(
            "PGPTUNNEL CRITICAL - the gateway does not run",
            (await lab.PgpTunnelAsync("status", "--check")).Expect(2).Text
        );
        lab.Change(c => c["spool"] = "sqlite:bad.db");
        Assert.StartsWith("PGPTUNNEL UNKNOWN - ", (await lab.PgpTunnelAsync("status", "--check")).Expect(3).Text);
    }

    [Fact]
    public async Task Dead_dns_is_no_reason_to_exit_and_nothing_goes_out()
    {
        await using var lab = await Lab.CreateAsync();
        lab.Forge = (_, _, _) => new(2, [], []);
        await using var gateway = await lab.StartAsync();
        Assert.Contains("armed=false", gateway.Log);
        foreach (var to in new[] { "<bob@b.example>", "<eve@plain.example>" })
            Assert.StartsWith("451 4.4.3", (await Lab.SendAsync(Lab.Outbound(gateway), to, Message))!.ToString());
        Assert.Empty(lab.Relayed);
        lab.Change(c => c["dns"]!["resolvers"] = new JsonArray("127.0.0.1:1"));
        await using var deaf = await StartOtherAsync(lab);
        Assert.StartsWith(
            "451 4.4.3",
            (await Lab.SendAsync(Lab.Outbound(deaf), "<eve@plain.example>", Message))!.ToString()
        );
        Assert.Contains("no resolver answers", deaf.Log);
    }

    private static async Task<Daemon> StartOtherAsync(Lab lab)
    {
        lab.Change(c => c["spool"] = "sqlite:other.db");
        return await lab.StartAsync();
    }

    [Fact]
    public async Task A_dead_relay_keeps_mail_and_the_queue_shows_it()
    {
        await using var lab = await Lab.CreateAsync();
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var relay = lab.Relayed; // the working one stays in the configuration's history
        lab.Change(c => c["deliver"]!["relay"] = closed.LocalEndpoint.ToString());
        closed.Stop();
        await using var gateway = await lab.StartAsync();
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
        await gateway.WaitForAsync("event=delivery-deferred");
        var parcel = JsonDocument
            .Parse((await lab.PgpTunnelAsync("queue", "list", "--json")).Expect(0).Output)
            .RootElement.GetProperty("parcels")[0];
        Assert.Equal(
            ("b.example", "gateway", "4.4.1"),
            (
                parcel.GetProperty("domain").GetString(),
                parcel.GetProperty("route").GetString(),
                parcel.GetProperty("status").GetString()
            )
        );
        Assert.Equal(
            ("temporary", "127.0.0.1"),
            (parcel.GetProperty("class").GetString(), parcel.GetProperty("host").GetString())
        );
        var id = parcel.GetProperty("id").GetString()!;
        var shown = (await lab.PgpTunnelAsync("queue", "show", id)).Expect(0).Text;
        Assert.Contains("<alice@a.example>", shown);
        Assert.Contains("4.4.1 (temporary) of 127.0.0.1", shown);
        (await lab.PgpTunnelAsync("queue", "hold", id)).Expect(0);
        Assert.Contains("held", (await lab.PgpTunnelAsync("queue", "list")).Expect(0).Text);
        foreach (
            var asked in new[] { "--to b.example", "--to <Bob@B.example>", "--from alice@a.example", "--older 0s" }
        )
            Assert.Contains(id, (await lab.PgpTunnelAsync(["queue", "list", .. asked.Split(' ')])).Expect(0).Text);
        foreach (var other in new[] { "--to c.example", "--from carol@a.example", "--older 2h", "--older 2026-01-01" })
            Assert.Contains(
                "no such",
                (await lab.PgpTunnelAsync(["queue", "list", .. other.Split(' ')])).Expect(0).Text
            );
        foreach (var wrong in new[] { "--to nonsense..", "--older soon", "--older -2h" })
            (await lab.PgpTunnelAsync(["queue", "list", .. wrong.Split(' ')])).Expect(64);
        (await lab.PgpTunnelAsync("queue", "release", id)).Expect(0);
        (await lab.PgpTunnelAsync("queue", "retry", "--domain", "b.example")).Expect(0);
        (await lab.PgpTunnelAsync("queue", "drop", id)).Expect(64);
        (await lab.PgpTunnelAsync("queue", "drop", id, "--yes")).Expect(0);
        Assert.Equal("the queue is empty", (await lab.PgpTunnelAsync("queue", "list")).Expect(0).Text.Trim());
        (await lab.PgpTunnelAsync("queue", "drop", id, "--yes")).Expect(65);
        Assert.Empty(relay);
    }

    [Fact]
    public async Task What_roots_commands_make_belongs_to_the_owner_of_its_folder()
    {
        Need.Root();
        await using var lab = await Lab.CreateAsync();
        var folder = Path.Combine(lab.Directory, "a");
        (await Run.ProgramAsync("chown", ["nobody", folder])).Expect(0);
        (await lab.PgpTunnelAsync("queue", "list")).Expect(0);
        (await lab.PgpTunnelAsync("queue", "export", Path.Combine(lab.Directory, "rescued"))).Expect(0);
        (await lab.PgpTunnelAsync("queue", "import", Path.Combine(lab.Directory, "rescued"))).Expect(0);
        foreach (var made in new[] { "spool.db", "spool.db.bodies", "spool.db.lock" })
            Assert.Equal(
                "nobody",
                (await Run.ProgramAsync("stat", ["-c", "%U", Path.Combine(folder, made)])).Expect(0).Text.Trim()
            );
    }

    [Fact]
    public async Task Filters_refuse_what_will_not_open()
    {
        await using var lab = await Lab.CreateAsync();
        Task<Finished> Filter(string verb, byte[] input, params string[] more) =>
            Run.ProgramAsync(
                Run.Gateway,
                [verb, "--config", Path.Combine(lab.Directory, verb == "open" ? "b" : "a", "pgptunnel.json"), .. more],
                input
            );
        var sealedMessage = (
            await Filter(
                "seal",
                "Subject: x\r\n\r\nbody\r\n"u8.ToArray(),
                "--from",
                "alice@a.example",
                "--to",
                "bob@b.example"
            )
        )
            .Expect(0)
            .Output;
        Assert.Equal(Message, (await Filter("open", sealedMessage)).Expect(0).Text);
        var output = Path.Combine(lab.Directory, "opened.eml");
        var verdict = JsonDocument
            .Parse((await Filter("open", sealedMessage, "--json", "--output", output)).Expect(0).Output)
            .RootElement;
        Assert.True(verdict.GetProperty("verified").GetBoolean());
        Assert.Equal("a.example", verdict.GetProperty("sender").GetString());
        Assert.Equal(Message, await File.ReadAllTextAsync(output));
        Assert.Equal(Message, (await Filter("open", sealedMessage)).Expect(0).Text); // no replay store is asked
        var broken = (byte[])sealedMessage.Clone();
        broken[broken.Length / 2] = (byte)(broken[broken.Length / 2] == 'A' ? 'B' : 'A');
        var refused = (await Filter("open", broken)).Expect(65);
        Assert.Empty(refused.Output);
        Assert.Contains("550 5.7.5", refused.Error);
        (await Filter("open", "no message"u8.ToArray())).Expect(65);
        (
            await Filter(
                "seal",
                "Subject: x\n\nbody\n"u8.ToArray(),
                "--from",
                "alice@a.example",
                "--to",
                "bob@b.example"
            )
        ).Expect(65);
        (
            await Filter(
                "seal",
                "Subject: x\r\n\r\nbody\r\n"u8.ToArray(),
                "--from",
                "alice@a.example",
                "--to",
                "eve@plain.example"
            )
        ).Expect(77);
    }
}
