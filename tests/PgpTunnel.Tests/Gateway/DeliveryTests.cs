using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What happens to a parcel after its 250: later, done, a notice; and what may change while it waits.</summary>
public class DeliveryTests
{
    private const string Message = "From: alice@a.example\r\nSubject: CANARY\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

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
            await Wait.UntilAsync(() => pair.HopSaw.Count > tries || pair.A.Log.ToString().Split("event=delivery-deferred").Length > tries, () => "no try");
            await pair.A.WaitForLogAsync($"next={InnerHeader.Time(pair.World.Time.GetUtcNow().AddMinutes(minutes))}");
            pair.World.Time.Advance(TimeSpan.FromMinutes(minutes));
        }
    }

    [Fact]
    public async Task A_refusal_by_the_local_server_comes_back_through_the_tunnel()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = s => s.To.Any(t => t.Mailbox.Local == "bob") ? new SmtpReply(550, "5.1.1", "no such user bob") : null;
        await pair.A.SendAsync("<alice@a.example> ENVID=e-1", ["<bob@b.example>"], Message);
        var seen = (await pair.A.WaitAsync(1))[0];
        var notice = Text(seen.Message);
        Assert.Equal("<> ", $"{seen.From} ");
        Assert.Equal("alice@a.example", seen.To[0].Mailbox.ToString());
        Assert.Contains("PgpTunnel-Result: pass; d=b.example", notice);
        Assert.Contains("Content-Type: multipart/report; report-type=delivery-status", notice);
        Assert.Contains("Original-Envelope-Id: e-1\r\n", notice);
        Assert.Contains("Final-Recipient: rfc822; bob@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user bob\r\n", notice);
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
        await Wait.UntilAsync(() => pair.B.Log.ToString().Split("event=failed").Length == 3, () => pair.B.Log.ToString());
        await Task.Delay(200);
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
        await using var pair = await Pair.CreateAsync(moreA: "\"retry\": { \"first\": \"01:00:00\", \"longest\": \"01:00:00\", \"giveUp\": \"06:00:00\", \"delayNotice\": \"02:30:00\" }");
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        for (var hour = 0; hour < 7; hour++)
        {
            var before = pair.HopSaw.Count;
            await Wait.UntilAsync(() => pair.HopSaw.Count > 0 && pair.A.Log.ToString().Split("event=delivery-deferred").Length > Math.Min(hour + 1, 6), () => pair.A.Log.ToString());
            pair.World.Time.Advance(TimeSpan.FromHours(1));
        }
        var notices = (await pair.A.WaitAsync(2)).Select(s => Text(s.Message)).ToList();
        Assert.Equal(2, notices.Count);
        Assert.Contains(notices, n => n.Contains("Action: delayed\r\nStatus: 4.2.0"));
        Assert.Contains(notices, n => n.Contains("Action: failed\r\nStatus: 5.4.7"));
    }

    /// <summary>Of what the disk has lost the sender hears all the same: its envelope lies elsewhere.</summary>
    [Theory]
    [InlineData("gone")]
    [InlineData("damaged")]
    public async Task A_parcel_whose_body_is_lost_is_given_up_like_any_other(string how)
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"retry\": { \"first\": \"01:00:00\", \"longest\": \"01:00:00\", \"giveUp\": \"06:00:00\", \"delayNotice\": \"02:30:00\" }");
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message + string.Concat(Enumerable.Repeat("a line of text\r\n", 20_000)));
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Path.GetDirectoryName(pair.A.File)!, "spool.db.bodies")))
            if (how == "gone")
                File.Delete(file);
            else
                File.WriteAllBytes(file, new byte[new FileInfo(file).Length]);
        for (var hour = 0; hour < 8; hour++)
        {
            pair.World.Time.Advance(TimeSpan.FromHours(1));
            await Task.Delay(300);
        }
        var notices = (await pair.A.WaitAsync(2)).Select(s => Text(s.Message)).ToList();
        Assert.Contains(notices, n => n.Contains("Action: delayed") && n.Contains("Final-Recipient: rfc822; bob@b.example"));
        Assert.Contains(notices, n => n.Contains("Action: failed") && n.Contains("Final-Recipient: rfc822; bob@b.example") && n.Contains("Subject: "));
        Assert.DoesNotContain("event=stuck", pair.A.Log.ToString());
        Assert.Contains("event=body-lost", pair.A.Log.ToString());
    }

    [Fact]
    public async Task Testing_and_prefer_go_clear_after_a_final_refusal_and_nothing_else_does()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? new SmtpReply(550, "5.7.5", "no") : null;
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await RefusedForHoursAsync(pair, 4);
        Assert.All(pair.HopSaw, s => Assert.Equal("pgptunnel.b.example", s.To[0].Mailbox.Domain)); // not for a few refusals, nor for a bad hour
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await pair.A.WaitForLogAsync("event=clear-after-test");
        await Wait.UntilAsync(() => pair.HopSaw.Count == 6, () => pair.A.Log.ToString());
        Assert.Equal("bob@b.example", pair.HopSaw[5].To[0].Mailbox.ToString());
        Assert.EndsWith("+0000\r\n" + Message, Text(pair.HopSaw[5].Message));
        Assert.Matches("event=clear-after-test .*alarm=true", pair.A.Log.ToString());
        // Asked for by the message itself: never in clear.
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "PgpTunnel-Require: yes\r\n" + Message);
        Assert.Contains("Status: 5.7.5", Text((await pair.A.WaitAsync(1))[0].Message));
        Assert.Equal(7, pair.HopSaw.Count);
    }

    private static async Task RefusedForHoursAsync(Pair pair, int attempts)
    {
        for (var attempt = 1; attempt <= attempts; attempt++)
        {
            await pair.A.WaitForLogAsync($"has refused {attempt} time(s)");
            if (attempt < attempts)
                pair.World.Time.Advance(TimeSpan.FromHours(1));
        }
    }

    [Fact]
    public async Task Clear_after_a_test_is_decided_again_each_time()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? new SmtpReply(550, "5.7.5", "no") : new SmtpReply(451, "4.2.0", "greylisted");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await RefusedForHoursAsync(pair, 4);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await pair.A.WaitForLogAsync("451 4.2.0 greylisted");
        // Meanwhile B has mended its gateway and means it.
        var (zone, name) = (pair.World.Zone("b.example"), DomainName.Parse("_pgptunnel.b.example"));
        zone.Remove(name, RecordType.TXT);
        zone.Add(name, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}"));
        pair.HopAnswer = _ => null;
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.EndsWith(Message, Text((await pair.B.WaitAsync(1))[0].Message));
        Assert.Contains("PgpTunnel-Result: pass", Text(pair.B.Received[0].Message));
    }

    [Fact]
    public async Task A_slow_server_gets_its_message_once_though_the_gateway_stops()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ =>
        {
            Thread.Sleep(4000);
            return null;
        };
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitForLogAsync("event=opened");
        await Task.Delay(500);
        await pair.B.StopAsync();
        await pair.B.StartAsync();
        await pair.B.WaitAsync(1);
        await Task.Delay(1500);
        Assert.Single(pair.B.Received);
    }

    [Fact]
    public async Task Sealed_anew_when_the_peers_key_has_changed_while_it_waited()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        // B lost its key, made another and publishes that.
        await pair.B.StopAsync();
        var zone = pair.World.Zone("b.example");
        zone.Remove(DomainName.Parse("_pgptunnel.b.example"), RecordType.TXT);
        zone.Remove(PolicyRecord.CertificateName(pair.B.Configuration.Gateway), RecordType.OPENPGPKEY);
        foreach (var file in Directory.EnumerateFiles(pair.B.Configuration.KeysDirectory))
            File.Delete(file);
        pair.B.Key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, pair.B.Configuration.Gateway, pair.World.Time.GetUtcNow());
        KeyRing.Write(pair.B.Configuration.KeysDirectory, pair.B.Key, null, pair.World.Time.GetUtcNow());
        pair.B.Publish(null);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await pair.B.StartAsync();
        pair.HopAnswer = _ => null;
        Assert.EndsWith(Message, Text((await pair.B.WaitAsync(1))[0].Message));
        Assert.Contains("event=resealed", pair.A.Log.ToString());
    }

    [Fact]
    public async Task Waiting_in_clear_and_now_usable_is_sealed()
    {
        await using var pair = await Pair.CreateAsync(publishB: false);
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "b.example" ? new SmtpReply(451, "4.2.0", "greylisted") : null;
        Assert.Contains("in clear for b.example", (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].Text);
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        pair.B.Publish(null);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.EndsWith(Message, Text((await pair.B.WaitAsync(1))[0].Message));
        Assert.Contains("PgpTunnel-Result: pass", Text(pair.B.Received[0].Message));
    }

    [Theory]
    [InlineData("withdrawn")]
    [InlineData("servfail")]
    [InlineData("broken")]
    public async Task Sealed_never_becomes_clear_whatever_the_peers_dns_says_later(string change)
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        pair.HopAnswer = _ => null;
        var (zone, name) = (pair.World.Zone("b.example"), DomainName.Parse("_pgptunnel.b.example"));
        zone.Remove(name, RecordType.TXT);
        if (change == "broken")
            zone.Add(name, RecordType.TXT, TestWorld.Txt("v=PGPT1; m=testing"));
        if (change == "servfail")
            pair.World.Forge = (n, type, answer) => n == name ? new(2, [], []) : answer;
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await Wait.UntilAsync(() => pair.A.Log.ToString().Split("event=delivery-deferred").Length == 3, () => pair.A.Log.ToString());
        Assert.Single(pair.HopSaw);
    }

    [Fact]
    public async Task A_bounce_to_the_token_becomes_one_notice()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? SmtpReply.Ok : null; // taken, and bounced later
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivered");
        var token = pair.HopSaw[0].From.Mailbox!.ToString();
        static byte[] Report(string action, string status) => Encoding.ASCII.GetBytes($"From: mailer-daemon@hop.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; hop.example\r\n\r\nFinal-Recipient: rfc822; pgptunnel@pgptunnel.b.example\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--b--\r\n");
        async Task<string> Send(string from, byte[] message) => (await Company.SendAsync(pair.A.Gateway.InboundServer!.EndPoint, from, [$"<{token}>"], message))[0].ToString();
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

    [Fact]
    public async Task A_spool_that_cannot_be_written_sends_nothing_twice()
    {
        await using var pair = await Pair.CreateAsync();
        Microsoft.Data.Sqlite.SqliteConnection? blocker = null;
        pair.HopAnswer = _ =>
        {
            // From now on, until released, no outcome can be written down.
            blocker = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={pair.A.Configuration.SpoolFile};Pooling=False");
            blocker.Open();
            using var begin = blocker.CreateCommand();
            begin.CommandText = "BEGIN IMMEDIATE";
            begin.ExecuteNonQuery();
            return null;
        };
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.B.WaitAsync(1);
        await Wait.UntilAsync(() => pair.A.Log.ToString().Contains("event=spool-error"), () => pair.A.Log.ToString());
        Assert.Single(pair.HopSaw);
        blocker!.Dispose();
        await pair.A.WaitForLogAsync("event=delivered");
        Assert.Single(pair.HopSaw);
    }

    [Fact]
    public async Task Only_those_who_have_not_got_it_yet_are_sealed_for()
    {
        await using var pair = await Pair.CreateAsync(publishB: false);
        pair.HopRecipient = r => r.Mailbox.Local == "carol" ? new SmtpReply(451, "4.2.0", "greylisted") : null;
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>", "<carol@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        pair.B.Publish(null);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(["<carol@b.example>"], (await pair.B.WaitAsync(1))[0].To.Select(t => t.ToString()));
    }

    [Fact]
    public async Task Many_at_once_arrive_each_once()
    {
        await using var pair = await Pair.CreateAsync();
        var sending = Enumerable.Range(0, 8).Select(c => Task.Run(async () =>
        {
            for (var i = 0; i < 40; i++)
                Assert.Equal(250, (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], $"Subject: {c}-{i}\r\n\r\nbody\r\n"))[0].Code);
        }));
        await Task.WhenAll(sending);
        await Wait.UntilAsync(() => pair.B.Received.Count >= 320, () => $"{pair.B.Received.Count} of 320");
        await Task.Delay(500);
        Assert.Equal(320, pair.B.Received.Select(r => HeaderFields.Values(r.Message, "Subject")[0]).Distinct().Count());
        Assert.Equal((320, 320), (pair.B.Received.Count, pair.HopSaw.Count));
        Assert.DoesNotContain("refused", pair.B.Log.ToString());
        Assert.DoesNotContain("duplicate", pair.B.Log.ToString());
    }

    [Fact]
    public async Task Dead_dns_and_dead_relay_lose_nothing()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"retry\": { \"first\": \"00:00:10\" }");
        await pair.A.SendAsync("<alice@a.example>", ["<warm@b.example>"], Message);
        await pair.B.WaitAsync(1);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        pair.World.Forge = (_, _, _) => new(2, [], []);
        Assert.StartsWith("451 4.4.3", (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString());
        pair.World.Forge = null;
        pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        pair.HopAnswer = _ => throw new InvalidOperationException("the hop dies");
        Assert.StartsWith("250", (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString());
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        pair.HopAnswer = _ => null;
        pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        await pair.B.WaitAsync(2);
    }
}
