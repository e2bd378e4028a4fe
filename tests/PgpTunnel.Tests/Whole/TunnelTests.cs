using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Two companies end to end over sockets, with a clock of the test's.</summary>
public partial class TunnelTests
{
    private const string Message =
        "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: CANARY-subject\r\nMessage-ID: <1@a.example>\r\n\r\nCANARY-body\r\n.dot\r\n";

    private static string Text(byte[] octets) => Encoding.Latin1.GetString(octets);

    [Fact]
    public async Task A_message_travels_and_the_hop_reads_nothing()
    {
        await using var pair = await Pair.CreateAsync();
        var reply = (
            await pair.A.SendAsync(
                "<alice@a.example> RET=HDRS ENVID=abc",
                ["<bob@b.example> NOTIFY=FAILURE ORCPT=rfc822;bob@b.example", "<carol@b.example>"],
                Message
            )
        )[0];
        Assert.Matches(
            "^250 2.0.0 [0-9a-f]{32} sealed for b.example key [0-9a-f]{40} dnssec=secure$",
            reply.ToString()
        );
        var seen = Assert.Single(await pair.B.WaitAsync(1));
        Assert.EndsWith(Message, Text(seen.Message));
        Assert.Matches(
            "^Received: from a.example by gw.b.example [^\0]*\r\nPgpTunnel-Result: pass; d=a.example; "
                + "from=aligned;\r\n\tfpr=[0-9a-f]{40}; id=[0-9a-f]{32}\r\nFrom:",
            Text(seen.Message)
        );
        Assert.Equal("<alice@a.example> RET=HDRS ENVID=abc", seen.From.ToString());
        Assert.Equal(
            ["<bob@b.example> NOTIFY=FAILURE ORCPT=rfc822;bob@b.example", "<carol@b.example>"],
            seen.To.Select(t => t.ToString())
        );
        var hop = Assert.Single(pair.HopSaw);
        Assert.Matches("^<pgptunnel\\+[0-9a-f]{32}@pgptunnel.a.example>$", hop.From.ToString());
        Assert.Equal("<pgptunnel@pgptunnel.b.example>", Assert.Single(hop.To).ToString());
        var outer = Text(hop.Message);
        Assert.DoesNotContain("CANARY", outer);
        Assert.DoesNotContain("alice@", outer);
        Assert.DoesNotContain("bob@", outer);
        Assert.All(outer.Split("\r\n"), l => Assert.True(l.Length <= 76 && l.All(c => c is >= ' ' and <= '~'), l));
        Assert.Contains("\r\nSubject: Encrypted message\r\n", outer);
        Assert.Contains("\r\nAuto-Submitted: auto-generated\r\nPgpTunnel: v=1\r\n", outer);
    }

    /// <summary>
    /// Their arrays are used again by others all the time: at the first attempt, when refused for now, and when read from the spool
    /// later.
    /// </summary>
    [Fact]
    public async Task Large_messages_in_hand_at_once_are_kept_apart()
    {
        const int count = 90;
        await using var pair = await Pair.CreateAsync(
            """
            "limits": { "connections": 100, "connectionsPerAddress": 100 }
            """,
            """
            "limits": { "connections": 100, "connectionsPerAddress": 100 }
            """
        );
        pair.World.AddZone("plain.example");
        var messages = Enumerable
            .Range(0, count)
            .Select(n =>
                $"From: alice@a.example\r\nSubject: {n}\r\n\r\n"
                + string.Concat(
                    Enumerable.Repeat($"this line belongs to number {n:000}\r\n", 2500 + (n * 7 % 31 * 800))
                )
            )
            .ToList();
        var refused = new System.Collections.Concurrent.ConcurrentDictionary<int, bool>();
        SmtpReply? RefuseOnce(byte[] message) =>
            int.Parse(HeaderFields.Values(message, "Subject")[0], System.Globalization.CultureInfo.InvariantCulture)
                is var n
            && n % 4 < 2
            && refused.TryAdd(n, true)
                ? new SmtpReply(451, "4.2.0", "later")
                : null;
        pair.B.LocalAnswer = s => RefuseOnce(s.Message);
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "plain.example" ? RefuseOnce(s.Message) : null;
        await Parallel.ForAsync(
            0,
            count,
            new ParallelOptions { MaxDegreeOfParallelism = 15 },
            async (n, _) =>
                Assert.StartsWith(
                    "250",
                    (
                        await pair.A.SendAsync(
                            "<alice@a.example>",
                            [n % 3 == 0 ? "<eve@plain.example>" : "<bob@b.example>"],
                            messages[n]
                        )
                    )[0]
                        .ToString()
                )
        );
        List<byte[]> Arrived() =>
            [
                .. pair.B.Received.Select(s => s.Message),
                .. pair.HopSaw.Where(s => s.To[0].Mailbox.Domain == "plain.example").Select(s => s.Message),
            ];
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromSeconds(30));
                return Arrived().Count >= count + refused.Keys.Count(n => n % 3 == 0);
            },
            () => $"{Arrived().Count} arrived\n{pair.A.Log}\n{pair.B.Log}"
        );
        foreach (var arrived in Arrived())
        {
            var n = int.Parse(
                HeaderFields.Values(arrived, "Subject")[0],
                System.Globalization.CultureInfo.InvariantCulture
            );
            Assert.True(
                Text(arrived).EndsWith(messages[n], StringComparison.Ordinal),
                $"number {n} has other octets than were sent"
            );
        }
        Assert.Equal(count, Arrived().Select(m => HeaderFields.Values(m, "Subject")[0]).Distinct().Count());
    }

    [Fact]
    public async Task Nothing_on_either_gateways_disk_is_readable()
    {
        await using var pair = await Pair.CreateAsync();
        pair.B.LocalAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "plain.example" ? new SmtpReply(451, "4.2.0", "later") : null;
        pair.World.AddZone("plain.example");
        await pair.A.SendAsync(
            "<CANARYalice@a.example>",
            ["<CANARYbob@b.example>", "<CANARYeve@plain.example>"],
            Message
        );
        await pair.B.WaitForLogAsync("delivery-deferred");
        await pair.A.WaitForLogAsync("delivery-deferred");
        foreach (var file in Directory.EnumerateFiles(pair.World.Directory, "*", SearchOption.AllDirectories))
        {
            if (file.EndsWith(".lock", StringComparison.Ordinal))
                continue; // held by the gateway, always empty
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var copy = new MemoryStream();
            await stream.CopyToAsync(copy);
            var text = Text(copy.ToArray());
            Assert.False(text.Contains("CANARY", StringComparison.Ordinal), file);
        }
    }

    [Fact]
    public async Task A_certificate_file_makes_a_partner_usable_without_dns_in_both_directions()
    {
        await using var pair = await Pair.CreateAsync();
        var world = pair.World;
        world.AddInsecureZone("c.example");
        var c = await world.AddCompanyAsync(
            "c.example",
            pair.HopAddress,
            publish: false,
            zone: false,
            more: "\"policy\": { \"partners\": { \"a.example\": { \"policy\": \"require-verified\", \"certificate\": \"../a.cert\" } } }",
            before: () => File.WriteAllBytes(Path.Combine(world.Directory, "a.cert"), pair.A.Key.ExportCertificate())
        );
        File.WriteAllBytes(
            Path.Combine(world.Directory, "c.cert"),
            Armor.Encode(Armor.PublicKeyBlock, c.Key.ExportCertificate())
        );
        Assert.StartsWith("250 2.1.5 goes in clear", await RcptAsync(pair.A, "c.example"));
        await pair.A.StopAsync();
        File.WriteAllText(
            pair.A.File,
            File.ReadAllText(pair.A.File)
                .Replace(
                    "\"domains\"",
                    "\"policy\": { \"partners\": { \"c.example\": { \"policy\": \"require-verified\", "
                        + "\"certificate\": \"../c.cert\" } } }, \"domains\""
                )
        );
        await pair.A.StartAsync();
        pair.Elsewhere["pgptunnel.c.example"] = c;
        Assert.Contains(
            "sealed for c.example",
            (await pair.A.SendAsync("<alice@a.example>", ["<carol@c.example>"], Message))[0].Text
        );
        Assert.Contains("PgpTunnel-Result: pass; d=a.example", Text((await c.WaitAsync(1))[0].Message));
        // c itself is not armed, since its zone is not signed: what must be sealed waits there, and nothing of it leaves in clear.
        Assert.StartsWith("451 4.7.5 this gateway is not armed", await RcptAsync(c, "a.example"));
    }

    [Fact]
    public async Task A_hold_stops_what_is_sealed_already()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitForLogAsync("event=delivery-deferred");
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(
                spool,
                "b.example",
                r =>
                    r with
                    {
                        Override = new PartnerOverride("hold", pair.World.Time.GetUtcNow().AddHours(2), "moving"),
                    }
            );
        pair.HopAnswer = _ => null;
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await pair.A.WaitForLogAsync("held by an administrator");
        Assert.Empty(pair.B.Received);
        pair.World.Time.Advance(TimeSpan.FromHours(2)); // it ends by itself
        await pair.B.WaitAsync(1);
    }

    [Fact]
    public async Task Smtputf8_and_8bit_go_through()
    {
        await using var pair = await Pair.CreateAsync();
        var message = "From: ålice@a.example\r\nSubject: grüße\r\n\r\nkörper\r\n";
        var octets = Encoding.UTF8.GetBytes(message);
        Assert.Equal(
            250,
            (
                await Company.SendAsync(
                    pair.A.Gateway.OutboundServer!.EndPoint,
                    "<ålice@a.example> BODY=8BITMIME SMTPUTF8",
                    ["<böb@b.example>"],
                    octets
                )
            )[0].Code
        );
        var seen = (await pair.B.WaitAsync(1))[0];
        Assert.True(seen.Message.AsSpan().EndsWith(octets));
        Assert.Equal("<ålice@a.example> BODY=8BITMIME SMTPUTF8", seen.From.ToString());
        Assert.Equal("<böb@b.example>", seen.To[0].ToString());
    }

    [Fact]
    public async Task A_forged_result_is_taken_out_and_all_else_stays()
    {
        await using var pair = await Pair.CreateAsync(
            moreB: "\"trace\": { \"token\": \"tok-1\", \"authenticationResults\": true }"
        );
        var forged =
            "PgpTunnel-Result: pass; d=bank.example\r\nAuthentication-Results: "
            + "gw.b.example;\r\n\tdkim=pass\r\nAuthentication-Results: other.example; spf=pass\r\n"
            + Message;
        await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], forged);
        var text = Text((await pair.B.WaitAsync(1))[0].Message);
        Assert.EndsWith("\r\nAuthentication-Results: other.example; spf=pass\r\n" + Message, text);
        Assert.DoesNotContain("bank.example", text);
        Assert.DoesNotContain("dkim=pass", text);
        Assert.Contains(
            ";\r\n\ttoken=tok-1\r\nAuthentication-Results: gw.b.example;\r\n\tx-pgptunnel=pass header.d=a.example policy.from=aligned\r\n",
            text
        );
    }
}
