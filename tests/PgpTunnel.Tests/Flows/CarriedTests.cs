using System.Text;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What must be carried although it is unusual, and how reports about it look.</summary>
public sealed class CarriedTests
{
    private const string Message = "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    /// <summary>As forwarders, lists, mailbox forwarding and ticket systems write them.</summary>
    public static TheoryData<string> LongLocals =>
        [
            new string('x', 65),
            "someone.with.a.name+caf_=orders_8b506e99-b5c5-4e14-8294-f5ebd6083faa=mail.c.example",
            "SRS0=fGv9=BC=a.longish-marketing-domain.example=bounce-4IDNASXYtY_FG21s4IoV1XzCfCtHkb2RZY-6A",
            "reply+00c1c8ff5f0c5a5b7a2d1c0c6d5a7a0ff0d9e1e1f7b4ce8892cf00000001173a1d0c92a169ce1018b0fe",
            "\"" + string.Concat(Enumerable.Repeat("a b", 30)) + "\"",
            new string('y', 250),
        ];

    [Theory, MemberData(nameof(LongLocals))]
    public async Task Long_local_parts_are_carried_as_recipient_and_as_sender(string local)
    {
        await using var pair = await Pair.CreateAsync();
        Assert.All(
            await pair.A.SendAsync(
                "<alice@a.example>",
                [$"<{local}@b.example>", "<bob@b.example>", "<eve@b.example>"],
                Message
            ),
            r => Assert.Contains("sealed", r.ToString())
        );
        await pair.B.WaitAsync(2);
        // It has a parcel of its own, since a gateway of version 0.1 would refuse the others with it.
        Assert.Equal([1, 2], pair.B.Received.Select(r => r.To.Count).Order());
        Assert.Contains(pair.B.Received, r => r.To[0].Mailbox.ToString() == $"{local}@b.example");
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync($"<{local}@a.example>", ["<nobody@b.example>"], Message))[0].ToString()
        );
        await pair.B.WaitAsync(3);
        Assert.Equal($"{local}@a.example", pair.B.Received[2].From.Mailbox!.ToString());
        pair.B.LocalAnswer = _ => new SmtpReply(550, "5.1.1", "no such user");
        await pair.A.SendAsync($"<{local}@a.example>", ["<nobody@b.example>"], Message);
        Assert.Equal($"{local}@a.example", (await pair.A.WaitAsync(1))[0].To[0].Mailbox.ToString());
    }

    [Fact]
    public async Task Beyond_what_a_parcel_holds_the_limit_is_named()
    {
        await using var pair = await Pair.CreateAsync();
        foreach (var local in new[] { new string('x', 251), $"\"{new string(' ', 251)}\"" })
        {
            var reply = await SayAsync(pair, "MAIL FROM:<alice@a.example>", $"RCPT TO:<{local}@b.example>");
            Assert.StartsWith("501 5.1.3", reply);
            Assert.Contains("250 octets", reply);
        }
        Assert.StartsWith(
            "550 5.5.4",
            await SayAsync(
                pair,
                "MAIL FROM:<alice@a.example>",
                $"RCPT TO:<{new string('x', 250)}@{string.Join('.', Enumerable.Repeat(new string('d', 60), 4))}> "
                    + $"ORCPT=rfc822;{new string('o', 490)}"
            )
        );
    }

    private static async Task<string> SayAsync(Pair pair, params string[] lines)
    {
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(pair.A.Gateway.OutboundServer!.EndPoint);
        using var reader = new StreamReader(client.GetStream(), Encoding.Latin1);
        await reader.ReadLineAsync();
        var last = "";
        foreach (var line in lines.Prepend("EHLO x.example"))
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(line + "\r\n"));
            do last = await reader.ReadLineAsync() ?? "";
            while (last.Length > 3 && last[3] == '-');
        }
        return last;
    }

    [Fact]
    public async Task A_refusal_of_a_parcel_that_holds_one_never_leads_to_clear_text()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=testing; fp=FPR");
        pair.HopAnswer = seen =>
            seen.To[0].Mailbox.Domain == "pgptunnel.b.example"
                ? new SmtpReply(550, "5.7.5", "the parcel does not open and verify")
                : null;
        await pair.A.SendAsync("<alice@a.example>", [$"<{new string('x', 65)}@b.example>"], Message);
        await pair.A.SendAsync($"<{new string('y', 65)}@a.example>", ["<bob@b.example>"], Message);
        await pair.A.WaitAsync(2);
        for (var hour = 0; hour < 8; hour++)
            pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.All(pair.HopSaw, s => Assert.Equal("pgptunnel.b.example", s.To[0].Mailbox.Domain));
    }

    [Theory]
    [InlineData("RCPT : 550 5.7.1 black ip \xB7\xA2\xD0\xC5IP", @"\x{B7}\x{A2}\x{D0}\x{C5}")]
    [InlineData("RCPT : 550 5.1.1 Empf\xE4nger unbekannt", @"Empf\x{E4}nger")]
    [InlineData("RCPT : 550 5.1.1 Empf\xC3\xA4nger unbekannt", @"Empf\x{E4}nger")]
    [InlineData("RCPT : 550-5.1.1 Empf\xE4nger|550 5.1.1 \xFCnbekannt", @"Empf\x{E4}nger \x{FC}nbekannt")]
    [InlineData("MAIL : 550 5.7.1 \xE4", @"\x{E4}")]
    [InlineData("CONTENT : 554 5.6.0 \xE4", @"\x{E4}")]
    [InlineData("RCPT : 550 5.1.1 plain", "plain")]
    public async Task Reports_have_seven_bits(string rule, string said)
    {
        await using var world = new TestWorld();
        world.AddZone("plain.example");
        using var relay = new OddServer(["offers: 8BITMIME", rule]);
        var a = await world.AddCompanyAsync("a.example", relay.EndPoint);
        var message = Encoding.Latin1.GetBytes(
            "From: \xE4lice <alice@a.example>\r\nSubject: gr\xFC\xDFe\r\n\r\nbody\r\n"
        );
        Assert.Equal(
            250,
            (
                await Company.SendAsync(
                    a.Gateway.OutboundServer!.EndPoint,
                    "<alice@a.example>",
                    ["<eve@plain.example>"],
                    message
                )
            )[0].Code
        );
        var report = (await a.WaitAsync(1))[0].Message;
        Assert.True(report.AsSpan().IndexOfAnyInRange((byte)0x80, (byte)0xFF) < 0, Encoding.Latin1.GetString(report));
        var parsed = await MimeKit.MimeMessage.LoadAsync(new MemoryStream(report), CancellationToken.None);
        var status = Assert.Single(parsed.BodyParts.OfType<MimeKit.MessageDeliveryStatus>());
        Assert.Equal(MimeKit.ContentEncoding.SevenBit, status.ContentTransferEncoding);
        Assert.Contains(said, status.StatusGroups[1]["Diagnostic-Code"]);
        Assert.Contains(
            parsed.BodyParts.OfType<MimeKit.MimePart>(),
            p => p.ContentType.IsMimeType("text", "rfc822-headers")
        );
    }

    [Theory]
    [InlineData("<pgptunnel@pgptunnel.b.example>", "plain", 550)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", "report", 550)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", "parcel", 250)]
    [InlineData("<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>", "plain", 250)]
    [InlineData("<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>", "large", 550)]
    [InlineData("<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>", "large report", 250)]
    [InlineData("<pgptunnel+0123456789abcdef0123456789abcdef@pgptunnel.b.example>", "parcel", 250)]
    [InlineData("<pgptunnel+01@pgptunnel.b.example>", "plain", 550)]
    [InlineData("<pgptunnel+0123456789abcdef0123456789abcdeg@pgptunnel.b.example>", "plain", 550)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", "armored text", 550)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", "begin line", 550)]
    public async Task The_null_sender_alone_exempts_nothing(string to, string what, int code)
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"policy\": { \"default\": \"require\" }");
        var filler = string.Concat(
            Enumerable.Repeat("a line of text\r\n", what.StartsWith("large", StringComparison.Ordinal) ? 5000 : 1)
        );
        var message = what switch
        {
            "parcel" => $"Subject: x\r\n\r\n{Encoding.ASCII.GetString(Armor.Encode(Armor.Message, Sealed(pair)))}",
            "armored text" =>
                $"Subject: x\r\n\r\n{Encoding.ASCII.GetString(Armor.Encode(Armor.Message, new byte[400]))}",
            "begin line" => $"Subject: secret\r\n\r\n{filler}-----BEGIN PGP MESSAGE-----\r\n",
            "report" or "large report" =>
                $"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n{filler}--b--\r\n",
            _ => $"Subject: secret\r\n\r\n{filler}",
        };
        Assert.Equal(code, (await pair.A.SendAsync("<>", [to], message))[0].Code);
        if (code == 550)
            Assert.Equal(550, (await pair.A.SendAsync("<>", [to], "PgpTunnel-Require: yes\r\n" + message))[0].Code);
    }

    /// <summary>Bounces of a partner's parcels, made by our own server, whatever its gateway is called.</summary>
    [Fact]
    public async Task A_gateway_of_another_name_gets_its_bounces_too()
    {
        await using var pair = await Pair.CreateAsync(
            moreA: "\"policy\": { \"default\": \"require\" }",
            moreB: "\"gateway\": \"crypt@mail.b.example\""
        );
        const string report = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
        var token = $"<crypt+{ParcelLife.NewId()}@mail.b.example>";
        Assert.Equal(250, (await pair.A.SendAsync("<>", [token], report))[0].Code);
        Assert.Equal(550, (await pair.A.SendAsync("<>", ["<crypt@mail.b.example>"], report))[0].Code);
        Assert.Equal(
            550,
            (await pair.A.SendAsync("<>", [$"<other+{ParcelLife.NewId()}@mail.b.example>"], report))[0].Code
        );
    }

    private static byte[] Sealed(Pair pair)
    {
        var now = pair.World.Time.GetUtcNow();
        var reader = Certificate.Read(pair.B.Key.ExportCertificate()).Judge(pair.B.Configuration.Gateway, now).Key!;
        return MessageSealer.Seal(["x"u8.ToArray()], pair.A.Key, reader, now).Octets.ToArray();
    }

    /// <summary>
    /// What must wait, or cannot be told to anybody, keeps the whole message with its client: nothing of it is taken and dropped.
    /// </summary>
    [Fact]
    public async Task A_recipient_that_must_wait_is_not_taken_along_with_others()
    {
        await using var pair = await Pair.CreateAsync(moreA: "\"policy\": { \"default\": \"require-verified\" }");
        var replies = await pair.A.SendAsync(
            "<>",
            ["<pgptunnel@pgptunnel.b.example>", "<alice@a.example>"],
            "Subject: no parcel\r\n\r\nx\r\n"
        );
        Assert.Equal(451, replies[^1].Code);
        Assert.Empty(pair.HopSaw);
    }
}
