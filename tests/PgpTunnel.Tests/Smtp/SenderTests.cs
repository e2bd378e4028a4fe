using System.Net;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed class SenderTests
{
    private static readonly ForwardPath Bob = new(new Mailbox("bob", "b.example"));
    private static readonly ReversePath Alice = new(new Mailbox("alice", "a.example"));

    private static ReadOnlyMemory<byte> Octets(string text) => Encoding.Latin1.GetBytes(text);

    [Theory]
    [InlineData("a\r\n", "a\r\n.\r\n")]
    [InlineData(".a\r\n..b\r\nc.\r\n", "..a\r\n...b\r\nc.\r\n.\r\n")]
    [InlineData("no end", "no end\r\n.\r\n")]
    [InlineData("", ".\r\n")]
    [InlineData("a\r\n|.b\r\n", "a\r\n..b\r\n.\r\n")]
    [InlineData("a\r|\n.b\r\n", "a\r\n..b\r\n.\r\n")]
    [InlineData("a\r\n||.b\r\n", "a\r\n..b\r\n.\r\n")]
    [InlineData("a|.b\r\n", "a.b\r\n.\r\n")]
    [InlineData("\r|\n|.|\r\n", "\r\n..\r\n.\r\n")]
    public void Dots_are_stuffed_across_parts(string parts, string wire) =>
        Assert.Equal(
            wire,
            string.Concat(
                OutgoingMessage
                    .Of([.. parts.Split('|').Select(Octets)])
                    .ForData()
                    .Select(p => Encoding.Latin1.GetString(p.Span))
            ) + ".\r\n"
        );

    /// <summary>What one server session takes, another yields: any octets with CRLF lines come through.</summary>
    [Fact]
    public async Task Random_messages_come_through_unaltered()
    {
        await using var world = new TestWorld();
        var got = new List<byte[]>();
        var (listen, _) = await world.ServerAsync(seen =>
        {
            got.Add(seen.Message);
            return Task.FromResult(SmtpReply.Ok);
        });
        await using var sender = new SmtpSender(() => "client.example");
        var random = new System.Random(3);
        var pieces = new[] { "\r\n", ".", "..", "\r\n.", "\r\n..\r\n", "a", "text ", "\xE9", "\r\n\r\n" };
        for (var i = 0; i < 200; i++)
        {
            var message =
                string.Concat(Enumerable.Range(0, random.Next(30)).Select(_ => pieces[random.Next(pieces.Length)]))
                + "\r\n";
            Assert.Equal(
                250,
                (
                    await sender.SendAsync(
                        new SmtpTarget("t", listen.EndPoint, TlsMode.None),
                        Alice,
                        [Bob],
                        [Octets(message)],
                        CancellationToken.None
                    )
                )[0].Code
            );
            Assert.Equal(message, Encoding.Latin1.GetString(got[^1]));
        }
    }

    [Fact]
    public async Task A_plain_server_without_extensions_gets_data_and_what_it_cannot_carry_is_refused()
    {
        using var server = new ScriptedServer("250 old.example", "250 ok", "250 ok", "354 go", "250 taken");
        await using var sender = new SmtpSender(() => "client.example");
        var target = new SmtpTarget("old", server.EndPoint, TlsMode.Opportunistic);
        Assert.Equal(
            250,
            (
                await sender.SendAsync(
                    target,
                    Alice with
                    {
                        Ret = "HDRS",
                    },
                    [Bob with { Notify = "NEVER" }],
                    [Octets(".x\r\n")],
                    CancellationToken.None
                )
            )[0].Code
        );
        Assert.Equal(
            "EHLO client.example\r\nMAIL FROM:<alice@a.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n..x\r\n.\r\n",
            server.Received
        );
    }

    [Theory]
    [InlineData("8BITMIME", false, "\xE9\r\n", "550 5.6.3")]
    [InlineData("8BITMIME", false, "ascii\r\n", "250")]
    [InlineData(null, true, "Subject: \xE9\r\n\r\n", "550 5.6.7")]
    [InlineData(null, true, "Subject: e\r\n\r\n", "250")]
    public async Task Needs_are_refused_not_dropped(string? body, bool utf8, string message, string expected)
    {
        using var server = new ScriptedServer("250 old.example", "250 ok", "250 ok", "354 go", "250 taken");
        await using var sender = new SmtpSender(() => "client.example");
        var reply = (
            await sender.SendAsync(
                new SmtpTarget("old", server.EndPoint, TlsMode.None),
                Alice with
                {
                    Body = body,
                    SmtpUtf8 = utf8,
                },
                [Bob],
                [Octets(message)],
                CancellationToken.None
            )
        )[0];
        Assert.StartsWith(expected, reply.ToString());
    }

    [Fact]
    public async Task Tls_that_is_required_and_not_offered_is_no_reason_to_send()
    {
        foreach (var mode in new[] { TlsMode.Require, TlsMode.Verify })
        {
            using var server = new ScriptedServer("250 old.example");
            await using var sender = new SmtpSender(() => "client.example");
            var e = await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
                sender.SendAsync(
                    new SmtpTarget("old", server.EndPoint, mode),
                    Alice,
                    [Bob],
                    [Octets("x\r\n")],
                    CancellationToken.None
                )
            );
            Assert.True(e.Reply.IsTemporary);
            Assert.DoesNotContain("MAIL", server.Received);
        }
    }

    [Fact]
    public async Task A_reply_smuggled_in_before_tls_ends_the_connection()
    {
        using var server = new ScriptedServer("250-old.example\r\n250 STARTTLS", "220 go\r\n250 smuggled");
        await using var sender = new SmtpSender(() => "client.example");
        var e = await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
            sender.SendAsync(
                new SmtpTarget("old", server.EndPoint, TlsMode.Opportunistic),
                Alice,
                [Bob],
                [Octets("x\r\n")],
                CancellationToken.None
            )
        );
        Assert.Contains("STARTTLS", e.Message);
    }

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
    public async Task Login_goes_only_where_it_cannot_be_read()
    {
        using var server = new ScriptedServer("250-old.example\r\n250 AUTH PLAIN LOGIN");
        await using var sender = new SmtpSender(() => "client.example");
        var e = await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
            sender.SendAsync(
                new SmtpTarget("old", server.EndPoint, TlsMode.Opportunistic, new SmtpLogin("u", "p")),
                Alice,
                [Bob],
                [Octets("x\r\n")],
                CancellationToken.None
            )
        );
        Assert.Contains("login", e.Message);
        Assert.DoesNotContain("AUTH", server.Received);
    }

    [Theory]
    [InlineData("220 x\r\n")]
    [InlineData("garbage\r\n")]
    [InlineData("554 go away\r\n")]
    [InlineData("")]
    public async Task Whatever_a_server_says_is_a_reply_or_unavailable(string greeting)
    {
        using var server = new ScriptedServer { Greeting = greeting };
        await using var sender = new SmtpSender(() => "client.example");
        await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
            sender.SendAsync(
                new SmtpTarget("x", server.EndPoint, TlsMode.None),
                Alice,
                [Bob],
                [Octets("x\r\n")],
                CancellationToken.None
            )
        );
    }

    [Fact]
    public async Task Opportunistic_tls_that_fails_is_done_without()
    {
        using var server = new ScriptedServer(
            "250-old.example\r\n250 STARTTLS",
            "454 4.7.0 not now",
            "250 old.example",
            "250 ok",
            "250 ok",
            "354 go",
            "250 taken"
        )
        {
            Connections = 2,
        };
        await using var sender = new SmtpSender(() => "client.example");
        Assert.Equal(
            250,
            (
                await sender.SendAsync(
                    new SmtpTarget("old", server.EndPoint, TlsMode.Opportunistic),
                    Alice,
                    [Bob],
                    [Octets("x\r\n")],
                    CancellationToken.None
                )
            )[0].Code
        );
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

    [Fact]
    public async Task A_connection_is_used_again()
    {
        await using var world = new TestWorld();
        var (server, _) = await world.ServerAsync();
        await using var sender = new SmtpSender(() => "client.example");
        for (var i = 0; i < 100; i++)
            await sender.SendAsync(
                new SmtpTarget("t", server.EndPoint, TlsMode.None),
                Alice,
                [Bob],
                [Octets("x\r\n")],
                CancellationToken.None
            );
        Assert.Equal(1, sender.Opened);
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
