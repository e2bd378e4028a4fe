using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Our own networks and domains, our own mail, loops, and what strangers cause.</summary>
public class WhoMaySendTests
{
    private const string Message =
        "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: CANARY-subject\r\nMessage-ID: <1@a.example>\r\n\r\nCANARY-body\r\n.dot\r\n";

    private static string Text(byte[] octets) => Encoding.Latin1.GetString(octets);

    [Fact]
    public async Task Own_parcels_pass_and_loops_do_not()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"policy\": { \"default\": \"require\" }");
        // A bounce of B's parcel that A's own mail server sends: null sender, to the gateway mailbox of b.example.
        Assert.Equal(
            250,
            (
                await pair.A.SendAsync(
                    "<>",
                    ["<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>"],
                    Message
                )
            )[0].Code
        );
        // The same from a person is no parcel, and clear text is not allowed here.
        Assert.StartsWith(
            "550 5.7.10",
            (await pair.A.SendAsync("<alice@a.example>", ["<pgptunnel@pgptunnel.b.example>"], Message))[0].ToString()
        );
        Assert.StartsWith(
            "550 5.7.10",
            (
                await pair.A.SendAsync(
                    "<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.a.example>",
                    ["<pgptunnel@pgptunnel.b.example>"],
                    Message
                )
            )[0]
                .ToString()
        );
        var loop =
            string.Concat(Enumerable.Repeat("Received: by x; Thu, 1 Jan 2026 00:00:00 +0000\r\n", 100)) + Message;
        Assert.StartsWith(
            "554 5.4.6",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], loop))[0].ToString()
        );
    }

    [Fact]
    public async Task Only_our_networks_and_domains_may_send()
    {
        await using var pair = await Pair.CreateAsync();
        var flow = pair.A.Gateway.OutboundFlow;
        async Task<string> Begin(string client, string from) =>
            (
                await flow.BeginAsync(
                    new SmtpClientInfo(System.Net.IPAddress.Parse(client), "x", true, false),
                    ReversePath.Parse(from).Path!,
                    CancellationToken.None
                )
            ).Item1.ToString();
        Assert.StartsWith("550 5.7.1", await Begin("192.0.2.1", "<alice@a.example>"));
        Assert.StartsWith("250", await Begin("127.0.0.1", "<alice@a.example>"));
        Assert.StartsWith("250", await Begin("127.0.0.1", "<forwarded@elsewhere.example>"));
        Assert.StartsWith("250", await Begin("127.0.0.1", "<>"));
        Assert.StartsWith("550 5.1.7", await Begin("127.0.0.1", "<alice@[127.0.0.1]>"));
        await pair.A.StopAsync();
        File.WriteAllText(
            pair.A.File,
            File.ReadAllText(pair.A.File)
                .Replace("\"domains\": [\"a.example\"]", "\"domains\": [\"a.example\", \"a2.example\"]")
                .Replace(
                    "\"outbound\": { \"address\": \"127.0.0.1:0\" }",
                    "\"outbound\": { \"address\": \"127.0.0.1:0\", \"senders\": [\"a2.example\"] }"
                )
        );
        await pair.A.StartAsync();
        flow = pair.A.Gateway.OutboundFlow;
        Assert.StartsWith("550 5.7.1", await Begin("127.0.0.1", "<alice@a.example>"));
        Assert.StartsWith("250", await Begin("127.0.0.1", "<alice@a2.example>"));
        Assert.StartsWith("550 5.7.1", await Begin("127.0.0.1", "<forwarded@elsewhere.example>"));
        Assert.StartsWith("250", await Begin("127.0.0.1", "<>"));
    }

    [Fact]
    public async Task Mail_for_our_own_domain_goes_to_our_own_server_and_nowhere_else()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains(
            "for our own mail server",
            (await pair.A.SendAsync("<alice@a.example>", ["<ann@a.example>"], Message))[0].Text
        );
        Assert.EndsWith("+0000\r\n" + Message, Text((await pair.A.WaitAsync(1))[0].Message));
        // What that server refuses comes back to the sender; what it takes later is tried again.
        pair.A.LocalAnswer = s =>
            s.To.Any(t => t.Mailbox.Local == "nobody") ? new SmtpReply(550, "5.1.1", "no such user") : null;
        await pair.A.SendAsync("<alice@a.example>", ["<nobody@a.example>"], Message);
        var notice = (await pair.A.WaitAsync(2))[1];
        Assert.Equal("alice@a.example", notice.To[0].Mailbox.ToString());
        Assert.Contains(
            "Final-Recipient: rfc822; nobody@a.example\r\nAction: failed\r\nStatus: 5.1.1",
            Text(notice.Message)
        );
        Assert.Empty(pair.HopSaw);
    }

    [Fact]
    public async Task A_strangers_mail_that_our_server_refuses_makes_no_notice()
    {
        await using var pair = await Pair.CreateAsync();
        pair.A.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "no such user");
        await Company.SendAsync(
            pair.A.Gateway.InboundServer!.EndPoint,
            "<ann@c.example>",
            ["<pgptunnel@pgptunnel.a.example>"],
            "From: ann@c.example\r\n\r\nhello\r\n"u8.ToArray()
        );
        await pair.A.WaitForLogAsync("event=discarded");
        await pair.A.WaitForLogAsync("notice=false");
        Assert.Empty(pair.HopSaw);
    }
}
