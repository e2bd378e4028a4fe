using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Demo;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// A partner who asked for encryption loses its zone to somebody, in four ways, on real name servers:
/// <code>
///   test -> gateway A (this process, clock of the test) -> relay (this test)
///                |
///        unbound (not validating) -> nsd: root, example, a.example, b.example (records live for one second)
/// </code>
/// Mail waits, the alarm is raised, nothing goes in clear, and mail flows again when the zone is right again.
/// </summary>
public sealed class HijackTests
{
    private const string Canary = "canary-of-the-hijacked-partner@a.example",
        Message = $"From: alice@a.example\r\nSubject: {Canary}\r\n\r\n{Canary}\r\n";

    [Theory]
    [InlineData("its DS removed", "451 4.7.5")]
    [InlineData("its policy vanished", "451 4.7.5")]
    [InlineData("its key swapped", "451 4.7.5")]
    [InlineData("its signatures broken", "451 4.4.3")]
    public async Task A_hijacked_partner_gets_no_mail_in_clear_and_mail_flows_again_by_itself(
        string what,
        string expected
    )
    {
        await using var operators = await Operators.SetUpAsync(ttl: 1);
        var (relayed, local) = (new List<Seen>(), new List<Seen>());
        await using var relay = Listen(relayed);
        await using var mailServer = Listen(local);
        operators.Change(
            "a",
            c =>
            {
                c["listen"] = new JsonObject
                {
                    ["outbound"] = new JsonObject { ["address"] = "127.0.0.1:0" },
                    ["inbound"] = null,
                };
                c["deliver"] = new JsonObject
                {
                    ["local"] = mailServer.EndPoint.ToString(),
                    ["relay"] = relay.EndPoint.ToString(),
                };
            }
        );
        var configuration = ConfigurationReader.Read(operators.Config("a"));
        var (time, log) = (new FakeTimeProvider(TimeProvider.System.GetUtcNow()), new LogText());
        await using var gateway = await Gateway.StartAsync(configuration, new EventLog(log, false, time), time);
        async Task<string> SendAsync()
        {
            time.Advance(TimeSpan.FromSeconds(31)); // past whatever an answer may be kept
            return (await Lab.SendAsync(gateway.OutboundServer!.EndPoint, "<bob@b.example>", Message))!.ToString();
        }
        async Task UntilAsync(string reply)
        {
            var last = "";
            await Wait.UntilAsync(
                () => (last = SendAsync().GetAwaiter().GetResult()).Contains(reply),
                () => $"{what}: no '{reply}' but '{last}'\n{log}"
            );
        }

        await UntilAsync("sealed for b.example");
        var genuine = JsonDocument
            .Parse(
                (await Run.PgpTunnelAsync("key", "list", "--json", "--config", operators.Config("b"))).Expect(0).Output
            )
            .RootElement.GetProperty("keys")[0]
            .GetProperty("fingerprint")
            .GetString()!;
        if (what == "its key swapped")
            (
                await Run.PgpTunnelAsync("partner", "verify", "b.example", genuine, "--config", operators.Config("a"))
            ).Expect(0);
        switch (what)
        {
            case "its DS removed":
                await operators.Dns.ChangeAsync("b.example", "nods");
                break;
            case "its policy vanished":
                await operators.Dns.ChangeAsync("b.example", "records", "nothing TXT \"here\"\n");
                break;
            case "its key swapped":
                await operators.Dns.ChangeAsync("b.example", "records", await ThiefAsync(operators.Directory));
                break;
            default:
                await operators.Dns.ChangeAsync("b.example", "bogus");
                break;
        }
        await UntilAsync(expected);
        Assert.Contains("alarm=true", log.ToString());
        await Wait.UntilAsync(
            () => Texts(local).Exists(m => m.Contains("Subject: Mail to or from b.example waits")),
            () => $"the postmaster was not told\n{log}"
        );
        var partner = JsonDocument
            .Parse(
                (await Run.PgpTunnelAsync("partner", "list", "--json", "--config", operators.Config("a")))
                    .Expect(0)
                    .Output
            )
            .RootElement.GetProperty("partners")[0];
        Assert.False(string.IsNullOrEmpty(partner.GetProperty("alarm").GetString()));

        await operators.Dns.ChangeAsync(
            "b.example",
            what == "its DS removed" ? "ds" : "records",
            operators.Records["b.example"]
        );
        await UntilAsync("sealed for b.example");
        partner = JsonDocument
            .Parse(
                (await Run.PgpTunnelAsync("partner", "list", "--json", "--config", operators.Config("a")))
                    .Expect(0)
                    .Output
            )
            .RootElement.GetProperty("partners")[0];
        Assert.Equal(JsonValueKind.Null, partner.GetProperty("alarm").ValueKind);
        await Wait.UntilAsync(() => Texts(relayed).Count >= 2, () => log.ToString());
        Assert.All(Texts(relayed), m => Assert.DoesNotContain(Canary, m));
        var key = KeyRing.Load(ConfigurationReader.Read(operators.Config("b"))).Keys;
        Assert.All(
            Texts(relayed),
            m =>
                Assert.Contains(
                    Canary,
                    System.Text.Encoding.ASCII.GetString(
                        MessageOpener
                            .Decrypt(Armor.Decode(Armor.Message, System.Text.Encoding.ASCII.GetBytes(m)), key)
                            .UnverifiedBody.Span
                    )
                )
        );
    }

    private static List<string> Texts(List<Seen> seen)
    {
        lock (seen)
            return [.. seen.Select(s => System.Text.Encoding.ASCII.GetString(s.Message))];
    }

    private static SmtpServer Listen(List<Seen> into) =>
        SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions { Hostname = "mail.example", MessageSize = 1_000_000 },
            new CapturingServer(seen =>
            {
                lock (into)
                    into.Add(seen);
                return Task.FromResult(SmtpReply.Ok);
            })
        );

    /// <summary>What a thief of the zone publishes: a key of its own for the same gateway.</summary>
    private static async Task<string> ThiefAsync(string directory)
    {
        var thief = Path.Combine(directory, "thief");
        (await Run.PgpTunnelAsync("init", "--domain", "b.example", "--directory", thief)).Expect(0);
        return (await Run.PgpTunnelAsync("dns", "records", "--config", Path.Combine(thief, "pgptunnel.json")))
            .Expect(0)
            .Text.Replace(" 3600 IN ", " 1 IN ");
    }
}
