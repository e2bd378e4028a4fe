using System.Net;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Whom it serves, and whom not.</summary>
public partial class AbuseTests
{
    public static TheoryData<string> Relays => Vectors.Lines("relay.txt");

    [Theory, MemberData(nameof(Relays))]
    public async Task No_recipient_makes_it_a_relay(string recipient)
    {
        await using var pair = await Pair.CreateAsync();
        foreach (var options in new[] { "", " SMTPUTF8" })
        foreach (
            var from in new[] { "<>", "<mallory@c.example>", "<bob@b.example>", "<pgptunnel+0@pgptunnel.b.example>" }
        )
        {
            var replies = await SayAsync(
                pair.B.Gateway.InboundServer!.EndPoint,
                "EHLO relay.example",
                $"MAIL FROM:{from}{options}",
                $"RCPT TO:{recipient}",
                "DATA"
            );
            Assert.Matches("^5", replies[^2]);
            Assert.Matches("^5", replies[^1]);
        }
        Assert.Empty(pair.B.Received);
        Assert.Empty(pair.HopSaw);
    }

    [Fact]
    public async Task Who_is_in_no_network_of_ours_sends_nothing_out()
    {
        await using var world = new TestWorld();
        var a = await world.AddCompanyAsync("a.example");
        var text = File.ReadAllText(a.File)
            .Replace(
                "\"outbound\": { \"address\": \"127.0.0.1:0\" }",
                "\"outbound\": { \"address\": \"127.0.0.1:0\", \"networks\": [\"192.0.2.0/24\"] }"
            );
        await a.StopAsync();
        File.WriteAllText(a.File, text);
        await a.StartAsync();
        foreach (var from in new[] { "<>", "<alice@a.example>", "<pgptunnel+0@pgptunnel.a.example>" })
            Assert.Matches(
                "^550 5.7.1",
                (await SayAsync(a.Gateway.OutboundServer!.EndPoint, "EHLO x.example", $"MAIL FROM:{from}"))[^1]
            );
    }

    [Fact]
    public async Task Strangers_get_no_mail_from_us()
    {
        // Whatever comes to the inbound listener, no address that it names is ever written to.
        await using var pair = await Pair.CreateAsync(
            moreB: "\"retry\": { \"first\": \"00:00:01\", \"longest\": \"00:00:01\", \"giveUp\": \"00:01:00\" }"
        );
        pair.B.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "nobody");
        var (server, victim) = (pair.B.Gateway.InboundServer!.EndPoint, "<victim@c.example>");
        await Company.SendAsync(
            server,
            victim,
            ["<pgptunnel@pgptunnel.b.example>"],
            "From: victim@c.example\r\nSubject: hello\r\n\r\na person writes\r\n"u8.ToArray()
        );
        await Company.SendAsync(
            server,
            victim,
            ["<postmaster@pgptunnel.b.example>"],
            "From: victim@c.example\r\nSubject: hello\r\n\r\na person writes\r\n"u8.ToArray()
        );
        Assert.StartsWith("250", await DeliverForwardedAsync(pair));
        for (var i = 0; i < 10; i++)
            pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        await pair.B.WaitForLogAsync("event=held"); // the last of what becomes of all these
        Assert.DoesNotContain(pair.HopSaw, s => s.To.Any(t => t.Mailbox.Domain == "c.example"));
        Assert.Empty(pair.HopSaw);
    }

    /// <summary>
    /// Mail for nobody here, from a sender who may not be told: kept for a person to see, but not without end where a stranger brings it.
    /// </summary>
    [Theory]
    [InlineData(999, false, "event=held")]
    [InlineData(1000, false, "event=discarded")]
    [InlineData(1000, true, "event=held")]
    public async Task What_strangers_have_held_has_a_bound(int held, bool partner, string expected)
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "nobody");
        var now = pair.World.Time.GetUtcNow();
        await using (var spool = Spool.Open(pair.B.Configuration.SpoolFile, running: false))
        {
            Parcel Held(int number) =>
                new()
                {
                    Id = $"{number}",
                    Route = ParcelRoute.Local,
                    Form = ParcelForm.Received,
                    Domain = "a.example",
                    State = ParcelState.Held,
                    Leaving = Leaving.AsDecided,
                    Created = now,
                    Expires = now,
                    Next = now,
                };
            await spool.CommitAsync(
                new()
                {
                    Add = [.. Enumerable.Range(0, held).Select(n => (Held(n), new ParcelContent(new byte[1], [], [])))],
                }
            );
            if (partner)
                await PeerMemory.ChangeAsync(spool, "a.example", r => r with { Sealed = now });
        }
        Assert.StartsWith("250", await DeliverForwardedAsync(pair));
        await pair.B.WaitForLogAsync(expected);
        Assert.Contains("alarm=true", pair.B.Log.ToString());
    }

    /// <summary>A parcel of A's for B: a sender who is not of A's domain. The reply to it.</summary>
    private static async Task<string> DeliverForwardedAsync(Pair pair)
    {
        var now = pair.World.Time.GetUtcNow();
        var header = pair.Header("<bob@b.example> NOTIFY=SUCCESS,FAILURE,DELAY", 18) with
        {
            MailFrom = ReversePath.Parse("<victim@c.example>").Path!,
        };
        var peer = Certificate.Read(pair.B.Key.ExportCertificate()).Judge(pair.B.Configuration.Gateway, now).Key!;
        var octets = MessageSealer
            .Seal(ParcelBody.Parts(header, ["Subject: x\r\n\r\nab\r\n"u8.ToArray()]), pair.A.Key, peer, now)
            .Octets.ToArray();
        byte[] outer =
        [
            .. OuterMessage
                .Build(pair.A.Configuration.Gateway, pair.B.Configuration.Gateway, "t", now, octets)
                .SelectMany(p => p.ToArray()),
        ];
        var replies = await Company.SendAsync(
            pair.B.Gateway.InboundServer!.EndPoint,
            "<pgptunnel+0@pgptunnel.a.example>",
            ["<pgptunnel@pgptunnel.b.example>"],
            outer
        );
        return replies[0].ToString();
    }
}
