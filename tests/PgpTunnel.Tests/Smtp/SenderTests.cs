using System.Net;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed partial class SenderTests
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
}
