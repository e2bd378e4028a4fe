using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>
/// The doctor on two real gateways that find each other by MX, on port 25 of loopback addresses:
/// <code>  gateway A 127.0.53.21:25  &lt;->  gateway B 127.0.53.22:25      DNS: nsd + unbound  </code>
/// </summary>
public sealed class DoctorTests
{
    [Fact]
    public async Task The_doctor_follows_the_chain_to_the_partners_greeting_and_an_echo_comes_back()
    {
        Need.Root(); // port 25
        await using var operators = await Operators.SetUpAsync(more: company =>
            $"\ngw.{company}.example. A 127.0.53.2{(company == "a" ? 1 : 2)}\n"
        );
        foreach (var (company, partner) in new[] { ("a", "b"), ("b", "a") })
            operators.Change(
                company,
                c =>
                {
                    c["listen"] = new JsonObject
                    {
                        ["outbound"] = new JsonObject { ["address"] = "127.0.0.1:0" },
                        ["inbound"] = new JsonObject
                        {
                            ["address"] = $"127.0.53.2{(company == "a" ? 1 : 2)}:25",
                            ["tls"] = new JsonObject(),
                        },
                    };
                    // a server that answers; nothing is delivered here
                    c["deliver"] = new JsonObject { ["local"] = $"127.0.53.2{(company == "a" ? 2 : 1)}:25" };
                    c["policy"] = new JsonObject
                    {
                        ["partners"] = new JsonObject
                        {
                            [$"{partner}.example"] = new JsonObject { ["echo"] = company == "b" },
                        },
                    };
                }
            );
        await using var a = new Daemon(Run.Gateway, ["run", "--config", operators.Config("a")]);
        await using (var b = new Daemon(Run.Gateway, ["run", "--config", operators.Config("b")]))
        {
            await a.WaitForAsync("armed=true");
            await b.WaitForAsync("armed=true");
            var own = (await Run.PgpTunnelAsync("doctor", "--config", operators.Config("a"))).Expect(0).Text;
            Assert.DoesNotContain("warning", own);
            foreach (
                var part in new[]
                {
                    ". is signed (RSASHA256), signatures until",
                    "example is signed (ECDSAP256SHA256)",
                    "a.example is signed",
                    "mode enforce",
                    "is usable",
                    "gw.a.example [127.0.53.21] answers: gw.a.example",
                    "STARTTLS works",
                }
            )
                Assert.Contains(part, own);
            var report = JsonDocument
                .Parse(
                    (
                        await Run.PgpTunnelAsync(
                            "doctor",
                            "b.example",
                            "--echo",
                            "--json",
                            "--config",
                            operators.Config("a")
                        )
                    )
                        .Expect(0)
                        .Output
                )
                .RootElement;
            Assert.True(report.GetProperty("ok").GetBoolean());
            var findings = report.GetProperty("domains")[0].GetProperty("findings").EnumerateArray().ToList();
            Assert.True(findings.TrueForAll(f => f.GetProperty("level").GetString() == "ok"), report.ToString());
            Assert.Contains("came back: answered by", findings[^1].GetProperty("what").GetString());
            // B is not allowed to ask A
            var refused = (await Run.PgpTunnelAsync("doctor", "a.example", "--echo", "--config", operators.Config("b")))
                .Expect(0)
                .Text;
            Assert.Contains("failed: 550 5.7.1 a.example answers no echo of b.example", refused);
            await b.StopAsync();
        }
        var gone = (await Run.PgpTunnelAsync("doctor", "b.example", "--config", operators.Config("a"))).Expect(65).Text;
        Assert.Contains("wrong    smtp", gone);
        var insecure = (await Run.PgpTunnelAsync("doctor", "ins.example", "--config", operators.Config("a")))
            .Expect(65)
            .Text;
        Assert.Contains("ins.example is not signed", insecure);
        Assert.Contains(
            "expired at",
            (await Run.PgpTunnelAsync("doctor", "expired.example", "--config", operators.Config("a"))).Expect(65).Text
        );
        Assert.Contains(
            "wrong    deliver.local",
            (await Run.PgpTunnelAsync("doctor", "--config", operators.Config("a"))).Expect(65).Text
        ); // B's address is silent now
        (await Run.PgpTunnelAsync("doctor", "--echo", "--config", operators.Config("a"))).Expect(64);
    }
}
