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
    private async Task<Postfix> SetUpAsync(string address, string own)
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
        var main = Sample("main.cf")
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
            new Dictionary<string, string> { ["pgptunnel_header_checks"] = Sample("pgptunnel_header_checks") }
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
