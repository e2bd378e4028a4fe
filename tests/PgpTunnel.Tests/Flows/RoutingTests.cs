using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Recipients whose local part names somebody elsewhere, and reports to senders who are not ours.</summary>
public class RoutingTests
{
    private const string Message = "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    private static List<(bool Routing, string Local)> Cases =>
        [
            .. Vectors
                .Lines("routing.txt")
                .Select(l => (l.Data.StartsWith("routing", StringComparison.Ordinal), l.Data[9..])),
        ];

    [Fact]
    public async Task Each_such_recipient_fails_by_itself_through_the_tunnel()
    {
        await using var pair = await Pair.CreateAsync();
        var sent = await pair.A.SendAsync(
            "<alice@a.example>",
            [.. Cases.Select(c => $"<{c.Local}@b.example>")],
            Message
        );
        Assert.All(sent, r => Assert.True(r.IsPositive, r.ToString()));
        await pair.B.WaitAsync(1);
        Assert.Equal(
            Cases.Where(c => !c.Routing).Select(c => $"<{c.Local}@b.example>"),
            Assert.Single(pair.B.Received).To.Select(t => $"<{t.Mailbox}>")
        );
        var report = Encoding.UTF8.GetString((await pair.A.WaitAsync(1))[0].Message);
        foreach (var (routing, local) in Cases)
            Assert.Equal(
                routing,
                report.Contains($"Final-Recipient: rfc822; {Mailbox(local)}\r\nAction: failed\r\nStatus: 5.7.1\r\n")
            );
    }

    private static Mailbox Mailbox(string local) =>
        Smtp.Mailbox.TryParse($"{local}@b.example", false, out var mailbox)
            ? mailbox
            : throw new InvalidOperationException(local);

    [Theory]
    [InlineData("prefer", "250 2.1.5 goes in clear: the DNS of plain.example is not signed")]
    [InlineData("require", "550 5.7.10")]
    public async Task A_postmaster_elsewhere_is_held_to_the_policy(string policy, string reply)
    {
        await using var pair = await Pair.CreateAsync(
            moreA: $"\"postmaster\": \"help@plain.example\", \"policy\": {{ \"default\": \"{policy}\" }}"
        );
        pair.World.AddInsecureZone("plain.example");
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(pair.A.Gateway.OutboundServer!.EndPoint);
        using var reader = new StreamReader(client.GetStream());
        await reader.ReadLineAsync();
        var last = "";
        foreach (var line in new[] { "HELO x", "MAIL FROM:<alice@a.example>", "RCPT TO:<postmaster>" })
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"{line}\r\n"));
            last = await reader.ReadLineAsync() ?? "";
        }
        Assert.StartsWith(reply, last);
    }

    [Fact]
    public async Task From_our_own_server_for_our_own_domains_it_is_refused_at_once_and_passed_on_where_that_is_wanted()
    {
        await using var pair = await Pair.CreateAsync();
        foreach (var (routing, local) in Cases)
            Assert.StartsWith(
                routing ? "550 5.7.1" : "250",
                (await pair.A.SendAsync("<alice@a.example>", [$"<{local}@a.example>"], Message))[0].ToString()
            );
        await pair.A.StopAsync();
        var text = await File.ReadAllTextAsync(pair.A.File);
        await File.WriteAllTextAsync(
            pair.A.File,
            System.Text.RegularExpressions.Regex.Replace(
                text,
                "\"local\": (\"[^\"]+\")",
                "\"local\": { \"host\": $1, \"routing\": \"pass\" }"
            )
        );
        await pair.A.StartAsync();
        Assert.StartsWith(
            "250",
            (await pair.A.SendAsync("<alice@a.example>", ["<victim%elsewhere.example@a.example>"], Message))[0]
                .ToString()
        );
        await Wait.UntilAsync(
            () => pair.A.Received.Any(r => r.To[0].Mailbox.Local == "victim%elsewhere.example"),
            () => pair.A.Log.ToString()
        );
    }

    [Fact]
    public async Task A_report_to_a_sender_who_is_not_ours_goes_out_like_other_mail_and_the_postmaster_hears_when_it_cannot()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = seen =>
            seen.To[0].Mailbox.Domain == "pgptunnel.b.example" ? new SmtpReply(550, "5.1.1", "no such gateway") : null;
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync("<carol@c.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        await Wait.UntilAsync(
            () => pair.HopSaw.Any(s => s.To[0].Mailbox.ToString() == "carol@c.example"),
            () => pair.A.Log.ToString()
        );
        Assert.Null(pair.HopSaw.Single(s => s.To[0].Mailbox.Domain == "c.example").From.Mailbox);
        Assert.Empty(pair.A.Received);

        pair.HopAnswer = seen => new SmtpReply(550, "5.1.1", "no such user");
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync("<dave@c.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        var told = (await pair.A.WaitAsync(1))[0];
        Assert.Equal("postmaster@a.example", told.To[0].Mailbox.ToString());
        Assert.Contains("<dave@c.example>", Encoding.UTF8.GetString(told.Message));
        await Wait.UntilAsync(() => pair.A.Log.ToString().Contains("5.1.1 no such user"), () => pair.A.Log.ToString());
    }

    [Fact]
    public async Task Where_only_partners_may_send_in_a_stranger_is_refused_and_a_partner_is_not()
    {
        const string partnersOnly =
            "\"listen\": { \"outbound\": { \"address\": \"127.0.0.1:0\" }, \"inbound\": { \"address\": "
            + "\"127.0.0.1:0\", \"from\": \"partners\" } }";
        await using var pair = await Pair.CreateAsync();
        async Task BecomesAsync(string partners)
        {
            await pair.B.StopAsync();
            var text = await File.ReadAllTextAsync(pair.B.File);
            await File.WriteAllTextAsync(
                pair.B.File,
                System.Text.RegularExpressions.Regex.Replace(
                    text,
                    "\"listen\": .*? } }",
                    partnersOnly + $", \"policy\": {{ \"partners\": {{ {partners} }} }}"
                )
            );
            await pair.B.StartAsync();
        }
        await BecomesAsync("");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitForLogAsync("listen.inbound.from is partners");
        Assert.Contains("reply=\"550 5.7.1 this gateway takes mail of its partners only", pair.B.Log.ToString());
        await using (var spool = Spool.Open(pair.B.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(spool, "a.example", r => r with { Verified = [pair.A.Key.Fingerprint] });
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitAsync(1);
    }
}
