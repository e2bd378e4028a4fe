using System.Net;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What is told of what a server said.</summary>
public sealed partial class SenderTests
{
    [Fact]
    public async Task Each_recipient_keeps_its_own_reply()
    {
        using var server = new ScriptedServer(
            "250-new.example\r\n250 PIPELINING",
            "250 ok",
            "550 5.1.1 no",
            "451 4.2.0 later",
            "250 ok",
            "354 go",
            "250 2.0.0 taken"
        );
        await using var sender = new SmtpSender(() => "client.example");
        var replies = await sender.SendAsync(
            new SmtpTarget("new", server.EndPoint, TlsMode.None),
            Alice,
            [Bob, Bob, Bob],
            [Octets("x\r\n")],
            CancellationToken.None
        );
        Assert.Equal(["550 5.1.1 no", "451 4.2.0 later", "250 2.0.0 taken"], replies.Select(r => r.ToString()));
    }

    [Fact]
    public async Task A_verdict_stands_when_the_server_hangs_up_after_it()
    {
        using var server = new ScriptedServer("250 old.example", "550 5.7.1 not from you");
        await using var sender = new SmtpSender(() => "client.example");
        Assert.Equal(
            "550 5.7.1 not from you",
            (
                await sender.SendAsync(
                    new SmtpTarget("old", server.EndPoint, TlsMode.None),
                    Alice,
                    [Bob],
                    [Octets("x\r\n")],
                    CancellationToken.None
                )
            )[0]
                .ToString()
        );
    }

    [Fact]
    public async Task Verdicts_stand_when_the_server_hangs_up_instead_of_answering_data()
    {
        using var server = new ScriptedServer("250-old.example\r\n250 PIPELINING", "250 ok", "550 5.1.1 nobody");
        await using var sender = new SmtpSender(() => "client.example");
        Assert.Equal(
            "550 5.1.1 nobody",
            (
                await sender.SendAsync(
                    new SmtpTarget("old", server.EndPoint, TlsMode.None),
                    Alice,
                    [Bob],
                    [Octets("x\r\n")],
                    CancellationToken.None
                )
            )[0]
                .ToString()
        );
    }

    [Fact]
    public async Task A_server_that_wants_data_for_nobody_gets_an_empty_message()
    {
        using var server = new ScriptedServer(
            "250-old.example\r\n250 PIPELINING",
            "250 ok",
            "550 5.1.1 nobody",
            "354 go on",
            "250 ok"
        );
        await using var sender = new SmtpSender(() => "client.example");
        Assert.Equal(
            "550 5.1.1 nobody",
            (
                await sender.SendAsync(
                    new SmtpTarget("old", server.EndPoint, TlsMode.None),
                    Alice,
                    [Bob],
                    [Octets("secret\r\n")],
                    CancellationToken.None
                )
            )[0]
                .ToString()
        );
        Assert.DoesNotContain("secret", server.Received);
    }

    [Fact]
    public async Task A_break_after_the_content_is_said_to_be_one()
    {
        using var server = new ScriptedServer("250 old.example", "250 ok", "250 ok", "354 go");
        await using var sender = new SmtpSender(() => "client.example");
        var e = await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
            sender.SendAsync(
                new SmtpTarget("old", server.EndPoint, TlsMode.None),
                Alice,
                [Bob],
                [Octets("x\r\n")],
                CancellationToken.None
            )
        );
        Assert.True(e.AfterContent);
    }

    /// <summary>Answers each command line with the next line of its script, then closes.</summary>
    private sealed class ScriptedServer : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly StringBuilder _received = new();

        public ScriptedServer(params string[] script)
        {
            _listener.Start();
            _ = ServeAsync(script);
        }

        public string Greeting { get; init; } = "220 server ready\r\n";

        public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

        public string Received => _received.ToString();

        public int Connections { get; init; } = 1;

        private async Task ServeAsync(string[] script)
        {
            var at = 0;
            for (var i = 0; i < Connections; i++)
                at = await ServeOneAsync(script, at);
        }

        /// <summary>Serves one connection from an answer on; returns the answer at which the client left.</summary>
        private async Task<int> ServeOneAsync(string[] script, int at)
        {
            using var client = await _listener.AcceptTcpClientAsync();
            var stream = client.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(Greeting));
            using var reader = new StreamReader(stream, Encoding.Latin1);
            var data = false;
            for (; at < script.Length; at++)
            {
                var answer = script[at];
                string? line;
                do
                {
                    if ((line = await reader.ReadLineAsync()) is null)
                        return at;
                    _received.Append(line).Append("\r\n");
                } while (data && line != ".");
                data = answer.StartsWith("354", StringComparison.Ordinal);
                await stream.WriteAsync(Encoding.ASCII.GetBytes(answer + "\r\n"));
            }
            return at;
        }

        public void Dispose() => _listener.Dispose();
    }
}
