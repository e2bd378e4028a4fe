using System.Net;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// A Postfix set up from samples/postfix, and what a stranger behind the tunnel may try through it. The gateway's own check is left out:
/// <code>  test (in the gateway's place) -> Postfix, port 10026 -> whatever leaves (this test)  </code>
/// </summary>
public sealed class SamplesUnderAttackTests : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly List<Seen> _left = [];

    private static string Sample(string name) =>
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "samples", "postfix", name));

    private static IReadOnlyList<(bool Routing, string Local)> Cases =>
        [
            .. File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Vectors", "routing.txt"))
                .Where(l => l.Length > 0 && l[0] != '#')
                .Select(l => (l.StartsWith("routing", StringComparison.Ordinal), l[9..])),
        ];

    /// <param name="own">How Postfix knows b.example as its own.</param>
    /// <param name="change">What the site makes of main.cf.</param>
    /// <param name="files">Files of the site's own.</param>
    private async Task<Postfix> SetUpAsync(
        string address,
        string own,
        Func<string, string>? change = null,
        Dictionary<string, string>? files = null
    )
    {
        var sink = SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions
            {
                Hostname = "world.example",
                MessageSize = 1_000_000,
                MaxConnectionsPerAddress = 200,
            },
            new CapturingServer(seen =>
            {
                lock (_left)
                    _left.Add(seen);
                return Task.FromResult(SmtpReply.Ok);
            })
        );
        _parts.Add(sink);
        var main = (change ?? (text => text))(Sample("main.cf"))
            .Replace("message_size_limit = 52428800", "")
            .Replace("transport_maps = texthash:/etc/postfix/pgptunnel_transport", "");
        var postfix = await Postfix.StartAsync(
            "b",
            address,
            $"{main}\nrelayhost = [127.0.0.1]:{sink.EndPoint.Port}\n{own}\nlocal_transport = "
                + $"smtp:[127.0.0.1]:{sink.EndPoint.Port}\nvirtual_transport = "
                + $"smtp:[127.0.0.1]:{sink.EndPoint.Port}\nallow_untrusted_routing = yes\nsmtpd_error_sleep_time = "
                + "0\nsmtpd_hard_error_limit = 1000\n",
            Sample("master.cf").Replace("127.0.0.1:10026", $"{address}:10026"),
            new Dictionary<string, string>(files ?? [])
            {
                ["pgptunnel_header_checks"] = Sample("pgptunnel_header_checks"),
            }
        );
        _parts.Add(postfix);
        return postfix;
    }

    [Theory]
    [InlineData("127.0.62.1", "mydestination = b.example")]
    [InlineData("127.0.62.2", "relay_domains = b.example")]
    [InlineData("127.0.62.3", "virtual_mailbox_domains = b.example")]
    // main.cf of a site that overrides the sample
    [InlineData("127.0.62.4", "mydestination = b.example\nallow_percent_hack = yes\nswap_bangpath = yes")]
    public async Task Nothing_leaves_for_anybody_elsewhere(string address, string own)
    {
        Need.Programs("postfix");
        var postfix = await SetUpAsync(address, own);
        await using var sender = new SmtpSender(() => "gw.b.example");
        var target = new SmtpTarget("postfix-b", IPEndPoint.Parse($"{address}:10026"), TlsMode.None);
        string[] direct =
        [
            "victim@elsewhere.example",
            "victim@b.example.elsewhere.example",
            "\"victim@b.example\"@elsewhere.example",
        ];
        foreach (var to in Cases.Select(c => $"{c.Local}@b.example").Concat(direct))
        {
            Assert.True(Mailbox.TryParse(to, false, out var mailbox), to);
            await sender.SendAsync(
                target,
                new ReversePath(new Mailbox("alice", "a.example")),
                [new ForwardPath(mailbox)],
                ["Subject: for you\r\n\r\nx\r\n"u8.ToArray()],
                CancellationToken.None
            );
        }
        // The last one arrives when all before it have gone wherever they go.
        await sender.SendAsync(
            target,
            new ReversePath(new Mailbox("alice", "a.example")),
            [new ForwardPath(new Mailbox("last", "b.example"))],
            ["Subject: last\r\n\r\nx\r\n"u8.ToArray()],
            CancellationToken.None
        );
        await Wait.UntilAsync(
            () =>
                Left.Any(s => s.To.Any(t => t.Mailbox.Local == "last"))
                && !Directory
                    .EnumerateFiles(Path.Combine(postfix.Queue, "active"), "*", SearchOption.AllDirectories)
                    .Any(),
            () => postfix.Log
        );
        Assert.All(
            Left.SelectMany(s => s.To),
            t => Assert.True(t.Mailbox.Domain is "b.example" or "[127.0.0.1]", t.ToString())
        ); // the literal is Postfix itself
        Assert.DoesNotContain("elsewhere.example>, relay=", postfix.Log);
        foreach (
            var (_, local) in Cases.Where(c =>
                !c.Routing && c.Local is "bob" or "bob+tag" or "list-return-bob=elsewhere.example"
            )
        )
            Assert.Contains(Left.SelectMany(s => s.To), t => t.Mailbox.Local == local);
    }

    /// <summary>
    /// What the gateway writes comes through from the gateway only; the site's own checks of headers, parts and bodies see opened mail
    /// like any other, and an attached message keeps its fields.
    /// </summary>
    [Fact]
    public async Task What_only_the_gateway_writes_is_believed_from_it_alone_and_the_site_s_own_checks_stay()
    {
        Need.Programs("postfix");
        const string address = "127.0.62.5";
        const string site = "/^X-Site: /    IGNORE\n/^Content-Type:.*\\.exe/    REJECT no programs\n";
        var postfix = await SetUpAsync(
            address,
            "mydestination = b.example\nbody_checks = regexp:/etc/postfix/site_body",
            main =>
                main.Replace("pgptunnel_site_checks =\n", "pgptunnel_site_checks = regexp:/etc/postfix/site_checks\n"),
            new() { ["site_checks"] = site, ["site_body"] = "/^unspeakable/    REJECT not here\n" }
        );
        const string message =
            "PgpTunnel-Result: pass; d=a.example\r\nAuthentication-Results: gw.b.example;\r\n\tx-pgptunnel=pass\r\nX-Site: x\r\n"
            + "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nPgpTunnel-Result: inner\r\n\r\nx\r\n";
        await using var sender = new SmtpSender(() => "gw.b.example");
        async Task<string> SendAsync(int port, string to, string text) =>
            (
                await sender.SendAsync(
                    new SmtpTarget("postfix-b", IPEndPoint.Parse($"{address}:{port}"), TlsMode.None),
                    new ReversePath(new Mailbox("alice", "a.example")),
                    [new ForwardPath(new Mailbox(to, "b.example"))],
                    [System.Text.Encoding.ASCII.GetBytes(text)],
                    CancellationToken.None
                )
            )[0]
                .ToString();
        foreach (var (port, to) in new[] { (2525, "outside"), (10026, "tunnel") })
        {
            Assert.StartsWith("250", await SendAsync(port, to, message));
            Assert.StartsWith("550", await SendAsync(port, to, "Subject: s\r\n\r\nunspeakable\r\n"));
            Assert.StartsWith("550", await SendAsync(port, to, "Content-Type: application/x; name=a.exe\r\n\r\nx\r\n"));
            await Wait.UntilAsync(() => Left.Any(s => s.To[0].Mailbox.Local == to), () => postfix.Log);
            var came = System.Text.Encoding.ASCII.GetString(Left.First(s => s.To[0].Mailbox.Local == to).Message);
            var ofTunnel = port == 10026;
            Assert.Equal(ofTunnel, came.Contains("PgpTunnel-Result: pass", StringComparison.Ordinal));
            Assert.Equal(ofTunnel, came.Contains("x-pgptunnel=pass", StringComparison.Ordinal));
            Assert.DoesNotContain("X-Site:", came);
            Assert.Contains("PgpTunnel-Result: inner", came);
        }
    }

    private IReadOnlyList<Seen> Left
    {
        get
        {
            lock (_left)
                return [.. _left];
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in Enumerable.Reverse(_parts))
            await part.DisposeAsync();
    }
}
