using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What may change while a parcel waits: keys, records, the mode; and what may not.</summary>
public sealed class WhileItWaitsTests
{
    private const string Message =
        "From: alice@a.example\r\nSubject: CANARY\r\nMessage-ID: <1@a.example>\r\n\r\nbody\r\n";

    private static string Text(byte[] octets) => Encoding.Latin1.GetString(octets);

    [Fact]
    public async Task Testing_and_prefer_go_clear_after_a_final_refusal_and_nothing_else_does()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.HopAnswer = s =>
            s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? new SmtpReply(550, "5.7.5", "no") : null;
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await RefusedForHoursAsync(pair, 4);
        // not for a few refusals, nor for a bad hour
        Assert.All(pair.HopSaw, s => Assert.Equal("pgptunnel.b.example", s.To[0].Mailbox.Domain));
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
        pair.HopAnswer = s =>
            s.To[0].Mailbox.Domain == "pgptunnel.b.example"
                ? new SmtpReply(550, "5.7.5", "no")
                : new SmtpReply(451, "4.2.0", "greylisted");
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
        foreach (var file in Directory.EnumerateFiles(pair.B.Configuration.Keys.Directory))
            File.Delete(file);
        pair.B.Key = GatewayKey.Generate(
            GatewayAlgorithm.Ed25519,
            pair.B.Configuration.Gateway,
            pair.World.Time.GetUtcNow()
        );
        KeyRing.Write(pair.B.Configuration.Keys.Directory, pair.B.Key, null, pair.World.Time.GetUtcNow());
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
        Assert.Contains(
            "in clear for b.example",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].Text
        );
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
        await Wait.UntilAsync(
            () => pair.A.Log.ToString().Split("event=delivery-deferred").Length == 3,
            () => pair.A.Log.ToString()
        );
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
}
