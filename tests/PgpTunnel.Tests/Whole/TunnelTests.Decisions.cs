using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What is decided at RCPT and at the end.</summary>
public partial class TunnelTests
{
    /// <summary>Each class once through a real session, for policy prefer and for require.</summary>
    [Theory]
    [InlineData("usable.example", "250 2.1.5 will be sealed", "250 2.1.5 will be sealed")]
    [InlineData("none.example", "250 2.1.5 goes in clear", "550 5.7.10")]
    [InlineData("withdrawn.example", "250 2.1.5 goes in clear", "550 5.7.10")]
    [InlineData("insecure.example", "250 2.1.5 goes in clear", "550 5.7.10")]
    [InlineData("bogus.example", "451 4.4.3", "451 4.4.3")]
    [InlineData("servfail.example", "451 4.4.3", "451 4.4.3")]
    [InlineData("certservfail.example", "451 4.4.3", "451 4.4.3")]
    [InlineData("broken.example", "451 4.7.5", "451 4.7.5")]
    [InlineData("double.example", "451 4.7.5", "451 4.7.5")]
    [InlineData("nocert.example", "451 4.7.5", "451 4.7.5")]
    [InlineData("nocerttesting.example", "250 2.1.5 goes in clear", "451 4.7.5")]
    [InlineData("[127.0.0.1]", "250 2.1.5 goes in clear", "550 5.7.10")]
    public async Task Each_class_at_rcpt(string domain, string prefer, string require)
    {
        await using var pair = await Pair.CreateAsync();
        var world = pair.World;
        const string fpr = "fp=1111111111111111111111111111111111111111";
        void Policy(string zone, params string[] texts)
        {
            foreach (var text in texts)
                world
                    .AddZoneOnce(zone)
                    .Add(DomainName.Parse($"_pgptunnel.{zone}"), RecordType.TXT, TestWorld.Txt(text));
        }
        world.AddZone("none.example");
        Policy("withdrawn.example", "v=PGPT1; m=none");
        world.AddInsecureZone("insecure.example");
        Policy("bogus.example", "v=PGPT1; m=testing; " + fpr);
        Policy("servfail.example", "v=PGPT1; m=testing; " + fpr);
        Policy("broken.example", "v=PGPT1; m=testing; m=testing; " + fpr);
        Policy("double.example", "v=PGPT1; m=testing; " + fpr, "v=PGPT1; m=testing;" + fpr);
        Policy("nocert.example", "v=PGPT1; m=enforce; " + fpr);
        Policy("nocerttesting.example", "v=PGPT1; m=testing; " + fpr);
        Policy("usable.example", $"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}; gw={pair.B.Configuration.Gateway}");
        Policy(
            "certservfail.example",
            $"v=PGPT1; m=testing; fp={pair.B.Key.Fingerprint}; gw=pgptunnel@pgptunnel.certservfail.example"
        );
        var insecure = world.Forge!;
        world.Forge = (name, type, answer) =>
            name.ToString() switch
            {
                "_pgptunnel.bogus.example" => TestWorld.Unsigned(answer),
                "_pgptunnel.servfail.example" => new(2, [], []),
                var n
                    when type == RecordType.OPENPGPKEY
                        && n.EndsWith("certservfail.example", StringComparison.Ordinal) => new(2, [], []),
                _ => insecure(name, type, answer),
            };
        Assert.StartsWith(prefer, await RcptAsync(pair.A, domain));
        await pair.A.StopAsync();
        File.WriteAllText(
            pair.A.File,
            File.ReadAllText(pair.A.File)
                .Replace("\"domains\"", "\"policy\": { \"default\": \"require\" }, \"domains\"")
        );
        await pair.A.StartAsync();
        Assert.StartsWith(require, await RcptAsync(pair.A, domain));
    }

    private static async Task<string> RcptAsync(Company company, string domain)
    {
        var (_, transaction) = await company.Gateway.OutboundFlow.BeginAsync(
            new SmtpClientInfo(System.Net.IPAddress.Loopback, "x", true, false),
            ReversePath.Parse("<alice@a.example>").Path!,
            CancellationToken.None
        );
        return (
            await transaction!.AddAsync(ForwardPath.Parse($"<bob@{domain}>", false).Path!, CancellationToken.None)
        ).ToString();
    }

    [Fact]
    public async Task Mixed_recipients_are_answered_and_sent_each_by_its_own_decision()
    {
        await using var pair = await Pair.CreateAsync(
            moreA: "\"policy\": { \"partners\": { \"strict.example\": { \"policy\": \"require\" } } }"
        );
        pair.World.AddZone("plain.example");
        pair.World.AddZone("strict.example");
        var replies = await pair.A.SendAsync(
            "<alice@a.example>",
            ["<bob@b.example>", "<eve@plain.example>", "<mallory@strict.example>", "<carol@b.example>"],
            Message
        );
        Assert.Equal([250, 250, 550, 250], replies.Select(r => r.Code));
        await pair.B.WaitAsync(1);
        await Wait.UntilAsync(() => pair.HopSaw.Count == 2, () => $"the hop saw {pair.HopSaw.Count}");
        var clear = pair.HopSaw.Single(s => s.To[0].Mailbox.Domain == "plain.example");
        Assert.Matches(
            "^Received: from a.example by gw.a.example .PgpTunnel.\r\n\twith ESMTP id [0-9a-f]{32}; .*\r\n"
                + System.Text.RegularExpressions.Regex.Escape(Message)
                + "$",
            Text(clear.Message)
        );
        Assert.Equal(["<bob@b.example>", "<carol@b.example>"], pair.B.Received[0].To.Select(t => t.ToString()));
    }

    [Fact]
    public async Task A_message_may_ask_for_more_never_for_less()
    {
        await using var pair = await Pair.CreateAsync();
        pair.World.AddZone("plain.example");
        var asking = "PgpTunnel-Require: yes\r\n" + Message;
        var replies = await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>", "<eve@plain.example>"], asking);
        Assert.All(replies, r => Assert.Equal(250, r.Code));
        Assert.EndsWith("\r\n" + Message, Text((await pair.B.WaitAsync(1))[0].Message)); // the field is gone, the rest is untouched
        var notice = Text((await pair.A.WaitAsync(1))[0].Message);
        Assert.Contains("Status: 5.7.10", notice);
        Assert.Contains("Final-Recipient: rfc822; eve@plain.example", notice);
        Assert.DoesNotContain(pair.HopSaw, s => s.To[0].Mailbox.Domain == "plain.example");
        Assert.Equal(
            "550 5.7.10",
            (await pair.A.SendAsync("<alice@a.example>", ["<eve@plain.example>"], asking))[0].ToString()[..10]
        );
        Assert.Equal(
            "554 5.6.0",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "X-PgpTunnel-Require: no\r\n" + Message))[
                0
            ]
                .ToString()[..9]
        );
    }

    [Fact]
    public async Task Larger_than_the_peer_takes_is_552_at_rcpt_and_at_data()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=enforce; fp=FPR; sz=100");
        Assert.StartsWith(
            "552 5.3.4 b.example takes messages of at most 100",
            (await pair.A.SendAsync("<alice@a.example> SIZE=101", ["<bob@b.example>"], Message))[0].ToString()
        );
        var (_, transaction) = await pair.A.Gateway.OutboundFlow.BeginAsync(
            new SmtpClientInfo(System.Net.IPAddress.Loopback, "x", true, false),
            ReversePath.Parse("<alice@a.example>").Path!,
            CancellationToken.None
        );
        await transaction!.AddAsync(ForwardPath.Parse("<bob@b.example>", false).Path!, CancellationToken.None);
        Assert.StartsWith(
            "552 5.3.4 b.example takes messages of at most 100",
            (await transaction.CommitAsync(Encoding.ASCII.GetBytes(Message), CancellationToken.None)).ToString()
        );
    }

    [Fact]
    public async Task Unarmed_seals_nothing_and_what_must_be_sealed_waits()
    {
        await using var pair = await Pair.CreateAsync(publishA: false);
        Assert.Contains("armed=false", pair.A.Gateway.ReadyLine);
        Assert.StartsWith("250 2.1.5 goes in clear: unarmed: a.example", await RcptTestingAsync(pair));
        Assert.StartsWith("451 4.7.5 this gateway is not armed", await RcptAsync(pair.A, "b.example")); // enforce is remembered
        pair.A.Publish(null);
        await pair.A.Gateway.Arming.CheckAsync(CancellationToken.None);
        pair.World.Time.Advance(TimeSpan.FromMinutes(10));
        await pair.A.Gateway.Arming.CheckAsync(CancellationToken.None);
        Assert.Contains("armed=true", pair.A.Gateway.ReadyLine);
    }

    /// <summary>A peer that only tests, asked without anything remembered: unarmed and prefer goes clear.</summary>
    private static async Task<string> RcptTestingAsync(Pair pair)
    {
        pair.World.AddZoneOnce("t.example")
            .Add(
                DomainName.Parse("_pgptunnel.t.example"),
                RecordType.TXT,
                TestWorld.Txt($"v=PGPT1; m=testing; fp={pair.B.Key.Fingerprint}; gw={pair.B.Configuration.Gateway}")
            );
        return await RcptAsync(pair.A, "t.example");
    }

    [Fact]
    public async Task A_failing_lookup_of_our_own_records_disarms_nobody_and_clears_nothing()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.World.Forge = (name, _, answer) =>
            name.ToString().EndsWith("a.example", StringComparison.Ordinal) ? new(2, [], []) : answer;
        pair.World.Time.Advance(TimeSpan.FromDays(1.1));
        await pair.A.Gateway.Arming.CheckAsync(CancellationToken.None);
        Assert.Contains("armed=true", pair.A.Gateway.ReadyLine); // what was found before stands
        await pair.A.StopAsync();
        await pair.A.StartAsync(); // and a gateway that never saw its records defers
        Assert.StartsWith("451 4.4.3 this gateway cannot see its own records", await RcptAsync(pair.A, "b.example"));
    }

    [Fact]
    public async Task An_exempt_mailbox_exempts_nobody_beside_it()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"policy\": { \"default\": \"require\" }");
        var replies = await pair.A.SendAsync(
            "<>",
            ["<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>", "<x@pgptunnel.b.example>"],
            Message
        );
        Assert.Equal([250, 550], replies.Select(r => r.Code));
    }
}
