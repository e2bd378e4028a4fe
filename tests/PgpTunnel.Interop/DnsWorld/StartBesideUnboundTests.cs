using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// A gateway that starts while everybody asks at once, beside a resolver that has ten places for TCP, as unbound comes:
/// <code>
///   8 clients -> gateway A (process) -> relay (this test)
///                     |
///               unbound (10 places) -> nsd: root, example, a.example, b.example (records live for one second)
/// </code>
/// </summary>
public sealed class StartBesideUnboundTests
{
    private const int Starts = 3,
        Clients = 8,
        MessagesEach = 60;

    [Fact]
    public async Task Nothing_is_put_off_and_every_start_is_armed_at_once()
    {
        await using var operators = await Operators.SetUpAsync(ttl: 1);
        await using var relay = SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions
            {
                Hostname = "mail.example",
                MessageSize = 1_000_000,
                MaxConnectionsPerAddress = 200,
            },
            new CapturingServer(_ => Task.FromResult(SmtpReply.Ok))
        );
        var server = new IPEndPoint(IPAddress.Loopback, FreePort());
        operators.Change(
            "a",
            c =>
            {
                c["listen"] = new JsonObject
                {
                    ["outbound"] = new JsonObject { ["address"] = server.ToString() },
                    ["inbound"] = null,
                };
                c["deliver"] = new JsonObject
                {
                    ["local"] = relay.EndPoint.ToString(),
                    ["relay"] = relay.EndPoint.ToString(),
                };
            }
        );
        for (var start = 1; start <= Starts; start++)
        {
            var clients = Enumerable.Range(0, Clients).Select(_ => SendAllAsync(server)).ToList(); // before there is anybody
            await using var gateway = new Daemon(Run.Gateway, ["run", "--config", operators.Config("a")]);
            foreach (var reply in (await Task.WhenAll(clients)).SelectMany(r => r))
                Assert.True(
                    reply.StartsWith("250 2.0.0 ", StringComparison.Ordinal) && reply.Contains("sealed for b.example"),
                    $"start {start}: {reply}\n{gateway.Log}"
                );
            Assert.DoesNotContain("event=unarmed", gateway.Log);
            Assert.Equal(0, await gateway.StopAsync());
        }
    }

    /// <summary>Knocks until it is let in, and sends its messages one after another.</summary>
    private static async Task<List<string>> SendAllAsync(IPEndPoint server)
    {
        var replies = new List<string>();
        for (
            var deadline = Environment.TickCount64 + (long)Wait.Bound.TotalMilliseconds;
            replies.Count < MessagesEach;

        )
            if (
                await Lab.SendAsync(server, "<bob@b.example>", "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n") is
                { } reply
            )
                replies.Add(reply.ToString());
            else if (replies.Count > 0 || Environment.TickCount64 > deadline)
                replies.Add("no connection");
            else
                await Task.Delay(5);
        return replies;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
