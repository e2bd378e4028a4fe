using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>What an operator does while the gateway runs: partners, keys, changed files; in words, in JSON, by exit code.</summary>
public sealed partial class OperatingTests
{
    private const string Message = "Subject: x\r\n\r\nbody\r\n";

    [Fact]
    public async Task Sighup_takes_over_what_changed_and_keeps_what_was_when_it_is_wrong()
    {
        await using var lab = await Lab.CreateAsync();
        await using var gateway = await lab.StartAsync();
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<eve@plain.example>", Message))!.Code);
        lab.Change(c => c["policy"] = new JsonObject { ["default"] = "require" });
        gateway.Signal("HUP");
        await gateway.WaitForAsync("event=reloaded");
        Assert.StartsWith(
            "550 5.7.10",
            (await Lab.SendAsync(Lab.Outbound(gateway), "<eve@plain.example>", Message))!.ToString()
        );
        lab.Change(c => c["policy"] = new JsonObject { ["default"] = "nonsense" });
        gateway.Signal("HUP");
        await gateway.WaitForAsync("event=reload-refused");
        Assert.StartsWith(
            "550 5.7.10",
            (await Lab.SendAsync(Lab.Outbound(gateway), "<eve@plain.example>", Message))!.ToString()
        );
        Assert.Equal(0, await gateway.StopAsync());
    }

    [Fact]
    public async Task Commands_report_in_json_and_by_exit_code()
    {
        await using var lab = await Lab.CreateAsync();
        JsonElement Json(Finished finished) => JsonDocument.Parse(finished.Output).RootElement;
        var lookup = Json((await lab.PgpTunnelAsync("dns", "lookup", "b.example", "--json")).Expect(0));
        Assert.Equal(
            ("Usable", "Secure", "enforce"),
            (
                lookup.GetProperty("class").GetString(),
                lookup.GetProperty("dnssec").GetString(),
                lookup.GetProperty("mode").GetString()
            )
        );
        Assert.Equal(
            "None",
            Json((await lab.PgpTunnelAsync("dns", "lookup", "plain.example", "--json")).Expect(65))
                .GetProperty("class")
                .GetString()
        );
        lab.Forge = (name, _, answer) => name.ToString() == "_pgptunnel.plain.example" ? new(2, [], []) : answer;
        Assert.Equal(
            "Temporary",
            Json((await lab.PgpTunnelAsync("dns", "lookup", "plain.example", "--json")).Expect(75))
                .GetProperty("class")
                .GetString()
        );
        lab.Forge = null;
        var policy = Json((await lab.PgpTunnelAsync("policy", "alice@a.example", "bob@b.example", "--json")).Expect(0));
        Assert.Equal(
            ("seal", "Usable", "Secure"),
            (
                policy.GetProperty("decision").GetString(),
                policy.GetProperty("class").GetString(),
                policy.GetProperty("dnssec").GetString()
            )
        );
        Assert.Equal(
            "clear",
            Json((await lab.PgpTunnelAsync("policy", "alice@a.example", "eve@plain.example", "--json")).Expect(0))
                .GetProperty("decision")
                .GetString()
        );
        lab.Change(c => c["policy"] = new JsonObject { ["default"] = "require" });
        Assert.StartsWith(
            "550 5.7.10",
            Json((await lab.PgpTunnelAsync("policy", "alice@a.example", "eve@plain.example", "--json")).Expect(77))
                .GetProperty("reply")
                .GetString()
        );
        var keys = Json((await lab.PgpTunnelAsync("key", "list", "--json")).Expect(0)).GetProperty("keys");
        Assert.Equal("Ed25519", keys[0].GetProperty("algorithm").GetString());
        Assert.True(
            Json((await lab.PgpTunnelAsync("config", "check", "--json")).Expect(0)).GetProperty("ok").GetBoolean()
        );
        Assert.Equal(
            4,
            Json((await lab.PgpTunnelAsync("dns", "records", "--format", "json")).Expect(0))
                .GetProperty("records")
                .GetArrayLength()
        );
        (await Run.PgpTunnelAsync("frobnicate")).Expect(64);
        (await Run.PgpTunnelAsync("init")).Expect(64);
        (await Run.PgpTunnelAsync("init", "--domain", "not a domain")).Expect(64);
        (await Run.PgpTunnelAsync("init", "--domain", "a.example", "--gateway", "gate@a.example")).Expect(64);
        Assert.Contains(
            "none of ed25519, p256, rsa3072",
            (await Run.PgpTunnelAsync("init", "--domain", "a.example", "--algorithm", "dsa")).Expect(64).Error
        );
        Assert.Equal(
            64,
            Json((await lab.PgpTunnelAsync("dns", "lookup", "not a domain", "--json")).Expect(64))
                .GetProperty("exitCode")
                .GetInt32()
        );
        foreach (var directory in new[] { Path.Combine(lab.Directory, "a"), "/proc/nothing" })
            (await Run.PgpTunnelAsync("init", "--domain", "a.example", "--directory", directory)).Expect(73);
        foreach (
            var command in new[]
            {
                "demo",
                "init",
                "run",
                "config check",
                "key list",
                "key generate",
                "key export",
                "key import",
                "key backup",
                "key rotate",
                "key retire",
                "key revoke",
                "partner list",
                "partner show",
                "partner verify",
                "partner forget",
                "partner override",
                "dns records",
                "dns lookup",
                "dns query",
                "policy",
                "seal",
                "open",
                "queue list",
                "queue show",
                "queue retry",
                "queue hold",
                "queue release",
                "queue drop",
                "status",
                "test",
                "trace",
            }
        )
            Assert.Contains("Example:", (await Run.PgpTunnelAsync([.. command.Split(' '), "--help"])).Expect(0).Text);
    }

    /// <summary>What goes into a web panel's three fields.</summary>
    [Fact]
    public async Task Records_for_panels_have_names_relative_to_the_zone_and_values_without_quotes()
    {
        await using var lab = await Lab.CreateAsync();
        var records = (await lab.PgpTunnelAsync("dns", "records", "--format", "panel"))
            .Expect(0)
            .Text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(r =>
                r.Split('\n', StringSplitOptions.RemoveEmptyEntries).ToDictionary(l => l.Split(' ')[0], l => l[7..])
            )
            .ToList();
        Assert.All(records, r => Assert.Equal("a.example", r["zone"]));
        var policy = records.Single(r => r["name"] == "_pgptunnel");
        Assert.Equal("TXT", policy["type"]);
        Assert.StartsWith("v=PGPT1; ", policy["value"]);
        Assert.DoesNotContain(records, r => r["value"].Contains('"') || r["name"].Contains("a.example"));
        Assert.Matches("^\\d+: fits 255, fits 1024, fits 4096$", policy["length"]);
        Assert.Contains(records, r => r["type"] == "OPENPGPKEY" && r["length"].Contains("more than 255"));
        Assert.Contains(
            records,
            r => r["type"] == "MX" && r["name"] == "pgptunnel" && r["note"].Contains("needs an A")
        );
        Assert.Contains(records, r => r["value"].StartsWith("v=spf1") && r["note"].Contains("include:"));
        // As TXT, and with the largest that they become.
        var texts = (await lab.PgpTunnelAsync("dns", "records", "--format", "panel-txt")).Expect(0).Text;
        Assert.DoesNotContain("OPENPGPKEY", texts);
        Assert.Matches("name   [0-9a-f]+\\._key\\._pgptunnel|value  v=PGPK1; p=", texts);
        Assert.Contains("fits 1024, but not after a rotation or a revocation", texts);
    }

    [Fact]
    public async Task A_key_that_expires_is_warned_of_ahead()
    {
        await using var lab = await Lab.CreateAsync();
        var home = Directory.CreateTempSubdirectory("pgptunnel-gpg-").FullName;
        Task<Finished> GpgAsync(params string[] arguments) =>
            Run.ProgramAsync(
                Need.Program("gpg"),
                ["--homedir", home, "--batch", "--passphrase", "", "--pinentry-mode", "loopback", .. arguments]
            );
        try
        {
            (await GpgAsync("--quick-gen-key", "pgptunnel@pgptunnel.a.example", "ed25519", "cert", "13d")).Expect(0);
            var fingerprint = (await GpgAsync("--list-keys", "--with-colons"))
                .Expect(0)
                .Text.Split('\n')
                .First(l => l.StartsWith("fpr", StringComparison.Ordinal))
                .Split(':')[9];
            (await GpgAsync("--quick-add-key", fingerprint, "ed25519", "sign", "13d")).Expect(0);
            (await GpgAsync("--quick-add-key", fingerprint, "cv25519", "encr", "13d")).Expect(0);
            var backup = Path.Combine(lab.Directory, "expiring.asc");
            await File.WriteAllBytesAsync(
                backup,
                (await GpgAsync("--armor", "--export-secret-keys", fingerprint)).Expect(0).Output
            );
            File.Delete(Directory.EnumerateFiles(Path.Combine(lab.Directory, "a", "keys"), "*.key").Single());
            (await lab.PgpTunnelAsync("key", "import", backup)).Expect(0);
            Assert.Contains("it expires", (await lab.PgpTunnelAsync("key", "list")).Expect(0).Text);
            await using var gateway = await lab.StartAsync();
            await gateway.WaitForAsync("event=key-expires");
            Assert.Matches(
                "event=key-expires key=" + fingerprint.ToLowerInvariant() + " alarm=true days=(13|12)",
                gateway.Log
            );
            Assert.Equal(0, await gateway.StopAsync());
        }
        finally
        {
            await Run.ProgramAsync("gpgconf", ["--homedir", home, "--kill", "all"]);
            Directory.Delete(home, true);
        }
    }

    [Fact]
    public async Task Keys_are_rotated_retired_and_revoked()
    {
        await using var lab = await Lab.CreateAsync();
        JsonElement Json(Finished finished) => JsonDocument.Parse(finished.Output).RootElement.Clone();
        string Policy(Finished records) => Json(records).GetProperty("records")[0].GetProperty("value").GetString()!;
        var old = Path.GetFileNameWithoutExtension(
            Directory.EnumerateFiles(Path.Combine(lab.Directory, "a", "keys"), "*.key").Single()
        );
        (await lab.PgpTunnelAsync("key", "retire", old)).Expect(77);
        (await lab.PgpTunnelAsync("key", "revoke", old, "--yes")).Expect(77);
        var rotate = Json((await lab.PgpTunnelAsync("key", "rotate", "--json")).Expect(0));
        var key = rotate.GetProperty("new").GetString()!;
        Assert.Equal((1, old), (rotate.GetProperty("step").GetInt32(), rotate.GetProperty("old").GetString()));
        Assert.Contains(
            $"fp={old},{key};",
            Policy((await lab.PgpTunnelAsync("dns", "records", "--format", "json")).Expect(0))
        );
        Assert.Contains("due from", (await lab.PgpTunnelAsync("key", "rotate")).Expect(75).Error);
        Assert.NotNull(
            Json((await lab.PgpTunnelAsync("key", "list", "--json")).Expect(0))
                .GetProperty("keys")[0]
                .GetProperty("nextDate")
                .GetString()
        );
        (await lab.PgpTunnelAsync("key", "retire", old)).Expect(77);
        (await lab.PgpTunnelAsync("key", "revoke", old[..12], "--yes")).Expect(64);
        (await lab.PgpTunnelAsync("key", "revoke", old[..16])).Expect(64);
        (await lab.PgpTunnelAsync("key", "revoke", old[..16], "--yes")).Expect(0);
        Assert.Contains(
            $"fp={key}; xfp={old};",
            Policy((await lab.PgpTunnelAsync("dns", "records", "--format", "json")).Expect(0))
        );
        Assert.Contains("revoked", (await lab.PgpTunnelAsync("key", "list")).Expect(0).Text);
        (await lab.PgpTunnelAsync("key", "revoke", "ffff", "--yes")).Expect(65);
        Assert.Contains("is revoked", (await lab.PgpTunnelAsync("key", "retire", old)).Expect(77).Error);
        Assert.Contains("at least 8 digits", (await lab.PgpTunnelAsync("key", "retire", key[..7])).Expect(64).Error);
        Assert.Contains(
            "Did you mean '--format'",
            (await lab.PgpTunnelAsync("dns", "records", "--fromat")).Expect(64).Error
        );
    }
}
