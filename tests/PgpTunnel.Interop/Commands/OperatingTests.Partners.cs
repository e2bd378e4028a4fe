using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>Partners, as an administrator deals with them.</summary>
public sealed partial class OperatingTests
{
    [Fact]
    public async Task Partners_are_verified_overridden_and_forgotten_while_the_gateway_runs()
    {
        await using var lab = await Lab.CreateAsync();
        await using var gateway = await lab.StartAsync();
        var server = Lab.Outbound(gateway);
        Assert.Equal(250, (await Lab.SendAsync(server, "<bob@b.example>", Message))!.Code);
        var show = JsonDocument
            .Parse((await lab.PgpTunnelAsync("partner", "show", "b.example", "--json")).Expect(0).Output)
            .RootElement;
        Assert.True(show.GetProperty("partner").GetProperty("enforceRemembered").GetBoolean());
        var fingerprint = show.GetProperty("offered")[0].GetString()!;
        (await lab.PgpTunnelAsync("partner", "verify", "b.example", new string('0', 40))).Expect(65);
        (await lab.PgpTunnelAsync("partner", "verify", "b.example", new string('0', 40), "--force")).Expect(0);
        Assert.StartsWith("451 4.7.5", (await Lab.SendAsync(server, "<bob@b.example>", Message))!.ToString());
        (await lab.PgpTunnelAsync("partner", "verify", "b.example", new string('0', 40), "--remove")).Expect(0);
        (await lab.PgpTunnelAsync("partner", "verify", "b.example", new string('0', 40), "--remove")).Expect(65);
        Assert.Equal(250, (await Lab.SendAsync(server, "<bob@b.example>", Message))!.Code);
        (await lab.PgpTunnelAsync("partner", "verify", "b.example", fingerprint)).Expect(0);
        Assert.Equal(250, (await Lab.SendAsync(server, "<bob@b.example>", Message))!.Code);
        Assert.Contains("verified", (await lab.PgpTunnelAsync("partner", "list")).Expect(0).Text);
        var until = TimeProvider
            .System.GetUtcNow()
            .AddHours(1)
            .ToString("O", System.Globalization.CultureInfo.InvariantCulture);
        (
            await lab.PgpTunnelAsync(
                "partner",
                "override",
                "plain.example",
                "--hold",
                "--until",
                until,
                "--reason",
                "moving"
            )
        ).Expect(0);
        Assert.StartsWith(
            "451 4.7.5 held by an administrator",
            (await Lab.SendAsync(server, "<eve@plain.example>", Message))!.ToString()
        );
        (
            await lab.PgpTunnelAsync(
                "partner",
                "override",
                "b.example",
                "--clear",
                "--until",
                until,
                "--reason",
                "their gateway burnt down"
            )
        ).Expect(0);
        Assert.Contains("in clear for b.example", (await Lab.SendAsync(server, "<bob@b.example>", Message))!.Text);
        (
            await lab.PgpTunnelAsync(
                "partner",
                "override",
                "b.example",
                "--clear",
                "--until",
                "2099-01-01T00:00:00Z",
                "--reason",
                "x"
            )
        ).Expect(64);
        (await lab.PgpTunnelAsync("partner", "override", "b.example", "--until", until, "--reason", "x")).Expect(64);
        string[] end = ["partner", "override", "plain.example", "--end", "--reason", "they have moved"];
        (await lab.PgpTunnelAsync(end)).Expect(0);
        Assert.Equal(250, (await Lab.SendAsync(server, "<eve@plain.example>", Message))!.Code);
        (await lab.PgpTunnelAsync(end)).Expect(65);
        (await lab.PgpTunnelAsync([.. end, "--hold"])).Expect(64);
        (await lab.PgpTunnelAsync("partner", "forget", "b.example")).Expect(64);
        (await lab.PgpTunnelAsync("partner", "forget", "b.example", "--yes", "--reason", "two\nlines")).Expect(64);
        (await lab.PgpTunnelAsync("partner", "forget", "b.example", "--yes", "--reason", "they are gone")).Expect(0);
        (await lab.PgpTunnelAsync("partner", "forget", "b.example", "--yes")).Expect(65);
        var journal = System
            .Text.Json.JsonDocument.Parse((await lab.PgpTunnelAsync("journal", "--json")).Expect(0).Output)
            .RootElement.GetProperty("acts")
            .EnumerateArray();
        Assert.Contains(
            journal,
            a =>
                a.GetProperty("what").GetString() == "partner override clear"
                && a.GetProperty("subject").GetString() == "b.example"
                && a.GetProperty("who").GetString() == Environment.UserName
                && a.GetProperty("reason").GetString()!.EndsWith(": their gateway burnt down", StringComparison.Ordinal)
        );
        Assert.Matches(
            "partner forget +b\\.example +they are gone",
            (await lab.PgpTunnelAsync("journal")).Expect(0).Text
        );
        (await lab.PgpTunnelAsync("journal", "--since", "yesterday")).Expect(64);
        Assert.Contains(
            "nothing is on record",
            (await lab.PgpTunnelAsync("journal", "--since", "2099-01-01T00:00:00Z")).Expect(0).Text
        );
        Assert.Contains("sealed for b.example", (await Lab.SendAsync(server, "<bob@b.example>", Message))!.Text);
    }

    /// <summary>Which partners' mail Postfix must hand to the gateway: printed, read by Postfix, and compared with what it has.</summary>
    [Fact]
    public async Task The_transport_map_holds_the_partners_and_the_live_check_misses_those_that_are_not_in_it()
    {
        await using var lab = await Lab.CreateAsync();
        lab.Change(c =>
            c["policy"] = JsonNode.Parse(
                """
                { "partners": { "c.example": { "policy": "require" }, "never.example": { "policy": "never" },
                    "*.group.example": { "policy": "require" }, "*.quiet.example": { "policy": "never" } } }
                """
            )
        );
        await using var gateway = await lab.StartAsync();
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code); // b.example is remembered
        lab.Change(c => c["listen"]!["outbound"]!["address"] = "0.0.0.0:10025");
        var printed = (await lab.PgpTunnelAsync("postfix", "map")).Expect(0);
        var file = Path.Combine(lab.Directory, "pgptunnel_transport");
        await File.WriteAllBytesAsync(file, printed.Output);
        var json = JsonDocument
            .Parse((await lab.PgpTunnelAsync("postfix", "map", "--json")).Expect(0).Output)
            .RootElement;
        Assert.Equal(
            [".group.example", "b.example", "c.example"],
            json.GetProperty("domains").EnumerateArray().Select(d => d.GetString())
        );
        Assert.Equal("pgptunnel:[127.0.0.1]:10025", json.GetProperty("transport").GetString());
        foreach (
            var (domain, next) in new[]
            {
                ("b.example", "pgptunnel:[127.0.0.1]:10025\n"),
                ("c.example", "pgptunnel:[127.0.0.1]:10025\n"),
                (".group.example", "pgptunnel:[127.0.0.1]:10025\n"), // as Postfix asks for all below it
                ("group.example", ""),
                (".quiet.example", ""),
                ("never.example", ""),
                ("plain.example", ""),
            }
        )
            Assert.Equal(
                next,
                (await Run.ProgramAsync(Need.Program("postmap"), ["-q", domain, $"texthash:{file}"])).Text
            );

        var live = (await lab.PgpTunnelAsync("config", "check", "--live", "--transport", file)).Expect(0).Text;
        Assert.Contains("ok       deliver.local", live);
        Assert.Contains("ok       deliver.relay", live);
        Assert.DoesNotContain("transport", live);
        await File.WriteAllTextAsync(file, "# c.example pgptunnel:[127.0.0.1]:10025\nB.Example smtp:[192.0.2.1]\n");
        live = (await lab.PgpTunnelAsync("config", "check", "--live", "--transport", file)).Expect(0).Text;
        Assert.Contains(
            $"b.example is a partner, and {file} sends its mail to smtp:[192.0.2.1], not to pgptunnel:[127.0.0.1]:10025",
            live
        );
        Assert.Contains($"c.example is a partner and not in {file}", live);
        Assert.Contains(
            "cannot be read",
            (await lab.PgpTunnelAsync("config", "check", "--live", "--transport", file + ".none")).Expect(69).Text
        );
        lab.Change(c => c["deliver"]!["relay"] = "127.0.0.1:1");
        Assert.Contains(
            "wrong    deliver.relay",
            (await lab.PgpTunnelAsync("config", "check", "--live")).Expect(69).Text
        );
        lab.Change(c => c["listen"]!["outbound"] = null);
        Assert.Contains("listen.outbound", (await lab.PgpTunnelAsync("postfix", "map")).Expect(78).Error);
    }
}
