using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What comes back to a token address, in whatever form; the forms are files in Bounces/.</summary>
public sealed class ReturnsTests
{
    private const string Message = "From: alice@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Bounces");

    public static TheoryData<string> Cases =>
        [.. File.ReadAllLines(Path.Combine(Folder, "verdicts.txt")).Where(l => l.Length > 0 && l[0] != '#')];

    [Theory, MemberData(nameof(Cases))]
    public void Each_form_says_what_it_says(string line)
    {
        var (name, expected) = Vectors.Split(line);
        Assert.Equal(expected, Returns.Read(File.ReadAllBytes(Path.Combine(Folder, $"{name}.eml"))) ?? "none");
    }

    private static async Task<(Pair Pair, string Token)> HandedAsync()
    {
        var pair = await Pair.CreateAsync();
        pair.HopAnswer = seen => seen.From.Mailbox is null ? null : SmtpReply.Ok; // it goes no further
        Assert.Contains(
            "sealed",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        await pair.A.WaitForLogAsync("event=delivered");
        return (pair, pair.HopSaw[0].From.Mailbox!.ToString());
    }

    private static async Task<string> ReportAsync(Pair pair, string to, byte[] message, string from = "<>") =>
        (await Company.SendAsync(pair.A.Gateway.InboundServer!.EndPoint, from, [$"<{to}>"], message, "SIZE"))[0]
            .ToString();

    [Theory]
    [InlineData("RCPT TO:<TOKEN> FOO=1")]
    [InlineData("RCPT TO:<TOKEN> NOTIFY=SOMETIMES")]
    [InlineData("RCPT TO:TOKEN")]
    public async Task Nothing_at_a_token_is_refused_for_good_without_a_line_in_the_log(string command)
    {
        var (pair, token) = await HandedAsync();
        await using var ended = pair;
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync(pair.A.Gateway.InboundServer!.EndPoint);
        using var reader = new StreamReader(client.GetStream());
        await reader.ReadLineAsync();
        var last = "";
        foreach (var line in new[] { "HELO x", "MAIL FROM:<>", command.Replace("TOKEN", token) })
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"{line}\r\n"));
            last = await reader.ReadLineAsync() ?? "";
        }
        Assert.StartsWith("5", last);
        await pair.A.WaitForLogAsync("event=inbound-refused");
        Assert.Contains(token, pair.A.Log.ToString().Split("event=inbound-refused")[1]);
    }

    [Fact]
    public async Task The_sender_is_told_once_and_nothing_else_changes()
    {
        var (pair, token) = await HandedAsync();
        await using var ended = pair;
        Assert.StartsWith(
            "250",
            await ReportAsync(pair, token, File.ReadAllBytes(Path.Combine(Folder, "delayed.eml")))
        );
        Assert.StartsWith(
            "250",
            await ReportAsync(pair, token, File.ReadAllBytes(Path.Combine(Folder, "out-of-office.eml")))
        );
        Assert.Empty(pair.A.Received);
        Assert.StartsWith("250", await ReportAsync(pair, token, File.ReadAllBytes(Path.Combine(Folder, "qmail.eml"))));
        var told = Encoding.ASCII.GetString((await pair.A.WaitAsync(1))[0].Message);
        Assert.Contains("Status: 5.0.0", told);
        Assert.Contains("unauthenticated", told);
        for (var i = 0; i < 3; i++)
            Assert.StartsWith(
                "250",
                await ReportAsync(pair, token, File.ReadAllBytes(Path.Combine(Folder, "failed.eml")))
            );
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            Assert.Equal(
                (ParcelState.Handed, true),
                (spool.FindToken(token.Split('+', '@')[1])!.State, spool.FindToken(token.Split('+', '@')[1])!.IsTold)
            );
        Assert.Single(pair.A.Received);
        Assert.Contains("its sender has been told before", pair.A.Log.ToString());
    }

    [Fact]
    public async Task A_report_that_is_larger_than_any_message_is_read_at_its_beginning()
    {
        var (pair, token) = await HandedAsync();
        await using var ended = pair;
        var start = File.ReadAllBytes(Path.Combine(Folder, "failed.eml"));
        var large = new byte[pair.A.Configuration.Limits.OuterSize + 1_000_000];
        start.CopyTo(large, 0);
        for (var at = start.Length; at < large.Length; at++)
            large[at] = ((at - start.Length) % 78) switch
            {
                76 => (byte)'\r',
                77 => (byte)'\n',
                _ => (byte)'x',
            };
        Assert.StartsWith("250", await ReportAsync(pair, token, large));
        Assert.Contains("Status: 5.1.1", Encoding.ASCII.GetString((await pair.A.WaitAsync(1))[0].Message));
        Assert.StartsWith("552", await ReportAsync(pair, pair.A.Configuration.Gateway, large)); // to the mailbox itself the limit stands
    }

    [Fact]
    public async Task Bare_newlines_are_a_form_too()
    {
        var (pair, token) = await HandedAsync();
        await using var ended = pair;
        await using var sender = new SmtpSender(() => "hop.example");
        var report = File.ReadAllBytes(Path.Combine(Folder, "failed.eml")).Where(o => o != '\r').ToArray();
        Assert.Equal(
            250,
            (
                await sender.SendAsync(
                    new SmtpTarget("a", pair.A.Gateway.InboundServer!.EndPoint, TlsMode.None),
                    new ReversePath((Mailbox?)null),
                    [ForwardPath.Parse($"<{token}>", false).Path!],
                    [report],
                    CancellationToken.None
                )
            )[0].Code
        );
        await pair.A.WaitAsync(1);
    }

    [Fact]
    public async Task Nothing_is_refused_at_a_token_address_without_a_line_in_the_log()
    {
        var (pair, token) = await HandedAsync();
        await using var ended = pair;
        Assert.StartsWith("550 5.1.1", await ReportAsync(pair, token, "x\r\n"u8.ToArray(), "<mallory@c.example>"));
        Assert.Contains("event=report-refused", pair.A.Log.ToString());
        var unknown = $"pgptunnel+{new string('0', 32)}@pgptunnel.a.example";
        Assert.StartsWith("550 5.1.1", await ReportAsync(pair, unknown, "x\r\n"u8.ToArray()));
        Assert.Contains($"token={new string('0', 32)}", pair.A.Log.ToString());
        Assert.StartsWith("550", await ReportAsync(pair, "pgptunnel+@pgptunnel.a.example", "x\r\n"u8.ToArray()));
    }

    /// <summary>One mail to two tokens is about two parcels: both senders hear of it.</summary>
    [Fact]
    public async Task A_report_to_two_tokens_is_one_for_each()
    {
        await using var pair = await Pair.CreateAsync();
        pair.HopAnswer = s => s.To[0].Mailbox.Domain == "pgptunnel.b.example" ? SmtpReply.Ok : null;
        for (var i = 0; i < 2; i++)
            await pair.A.SendAsync("<alice@a.example>", [$"<bob{i}@b.example>"], "Subject: s\r\n\r\nbody\r\n");
        await Wait.UntilAsync(
            () => pair.A.Log.ToString().Split("event=delivered").Length == 3,
            () => pair.A.Log.ToString()
        );
        var tokens = pair.HopSaw.Select(s => $"<{s.From.Mailbox}>").ToList();
        var replies = await Company.SendAsync(
            pair.A.Gateway.InboundServer!.EndPoint,
            "<>",
            tokens,
            "From: mailer-daemon@hop.example\r\nSubject: undeliverable\r\n\r\nno\r\n"u8.ToArray()
        );
        Assert.All(replies, r => Assert.Equal(250, r.Code));
        var told = (await pair.A.WaitAsync(2)).Select(s => Encoding.ASCII.GetString(s.Message)).ToList();
        Assert.Contains(told, m => m.Contains("bob0@b.example"));
        Assert.Contains(told, m => m.Contains("bob1@b.example"));
    }
}
