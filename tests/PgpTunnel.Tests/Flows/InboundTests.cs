using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>
/// Every row of the receiving gateway's table (PROTOCOL.md 7), over a socket; A's parcels are made by hand to be wrong in one way each.
/// </summary>
public sealed partial class InboundTests : InboundSetting
{
    [Fact]
    public async Task A_good_parcel_is_taken_and_its_retransmission_dropped()
    {
        var outer = Outer(Seal(Header()));
        Assert.StartsWith("250 2.0.0", await DeliverAsync(outer));
        await _pair.B.WaitAsync(1);
        Assert.StartsWith("250 2.0.0", await DeliverAsync(outer));
        _pair.World.Time.Advance(TimeSpan.FromDays(7.1)); // expired by now, and still an honest retransmission
        Assert.StartsWith("250 2.0.0", await DeliverAsync(outer));
        await _pair.B.StopAsync();
        await _pair.B.StartAsync();
        Assert.StartsWith("250 2.0.0", await DeliverAsync(outer));
        await _pair.B.SettledAsync();
        Assert.Single(_pair.B.Received);
    }

    [Fact]
    public async Task Ten_thousand_replays_across_restarts_are_delivered_once_a_hops_own_packet_in_front_or_not()
    {
        var octets = Seal(Header());
        // A PKESK of version 3 for some other key, algorithm 18, in front: the same parcel still.
        byte[] foreign = [0xC1, 12, 3, 1, 2, 3, 4, 5, 6, 7, 8, 18, 0, 0, .. octets];
        var outers = new[] { Outer(octets), Outer(foreign) };
        Assert.StartsWith("250 2.0.0", await DeliverAsync(outers[0]));
        await _pair.B.WaitAsync(1);
        const int restarts = 4,
            clients = 4,
            each = 625;
        for (var restart = 0; restart < restarts; restart++)
        {
            await _pair.B.StopAsync();
            await _pair.B.StartAsync();
            var server = _pair.B.Gateway.InboundServer!.EndPoint;
            await Task.WhenAll(
                Enumerable
                    .Range(0, clients)
                    .Select(async _ =>
                    {
                        await using var sender = new SmtpSender(() => "hop.example");
                        for (var i = 0; i < each; i++)
                        {
                            var replies = await sender.SendAsync(
                                new SmtpTarget("b", server, TlsMode.None),
                                ReversePath.Parse("<pgptunnel+0@pgptunnel.a.example>").Path!,
                                [ForwardPath.Parse("<pgptunnel@pgptunnel.b.example>", false).Path!],
                                [outers[i % 2]],
                                CancellationToken.None
                            );
                            Assert.Contains("was taken before", replies[0].ToString());
                        }
                    })
            );
        }
        Assert.Single(_pair.B.Received);
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        Assert.Empty(spool.List());
    }

    [Fact]
    public async Task A_stranger_who_names_a_domain_makes_nothing_be_remembered_of_it_and_raises_no_alarm()
    {
        var c = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.c.example", Now);
        var zone = _pair.World.AddZone("c.example");
        zone.Add(
            DomainName.Parse("_pgptunnel.c.example"),
            RecordType.TXT,
            TestWorld.Txt($"v=PGPT1; m=enforce; fp={c.Fingerprint}")
        );
        zone.Add(
            PolicyRecord.CertificateName("pgptunnel@pgptunnel.c.example"),
            RecordType.OPENPGPKEY,
            c.ExportCertificate()
        );
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        await PeerMemory.ChangeAsync(spool, "a.example", r => r with { Verified = [_pair.A.Key.Fingerprint] });
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.c.example", Now);
        Assert.Equal(
            Uniform,
            await DeliverAsync(Outer(Seal(Header() with { Sender = ("c.example", c.Fingerprint) }, stranger)))
        );
        Assert.Null(spool.FindPeer("c.example"));
        Assert.StartsWith(
            "451 4.7.5",
            await DeliverAsync(Outer(Seal(Header() with { Sender = ("a.example", stranger.Fingerprint) }, stranger)))
        );
        Assert.Null(spool.FindPeer("a.example")!.Alarm);
        Assert.DoesNotContain("alarm=true", _pair.B.Log.ToString());
        // The domain's own parcel is another matter.
        Assert.StartsWith(
            "250",
            await DeliverAsync(
                Outer(
                    Seal(
                        Header() with
                        {
                            Sender = ("c.example", c.Fingerprint),
                            MailFrom = ReversePath.Parse("<carol@c.example>").Path!,
                        },
                        c
                    )
                )
            )
        );
        Assert.NotNull(spool.FindPeer("c.example"));
    }

    [Fact]
    public async Task One_id_with_another_body_is_a_conflict()
    {
        var header = Header();
        Assert.StartsWith("250", await DeliverAsync(header));
        Assert.StartsWith("550 5.7.1", await DeliverAsync(header with { Date = header.Date.AddSeconds(1) }));
        Assert.Contains("alarm=true", _pair.B.Log.ToString());
    }

    [Fact]
    public async Task Everything_from_the_first_packet_to_the_signature_has_one_uniform_answer()
    {
        var good = Seal(Header());
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        byte[] flipped = [.. good[..^30], (byte)(good[^30] ^ 1), .. good[^29..]];
        Assert.Equal(Uniform, await DeliverAsync(Outer(flipped)));
        Assert.Equal(Uniform, await DeliverAsync(Outer(good[..^5])));
        Assert.Equal(Uniform, await DeliverAsync(Outer([1, 2, 3])));
        Assert.Equal(Uniform, await DeliverAsync(Outer([0xC3, 4, 4, 9, 0, 8, .. good])));
        Assert.Equal(Uniform, await DeliverAsync(Outer(Seal(Header(), stranger)))); // signed by a stranger in A's name
        Assert.Equal(Uniform, await DeliverAsync(Outer(Seal("no header block at all"u8.ToArray()))));
        Assert.Equal(
            Uniform,
            await DeliverAsync(Outer(Seal([.. Bodies.Write(Header(), [Encoding.ASCII.GetBytes(Message)]), (byte)'x'])))
        );
        Assert.Empty(_pair.B.Received);
        var detail = _pair.B.Log.ToString();
        Assert.Contains("the padding has other octets", detail);
        Assert.Contains("is wrong", detail);
    }

    /// <summary>While the DNS owes a fresh answer nothing is refused for good on the one of before.</summary>
    [Fact]
    public async Task Nothing_is_refused_for_good_on_an_old_answer()
    {
        Assert.StartsWith("250", await DeliverAsync(Header()));
        var forged = Outer(Seal(Header(), GatewayKey.Generate(GatewayAlgorithm.Ed25519, "x@a.example", Now)));
        _pair.World.Forge = (_, _, _) => new(2, [], []);
        Assert.StartsWith("451 4.7.5", await DeliverAsync(forged)); // asked afresh, in vain
        Assert.StartsWith("451 4.7.5", await DeliverAsync(forged)); // too soon to ask again
        _pair.World.Forge = null;
        _pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(Uniform, await DeliverAsync(forged));
        Assert.Equal(Uniform, await DeliverAsync(forged));
    }

    [Fact]
    public async Task A_parcel_for_a_key_we_lack_waits_two_days()
    {
        var other = GatewayKey.Generate(GatewayAlgorithm.Ed25519, _pair.B.Configuration.Gateway, Now);
        var octets = Seal(Bodies.Write(Header(), [Encoding.ASCII.GetBytes(Message)]), recipient: other);
        Assert.StartsWith("451 4.3.5", await DeliverAsync(Outer(octets)));
        Assert.Contains("alarm=true", _pair.B.Log.ToString());
        Assert.Equal(Uniform, await DeliverAsync(Outer(octets, Now.AddHours(-49))));
    }

    [Fact]
    public async Task Bound_to_its_reader()
    {
        // A key of B's domain for another gateway: opens here only if the Recipient names the key that opened it.
        Assert.StartsWith(
            "550 5.7.1",
            await DeliverAsync(Header() with { Recipient = ("b.example", new string('0', 40)) })
        );
        Assert.StartsWith(
            "550 5.1.2",
            await DeliverAsync(Header("<bob@c.example>") with { Recipient = ("c.example", _pair.B.Key.Fingerprint) })
        );
        Assert.StartsWith("550 5.7.1", await DeliverAsync(Header("<bob@c.example>")));
        Assert.StartsWith("550 5.7.1", await DeliverAsync(Header("<bob@sub.b.example>")));
        Assert.StartsWith("550 5.7.1", await DeliverAsync(Header("<pgptunnel@pgptunnel.b.example>")));
        Assert.StartsWith("250", await DeliverAsync(Header("<bob@B.Example>")));
    }

    [Fact]
    public async Task Times()
    {
        Assert.StartsWith(
            "451 4.7.0",
            await DeliverAsync(Header() with { Date = Now.AddMinutes(61), Expires = Now.AddDays(1) })
        );
        Assert.StartsWith(
            "250",
            await DeliverAsync(Header() with { Date = Now.AddMinutes(59), Expires = Now.AddDays(1) })
        );
        Assert.StartsWith(
            "550 5.4.7",
            await DeliverAsync(Header() with { Date = Now.AddDays(-8), Expires = Now.AddDays(-1) })
        );
        Assert.Equal(Uniform, await DeliverAsync(Header() with { Expires = Now.AddSeconds(-1) }));
        Assert.Equal(Uniform, await DeliverAsync(Header() with { Expires = Now.AddDays(14).AddSeconds(1) }));
    }

    [Fact]
    public async Task What_is_not_understood_is_said_to_a_verified_sender_only()
    {
        var text = Encoding.ASCII.GetString(Bodies.Write(Header(), [Encoding.ASCII.GetBytes(Message)]));
        byte[] With(string from, string to) => Encoding.ASCII.GetBytes(text.Replace(from, to));
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        foreach (
            var body in new[]
            {
                With("Version: 1", "Version: 2"),
                With("Kind: message", "Kind: letter"),
                With("PgpTunnel-Id", "PgpTunnel-Crit-New: x\r\nPgpTunnel-Id"),
            }
        )
        {
            Assert.StartsWith("550 5.5.5", await DeliverAsync(Outer(Seal(body))));
            Assert.Equal(Uniform, await DeliverAsync(Outer(Seal(body, stranger))));
        }
        Assert.StartsWith("250", await DeliverAsync(Outer(Seal(With("PgpTunnel-Id", "X-New: x\r\nPgpTunnel-Id")))));
    }

    [Fact]
    public async Task Larger_than_our_limit_and_bare_newlines_inside()
    {
        var big = new byte[_pair.B.Configuration.Limits.MessageSize + 1];
        Assert.StartsWith(
            "552 5.3.4",
            await DeliverAsync(Outer(Seal(Bodies.Write(Header() with { Size = big.Length }, [big]))))
        );
        Assert.StartsWith(
            "550 5.6.11",
            await DeliverAsync(Outer(Seal(Bodies.Write(Header() with { Size = 10 }, ["a\r\n.\nb\r\nc\n"u8.ToArray()]))))
        );
    }

    [Fact]
    public async Task Only_gateway_mailboxes_are_served()
    {
        foreach (
            var to in new[]
            {
                "<bob@b.example>",
                "<pgptunnel@b.example>",
                "<pgptunnel@pgptunnel.a.example>",
                "<bob%c.example@pgptunnel.b.example>",
                "<postmaster@b.example>",
                "<x@c.example>",
            }
        )
            Assert.StartsWith("550 5.7.1", await DeliverAsync(Outer(Seal(Header())), to: to));
        Assert.StartsWith("250", await DeliverAsync(Outer(Seal(Header())), to: "<PgpTunnel@PGPTUNNEL.b.example>"));
    }
}
