using System.Net;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What strangers try: relaying, bombs, injection, backscatter.</summary>
public partial class AbuseTests
{
    /// <summary>Says lines to a server, one at a time; the replies, each its last line.</summary>
    private static async Task<List<string>> SayAsync(IPEndPoint server, params string[] lines)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server);
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.Latin1);
        var replies = new List<string>();
        async Task ReadAsync()
        {
            while (await reader.ReadLineAsync().WaitAsync(Wait.Bound) is { } line)
                if (line.Length < 4 || line[3] != '-')
                {
                    replies.Add(line);
                    return;
                }
            replies.Add("");
        }
        await ReadAsync();
        foreach (var line in lines)
        {
            await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\r\n"));
            await ReadAsync();
        }
        return replies;
    }

    /// <summary>A relay that leads back to the gateway, and two gateways that are each other's relay: in clear and sealed.</summary>
    [Theory]
    [InlineData("<eve@plain.example>", false)]
    [InlineData("<bob@b.example>", false)]
    [InlineData("<eve@plain.example>", true)]
    [InlineData("<bob@b.example>", true)]
    public async Task Mail_that_goes_round_and_round_ends_as_a_notice(string to, bool overTwo)
    {
        await using var pair = await Pair.CreateAsync();
        pair.World.AddZone("plain.example");
        await using var back = new SmtpSender(() => "loop.example");
        var rounds = 0;
        pair.HopAnswer = seen =>
        {
            var next = overTwo && Interlocked.Increment(ref rounds) % 2 == 1 ? pair.B : pair.A;
            return back.SendAsync(
                    new SmtpTarget("next", next.Gateway.OutboundServer!.EndPoint, TlsMode.None),
                    seen.From,
                    seen.To,
                    [seen.Message],
                    CancellationToken.None
                )
                .GetAwaiter()
                .GetResult()[0];
        };
        await pair.A.SendAsync("<alice@a.example>", [to], "Subject: x\r\n\r\nround\r\n");
        string Logs() => $"{pair.A.Log}\n{pair.B.Log}";
        if (overTwo)
        {
            // Where the other gateway meets the end its report to our sender goes into the same loop; that ends too, and no later.
            await Wait.UntilAsync(
                () => Logs().Contains("554 5.4.6") && (pair.A.Received.Count > 0 || Logs().Contains("notice=false")),
                () => $"{pair.HopSaw.Count} rounds, {Logs()}"
            );
            Assert.InRange(pair.HopSaw.Count, 90, 410);
            return;
        }
        await Wait.UntilAsync(() => pair.A.Received.Any(), () => $"{pair.HopSaw.Count} rounds, {Logs()}");
        Assert.Contains("Status: 5.4.6", Encoding.ASCII.GetString(pair.A.Received.Single().Message));
        Assert.InRange(pair.HopSaw.Count, 90, 101);
    }

    [Fact]
    public async Task What_comes_with_starttls_is_no_command()
    {
        await using var world = new TestWorld();
        var a = await world.AddCompanyAsync("a.example");
        using var client = new TcpClient();
        await client.ConnectAsync(a.Gateway.InboundServer!.EndPoint);
        var stream = client.GetStream();
        var octets = new byte[4096];
        await stream.ReadAtLeastAsync(octets, 4).AsTask().WaitAsync(Wait.Bound);
        await stream.WriteAsync("EHLO x.example\r\n"u8.ToArray());
        await stream.ReadAtLeastAsync(octets, 40).AsTask().WaitAsync(Wait.Bound);
        // One segment: were the rest kept, it would be answered inside TLS as if it had come there (CVE-2011-0411).
        await stream.WriteAsync("STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<mallory@c.example>\r\n"u8.ToArray());
        var read = await stream.ReadAsync(octets).AsTask().WaitAsync(Wait.Bound);
        Assert.Equal("220 2.0.0 go ahead\r\n", Encoding.ASCII.GetString(octets, 0, read));
        await using var tls = new System.Net.Security.SslStream(
            stream,
            false,
            (_, _, _, errors) => errors != System.Net.Security.SslPolicyErrors.RemoteCertificateNotAvailable
        );
        await tls.AuthenticateAsClientAsync("gw.a.example").WaitAsync(Wait.Bound);
        await tls.WriteAsync("NOOP\r\nMAIL FROM:<alice@a.example>\r\n"u8.ToArray());
        var answers = "";
        while (answers.Split("\r\n").Length < 3)
            answers += Encoding.ASCII.GetString(octets, 0, await tls.ReadAsync(octets).AsTask().WaitAsync(Wait.Bound));
        Assert.Equal("250 2.0.0 OK\r\n503 5.5.1 say EHLO first\r\n", answers);
    }

    [Fact]
    public async Task A_million_header_lines_pass_as_they_are_and_in_bounded_time()
    {
        await using var pair = await Pair.CreateAsync();
        var bomb = new StringBuilder("Subject: bomb\r\n");
        for (var i = 0; i < 1_000_000; i++)
            bomb.Append("X: y\r\n");
        var message = bomb.Append("\r\nbody\r\n").ToString();
        var before = Environment.CpuUsage.TotalTime;
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], message))[0].ToString()
        );
        var seen = (await pair.B.WaitAsync(1))[0];
        Assert.EndsWith(message, Encoding.ASCII.GetString(seen.Message));
        Assert.True(
            Environment.CpuUsage.TotalTime - before < TimeSpan.FromSeconds(20),
            $"{Environment.CpuUsage.TotalTime - before}"
        );
    }

    [Theory]
    [InlineData(100_000, "multipart")]
    [InlineData(100_000, "rfc822")]
    public async Task Mime_of_any_depth_is_answered(int depth, string kind)
    {
        await using var pair = await Pair.CreateAsync();
        var bomb = new StringBuilder("From: x@c.example\r\nSubject: deep\r\nMIME-Version: 1.0\r\n");
        for (var i = 0; i < depth; i++)
            bomb.Append(
                kind == "rfc822"
                    ? "Content-Type: message/rfc822\r\n\r\n"
                    : $"Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n"
            );
        bomb.Append(
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n-----BEGIN PGP "
                + "MESSAGE-----\r\n\r\nAAAA\r\n-----END PGP MESSAGE-----\r\n"
        );
        var before = Environment.CpuUsage.TotalTime;
        var reply = (
            await Company.SendAsync(
                pair.B.Gateway.InboundServer!.EndPoint,
                "<x@c.example>",
                ["<pgptunnel@pgptunnel.b.example>"],
                Encoding.ASCII.GetBytes(bomb.ToString())
            )
        )[0];
        Assert.True(reply.IsPermanent || reply.IsPositive, reply.ToString());
        Assert.True(
            Environment.CpuUsage.TotalTime - before < TimeSpan.FromSeconds(20),
            $"{Environment.CpuUsage.TotalTime - before}"
        );
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: still there\r\n\r\nbody\r\n"))[
                0
            ]
                .ToString()
        );
    }

    [Fact]
    public async Task Nobody_writes_log_lines()
    {
        await using var pair = await Pair.CreateAsync();
        var server = pair.A.Gateway.OutboundServer!.EndPoint;
        await SayAsync(
            server,
            "EHLO evil\u001b[2J\u0007.example",
            "MAIL FROM:<\"x event=sealed id=0\"@c.example> SIZE=1 BODY=7BIT",
            "RCPT TO:<a@b.example\tevent=opened>",
            "RCPT TO:<\"=event\"@plain.example>",
            "VRFY \u0085\u2028event=sealed"
        );
        await pair.A.SendAsync(
            "<alice@a.example>",
            ["<bob@b.example>"],
            "Message-ID: <a\u0085event=sealed>\r\n\tevent=forged\r\nSubject: \u001b]0;x\u0007\r\n\r\nbody\r\n"
        );
        foreach (var line in pair.A.Log.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.StartsWith("event=", line);
            Assert.DoesNotContain(line, c => char.IsControl(c) && c != '\r');
        }
        Assert.DoesNotContain("\nevent=forged", pair.A.Log.ToString());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task Success_is_reported_where_the_last_server_leaves_it_to_us_and_only_where_asked(
        bool asked,
        bool givesReceipts
    )
    {
        await using var pair = await Pair.CreateAsync(
            policyB: $"v=PGPT1; m=enforce; fp=FPR{(givesReceipts ? "; rct=1" : "")}"
        );
        await using var plain = new Interop.PlainServer();
        await pair.B.StopAsync();
        var text = File.ReadAllText(pair.B.File);
        File.WriteAllText(
            pair.B.File,
            System.Text.RegularExpressions.Regex.Replace(
                text,
                "\"local\": \"[^\"]*\"",
                $"\"local\": \"{plain.EndPoint}\""
            )
        );
        await pair.B.StartAsync();
        Assert.Contains(
            "sealed",
            (
                await pair.A.SendAsync(
                    "<alice@a.example> ENVID=abc RET=HDRS",
                    [asked ? "<bob@b.example> NOTIFY=SUCCESS ORCPT=rfc822;bob@b.example" : "<bob@b.example>"],
                    "From: alice@a.example\r\nSubject: s\r\n\r\nbody of the message\r\n"
                )
            )[0]
                .ToString()
        );
        await pair.B.WaitForLogAsync("event=delivered");
        if (givesReceipts)
        {
            pair.World.Time.Advance(TimeSpan.FromSeconds(61));
            await pair.A.WaitForLogAsync("event=receipt ");
        }
        if (asked)
        {
            var report = Encoding.UTF8.GetString((await pair.A.WaitAsync(1))[0].Message);
            foreach (
                var part in new[]
                {
                    "Action: relayed",
                    "Final-Recipient: rfc822; bob@b.example",
                    "Original-Recipient: rfc822; bob@b.example",
                    "Original-Envelope-Id: abc",
                    "Status: 2.",
                    "Subject: s",
                }
            )
                Assert.Contains(part, report);
            Assert.DoesNotContain("body of the message", report);
        }
        Assert.All(pair.HopSaw, s => Assert.DoesNotContain("relayed", Encoding.UTF8.GetString(s.Message))); // sealed on the way back
        await pair.B.SettledAsync();
        await pair.A.SettledAsync();
        Assert.Equal(asked ? 1 : 0, pair.A.Received.Count);
    }
}
