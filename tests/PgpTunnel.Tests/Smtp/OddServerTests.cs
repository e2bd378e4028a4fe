using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Next servers that refuse in odd places and ways; each is a file in Servers/.</summary>
public sealed class OddServerTests
{
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Servers");

    public static TheoryData<string> Cases =>
        [
            .. Directory
                .EnumerateFiles(Folder)
                .Select(f => Path.GetFileNameWithoutExtension(f)!)
                .Where(n => n != "README")
                .Order(),
        ];

    [Theory, MemberData(nameof(Cases))]
    public async Task Each_gets_its_mail_or_the_sender_hears_why(string name)
    {
        using var server = new OddServer(File.ReadAllLines(Path.Combine(Folder, $"{name}.txt")));
        await using var sender = new SmtpSender(() => "client.example");
        var from = ReversePath.Parse(server["from:"] is { Length: > 0 } given ? given : "<alice@a.example>").Path!;
        var words = server["to:"].Split(' ', 2);
        var parameters =
            words.Length > 1
                ? ForwardPath.Parse($"<x@b.example> {words[1]}", false).Path!
                : new ForwardPath(new Mailbox("x", "b.example"));
        var to = Enumerable
            .Range(0, words[0].Length > 0 ? int.Parse(words[0], System.Globalization.CultureInfo.InvariantCulture) : 1)
            .Select(i => parameters with { Mailbox = new Mailbox($"r{i}", "b.example") })
            .ToList();
        var message = Encoding.Latin1.GetBytes(
            server["message:"] switch
            {
                "8bit" => "Subject: s\r\n\r\n\xE9\r\n",
                "8bit-header" => "Subject: \xE9\r\n\r\nx\r\n",
                "nul-dot" => "Subject: s\r\n\r\nx\r\n\0.\r\nMAIL FROM:<mallory@c.example>\r\n",
                _ => "Subject: s\r\n\r\n.dot\r\nx\r\n",
            }
        );
        var outcome = "";
        for (
            var i = 0;
            i
                < (
                    server["send:"] is { Length: > 0 } times
                        ? int.Parse(times, System.Globalization.CultureInfo.InvariantCulture)
                        : 1
                );
            i++
        )
            try
            {
                var replies = await sender
                    .SendAsync(
                        new SmtpTarget("odd", server.EndPoint, TlsMode.Opportunistic, Without: server["without:"]),
                        from,
                        to,
                        [message],
                        CancellationToken.None
                    )
                    .WaitAsync(TimeSpan.FromSeconds(60));
                Assert.Equal(to.Count, replies.Count);
                outcome = string.Join(", ", replies);
            }
            catch (SmtpUnavailableException e)
            {
                Assert.True(e.Reply.IsTemporary);
                outcome = "unavailable";
            }
        var expected = server["expect:"].Split(", ");
        Assert.True(
            expected.Zip(outcome.Split(", ")).All(p => p.Second.StartsWith(p.First, StringComparison.Ordinal)),
            $"expected {server["expect:"]}, got {outcome}\n{server.Told}"
        );
        Assert.Equal(
            server["taken:"] is { Length: > 0 } taken ? taken : "0",
            server.Taken.ToString(System.Globalization.CultureInfo.InvariantCulture)
        );
        if (server["sees:"] is { Length: > 0 } sees)
            Assert.Contains(sees.Replace("\\n", "\n"), server.Told);
        if (server["never:"] is { Length: > 0 } never)
            Assert.DoesNotContain(never.Replace("\\n", "\n"), server.Told);
    }

    /// <summary>Who has it already must not get it again because the gateway goes down before the rest has it.</summary>
    [Fact]
    public async Task Verdicts_of_a_first_transaction_stand_when_the_second_is_called_off()
    {
        using var server = new OddServer(["RCPT 2 : 452 4.5.3 one at a time", "MAIL #2 :"]);
        await using var sender = new SmtpSender(() => "client.example");
        using var down = new CancellationTokenSource();
        ForwardPath[] to = [new(new Mailbox("r0", "b.example")), new(new Mailbox("r1", "b.example"))];
        var sending = sender.SendAsync(
            new SmtpTarget("odd", server.EndPoint, TlsMode.None),
            ReversePath.Parse("<alice@a.example>").Path!,
            to,
            ["x\r\n"u8.ToArray()],
            down.Token
        );
        await Wait.UntilAsync(() => server.Told.Split("MAIL").Length == 3, () => server.Told);
        await down.CancelAsync();
        Assert.Equal(["250", "451"], (await sending).Select(r => r.ToString()[..3]));
    }

    /// <summary>A server that answers and would still take no mail as the configuration has it is no good server.</summary>
    [Theory]
    [InlineData(TlsMode.Opportunistic, false, null)]
    [InlineData(TlsMode.Require, false, "STARTTLS")]
    [InlineData(TlsMode.Verify, false, "STARTTLS")]
    [InlineData(TlsMode.Opportunistic, true, "login")]
    public async Task Greeting_tells_what_would_keep_mail_back(TlsMode tls, bool login, string? refusal)
    {
        using var server = new OddServer(["offers: 8BITMIME"]);
        var target = new SmtpTarget("odd", server.EndPoint, tls, login ? new SmtpLogin("u", "p") : null);
        var greeting = await SmtpSender.GreetAsync(target, "client.example", CancellationToken.None);
        Assert.Equal("odd.example", greeting.Text);
        if (refusal is null)
            Assert.Null(greeting.Refusal);
        else
            Assert.Contains(refusal, greeting.Refusal);
    }

    [Theory]
    [InlineData("x\r\n\0.\r\n", true)]
    [InlineData("x\r\n\0\0.y\r\n", true)]
    [InlineData("\0.\r\n", true)]
    [InlineData("x\r\0\n.\r\n", true)]
    [InlineData("x\r\n|\0|.|\r\n", true)]
    [InlineData("x\r|\n\0|.\r\n", true)]
    [InlineData("x\r\n.\0\r\n", false)]
    [InlineData("x\r\n\0x.\r\n", false)]
    [InlineData("x\0.\r\n.\r\n", false)]
    [InlineData("x\r\n\0\r\n.\r\n", false)]
    public void Dots_hidden_by_nuls_are_seen(string parts, bool hides) =>
        Assert.Equal(
            hides,
            OutgoingMessage
                .Of([.. parts.Split('|').Select(p => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(p))])
                .HidesDots
        );
}
