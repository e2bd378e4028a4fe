using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What happens to a parcel after its 250: later, done, a notice; and what may change while it waits.</summary>
public class DeliveryTests
{
    private const string Message =
        "From: alice@a.example\r\nSubject: CANARY\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

    private static string Text(byte[] octets) => Encoding.Latin1.GetString(octets);

    [Fact]
    public async Task A_failing_local_server_is_tried_again_across_a_restart()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ => new SmtpReply(451, "4.2.0", "mailbox busy");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitForLogAsync("event=delivery-deferred");
        await pair.B.StopAsync();
        pair.B.LocalAnswer = _ => null;
        pair.World.Time.Advance(TimeSpan.FromMinutes(2));
        await pair.B.StartAsync();
        Assert.EndsWith(Message, Text((await pair.B.WaitAsync(1))[0].Message));
    }

    [Fact]
    public async Task Pauses_grow_from_first_to_longest()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        foreach (var minutes in new[] { 1, 2, 4, 8, 16, 32, 60, 60 })
        {
            var tries = pair.HopSaw.Count;
            await Wait.UntilAsync(
                () =>
                    pair.HopSaw.Count > tries || pair.A.Log.ToString().Split("event=delivery-deferred").Length > tries,
                () => "no try"
            );
            await pair.A.WaitForLogAsync($"next={InnerHeader.Time(pair.World.Time.GetUtcNow().AddMinutes(minutes))}");
            pair.World.Time.Advance(TimeSpan.FromMinutes(minutes));
        }
    }

    [Fact]
    public async Task A_refusal_by_the_local_server_comes_back_through_the_tunnel()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = s =>
            s.To.Any(t => t.Mailbox.Local == "bob") ? new SmtpReply(550, "5.1.1", "no such user bob") : null;
        await pair.A.SendAsync("<alice@a.example> ENVID=e-1", ["<bob@b.example>"], Message);
        var seen = (await pair.A.WaitAsync(1))[0];
        var notice = Text(seen.Message);
        Assert.Equal("<> ", $"{seen.From} ");
        Assert.Equal("alice@a.example", seen.To[0].Mailbox.ToString());
        Assert.Contains("PgpTunnel-Result: pass; d=b.example", notice);
        Assert.Contains("Content-Type: multipart/report; report-type=delivery-status", notice);
        Assert.Contains("Original-Envelope-Id: e-1\r\n", notice);
        Assert.Contains(
            "Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 "
                + "5.1.1 no such user bob\r\n",
            notice
        );
        Assert.Contains("Subject: CANARY", notice);
        Assert.DoesNotContain("\r\nbody\r\n", notice);
        Assert.All(pair.HopSaw, h => Assert.DoesNotContain("bob@", Text(h.Message)));
        Assert.Equal(2, pair.HopSaw.Count);
    }

    [Fact]
    public async Task Nobody_is_told_who_asked_for_silence_or_sent_a_notice()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "no such user");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example> NOTIFY=NEVER"], Message);
        await pair.A.SendAsync("<>", ["<bob@b.example>"], Message);
        await Wait.UntilAsync(
            () => pair.B.Log.ToString().Split("event=failed").Length == 3,
            () => pair.B.Log.ToString()
        );
        await pair.B.SettledAsync();
        Assert.Empty(pair.A.Received);
        Assert.Equal(2, pair.HopSaw.Count);
    }

    [Fact]
    public async Task A_final_refusal_on_the_way_is_a_notice_to_the_sender()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(554, "5.7.1", "relaying denied");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>", "<carol@b.example>"], Message);
        var notice = Text((await pair.A.WaitAsync(1))[0].Message);
        Assert.Contains("Final-Recipient: rfc822; bob@b.example", notice);
        Assert.Contains("Final-Recipient: rfc822; carol@b.example", notice);
        Assert.Contains("554 5.7.1 relaying denied", notice);
        Assert.Single(pair.HopSaw); // nothing was sent in clear instead
    }

    [Fact]
    public async Task Given_up_after_the_configured_time_with_one_word_of_delay_before()
    {
        await using var pair = await Pair.CreateAsync(
            moreA: "\"retry\": { \"first\": \"01:00:00\", \"longest\": \"01:00:00\", \"giveUp\": \"06:00:00\", "
                + "\"delayNotice\": \"02:30:00\" }"
        );
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        for (var hour = 0; hour < 7; hour++)
        {
            var before = pair.HopSaw.Count;
            await Wait.UntilAsync(
                () =>
                    pair.HopSaw.Count > 0
                    && pair.A.Log.ToString().Split("event=delivery-deferred").Length > Math.Min(hour + 1, 6),
                () => pair.A.Log.ToString()
            );
            pair.World.Time.Advance(TimeSpan.FromHours(1));
        }
        var notices = (await pair.A.WaitAsync(2)).Select(s => Text(s.Message)).ToList();
        Assert.Equal(2, notices.Count);
        Assert.Contains(notices, n => n.Contains("Action: delayed\r\nStatus: 4.2.0"));
        Assert.Contains(notices, n => n.Contains("Action: failed\r\nStatus: 5.4.7"));
    }

    [Fact]
    public async Task A_bounce_to_the_token_becomes_one_notice()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? SmtpReply.Ok : null; // taken, and bounced later
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivered");
        var token = pair.HopSaw[0].From.Mailbox!.ToString();
        static byte[] Report(string action, string status) =>
            Encoding.ASCII.GetBytes(
                $"From: mailer-daemon@hop.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; "
                    + "report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\nContent-Type: "
                    + "message/delivery-status\r\n\r\nReporting-MTA: dns; hop.example\r\n\r\nFinal-Recipient: "
                    + $"rfc822; pgptunnel@pgptunnel.b.example\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--b--\r\n"
            );
        async Task<string> Send(string from, byte[] message) =>
            (await Company.SendAsync(pair.A.Gateway.InboundServer!.EndPoint, from, [$"<{token}>"], message))[0]
                .ToString();
        Assert.StartsWith("550 5.1.1", await Send("<mailer-daemon@hop.example>", Report("failed", "5.4.4")));
        Assert.StartsWith("250", await Send("<>", Report("delayed", "4.4.1")));
        Assert.Empty(pair.A.Received);
        Assert.StartsWith("250", await Send("<>", Report("failed", "5.4.4")));
        var notice = Text((await pair.A.WaitAsync(1))[0].Message);
        Assert.Contains("Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.4.4", notice);
        Assert.Contains("unauthenticated", notice);
        Assert.Contains("Subject: CANARY", notice);
        Assert.Equal("250 2.0.0 noted; the sender has been told before", await Send("<>", Report("failed", "5.4.4")));
    }

    /// <summary>By whatever route it goes: the postmaster knows who does not.</summary>
    [Fact]
    public async Task A_notice_that_only_its_reader_s_mailbox_refuses_is_told_to_the_postmaster()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(554, "5.7.1", "relaying denied");
        pair.A.LocalAnswer = seen =>
            seen.To[0].Mailbox.Local == "alice" ? new SmtpReply(550, "5.1.1", "no such user") : null;
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await Wait.UntilAsync(
            () => pair.A.Received.Any(r => r.To[0].Mailbox.Local == "postmaster"),
            () => pair.A.Log.ToString()
        );
        var told = Text(pair.A.Received.First(r => r.To[0].Mailbox.Local == "postmaster").Message);
        Assert.Contains("<alice@a.example>", told);
        Assert.DoesNotContain("event=held", pair.A.Log.ToString());
    }

    [Fact]
    public async Task A_notice_that_our_own_server_refuses_is_held_not_lost()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(554, "5.7.1", "relaying denied");
        pair.A.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "no such user");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=held");
        await pair.A.StopAsync();
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        Assert.Equal(ParcelState.Held, Assert.Single(spool.List()).State);
    }
}
