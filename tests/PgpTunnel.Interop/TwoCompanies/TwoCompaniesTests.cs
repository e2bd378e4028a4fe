using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// Real servers end to end, set up from samples/ and from what the commands print:
/// <code>
///   client -> Postfix A -> gateway A -> Postfix (hop) -> gateway B -> Postfix B -> capturing server
///             127.0.61.1   127.0.61.2   127.0.61.3       127.0.61.4   127.0.61.5
///   DNS: NSD with signed zones behind unbound (DnsWorld)
/// </code>
/// </summary>
public sealed partial class TwoCompaniesTests : IAsyncDisposable
{
    private static string Sample(string name) =>
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "samples", "postfix", name));

    private IReadOnlyList<Seen> Received
    {
        get
        {
            lock (_received)
                return [.. _received];
        }
    }

    private Task WaitAsync(int count) =>
        Wait.UntilAsync(
            () => Received.Count >= count,
            () =>
                $"{Received.Count} of {count} messages arrived\nPostfix A:\n{_postfixA.Log}\ngateway "
                + $"A:\n{_gatewayA?.Log}\nhop:\n{_hop.Log}\ngateway B:\n{_gatewayB?.Log}"
        );

    private static async Task SendAsync(string from, IReadOnlyList<string> to, byte[] message)
    {
        await using var sender = new SmtpSender(() => "client.a.example");
        var path = ReversePath.Parse(from).Path!;
        foreach (
            var reply in await sender.SendAsync(
                new SmtpTarget("postfix-a", IPEndPoint.Parse("127.0.61.1:2525"), TlsMode.None),
                path,
                [.. to.Select(t => ForwardPath.Parse(t, path.SmtpUtf8).Path!)],
                [message],
                CancellationToken.None
            )
        )
            Assert.True(reply.IsPositive, reply.ToString());
    }

    [Fact]
    public async Task Mail_of_every_kind_arrives_and_the_hop_reads_nothing()
    {
        await SetUpAsync();
        var scratch = _operators.Directory;
        var pcap = Path.Combine(scratch, "hop.pcap");
        await using var capture = new Daemon(
            Need.Program("tcpdump"),
            ["-i", "lo", "-U", "-B", "65536", "-w", pcap, "host", "127.0.61.3"]
        );
        await capture.WaitForAsync("listening on");

        // 1 plain, DKIM-signed before the tunnel; gateway B is still down, so it stays in the hop's queue
        (await Run.ProgramAsync("openssl", ["genrsa", "-traditional", "-out", $"{scratch}/dkim.key", "2048"])).Expect(
            0
        );
        (
            await Run.ProgramAsync(
                "openssl",
                ["rsa", "-in", $"{scratch}/dkim.key", "-pubout", "-out", $"{scratch}/dkim.pub"]
            )
        ).Expect(0);
        var signed = (
            await DkimAsync(
                "sign",
                $"{scratch}/dkim.key",
                [
                    .. "From: CANARYalice@a.example\r\nTo: CANARYbob@b.example\r\nSubject: CANARY "u8,
                    .. "subject\r\nPgpTunnel-Result: pass; d=forged.example\r\n\r\nCANARY body\r\n.dot\r\n\r\nlast  \r\n"u8,
                ]
            )
        )
            .Expect(0)
            .Output;
        await SendAsync(
            "<CANARYalice@a.example> RET=HDRS ENVID=CANARYenv",
            ["<CANARYbob@b.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;CANARYbob@b.example"],
            signed
        );
        await Wait.UntilAsync(() => _gatewayA!.Log.Contains("event=delivered"), () => _gatewayA!.Log);
        // By its log: between two runs of its queue Postfix may have put the file back among what is incoming.
        await Wait.UntilAsync(() => _hop.Log.Contains("status=deferred"), () => _hop.Log);
        foreach (var queue in new[] { "incoming", "active", "deferred", "defer" })
            AssertNoCanary(Path.Combine(_hop.Queue, queue));
        AssertNoCanary(Path.GetDirectoryName(_operators.Config("a"))!);
        _gatewayB = Keep(await StartGatewayAsync("b"));
        await _hop.FlushAsync();
        await WaitAsync(1);
        var first = Received[0];
        Assert.Equal("<CANARYalice@a.example> RET=HDRS ENVID=CANARYenv", (first.From with { Body = null }).ToString());
        Assert.Equal(
            "<CANARYbob@b.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;CANARYbob@b.example",
            first.To[0].ToString()
        );
        (await DkimAsync("verify", $"{scratch}/dkim.pub", first.Message)).Expect(0);
        var text = Encoding.Latin1.GetString(first.Message);
        Assert.Contains("PgpTunnel-Result: pass; d=a.example; from=aligned;", text);
        Assert.DoesNotContain("forged.example", text);

        // 2 SMTPUTF8 and 8-bit
        await SendAsync(
            "<älice@a.example> BODY=8BITMIME SMTPUTF8",
            ["<böb@b.example>"],
            Encoding.UTF8.GetBytes(
                "From: älice@a.example\r\nSubject: grüße CANARY\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
                    + "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nkörper\r\n"
            )
        );
        await WaitAsync(2);
        Assert.EndsWith("\r\n\r\nkörper\r\n", Encoding.UTF8.GetString(Received[1].Message));
        Assert.Equal("<älice@a.example> BODY=8BITMIME SMTPUTF8", Received[1].From.ToString());

        // 3 a 10 MB attachment and lines of 2,000 octets
        var big = new StringBuilder(
            "From: alice@a.example\r\nSubject: big CANARY\r\n\r\n" + new string('x', 2000) + "\r\n"
        );
        while (big.Length < 10_000_000)
            big.Append("VGhpcyBpcyBhIGxpbmUgb2YgYW4gYXR0YWNobWVudCBhcyBCYXNlNjQgaGFzIGl0LCA3NiBjaGFy\r\n");
        await SendAsync("<alice@a.example>", ["<bob@b.example>"], Encoding.ASCII.GetBytes(big.ToString()));
        await WaitAsync(3);
        // Postfix A adds the header fields that are missing
        var body = big.ToString()[big.ToString().IndexOf("\r\n\r\n", StringComparison.Ordinal)..];
        Assert.True(
            Encoding.ASCII.GetString(Received[2].Message).EndsWith(body, StringComparison.Ordinal),
            "the large message was altered"
        );

        // 4 swaks, as an administrator would try it
        (
            await Run.ProgramAsync(
                Need.Program("swaks"),
                [
                    "--server",
                    "127.0.61.1:2525",
                    "--from",
                    "alice@a.example",
                    "--to",
                    "bob@b.example",
                    "--h-Subject",
                    "CANARY swaks",
                ]
            )
        ).Expect(0);
        await WaitAsync(4);

        await Wait.UntilAsync(
            () => new FileInfo(pcap).Length > 10_000_000,
            () => $"the packet capture has only {new FileInfo(pcap).Length} octets: {capture.Log}"
        );
        await capture.StopAsync("INT");
        AssertNoCanary(pcap);
        foreach (var company in new[] { "a", "b" })
            AssertNoCanary(Path.GetDirectoryName(_operators.Config(company))!);
        await ReceiptsAsync(scratch, messages: 4);
        // SIGTERM: ended well; a stopped gateway delays partners' mail and no other
        Assert.Equal(0, await _gatewayA!.StopAsync());
        await SendAsync("<alice@a.example>", ["<bob@b.example>"], "Subject: waits\r\n\r\nx\r\n"u8.ToArray());
        await SendAsync(
            "<alice@a.example>",
            ["<eve@elsewhere.example>"],
            "Subject: does not wait\r\n\r\nx\r\n"u8.ToArray()
        );
        await WaitAsync(5);
        Assert.Equal("eve", Received[4].To[0].Mailbox.Local);
        _gatewayA = Keep(await StartGatewayAsync("a"));
        await _postfixA.FlushAsync();
        await WaitAsync(6);
        Assert.Contains("PgpTunnel-Result: pass", Encoding.ASCII.GetString(Received[5].Message));
        // An administrator's own message, to its end: that B's mail server has it is B's word.
        var test = (
            await Run.ProgramAsync(
                Run.Gateway,
                ["test", "bob@b.example", "--config", _operators.Config("a")],
                bound: TimeSpan.FromMinutes(3)
            )
        ).Expect(0);
        Assert.Matches(@"^[0-9a-f]{32}  relayed  <", test.Text);
        Assert.Matches(@"theirs +outcome", test.Text);
        Assert.Equal(0, await _gatewayA.StopAsync());
        Assert.Equal(0, await _gatewayB!.StopAsync());
    }

    /// <summary>What became of it all, by B's own word, which A has by now; and an auditor needs A's file alone.</summary>
    private async Task ReceiptsAsync(string scratch, int messages)
    {
        async Task<string> AsA(params string[] command) =>
            (await Run.ProgramAsync(Run.Gateway, [.. command, "--config", _operators.Config("a")])).Expect(0).Text;
        var status = "";
        for (var tries = 0; tries < 100 && !status.Contains("receipts  0 awaited"); tries++)
            status = await AsA("status");
        Assert.Contains("receipts  0 awaited", status);
        var found = JsonNode.Parse(await AsA("evidence", "find", "--domain", "b.example", "--json"))!["messages"]!;
        Assert.Equal(messages, found.AsArray().Count);
        foreach (var message in found.AsArray())
        {
            Assert.Equal("relayed", (string?)message!["state"]);
            Assert.Contains(
                message["events"]!.AsArray(),
                e => (string?)e!["side"] == "theirs" && (string?)e["ev"] == "outcome"
            );
        }
        var (id, bundle) = ((string)found[0]!["id"]!, Path.Combine(scratch, "message.tar"));
        await AsA("evidence", "export", "--id", id, "--output", bundle);
        var anchor = ConfigurationReader.Read(_operators.Config("a")).Dns.TrustAnchorsFile!;
        var verified = (
            await Run.ProgramAsync(Run.Gateway, ["evidence", "verify", bundle, "--trust-anchor", anchor])
        ).Expect(0);
        Assert.Matches($"proved +{id} crossed sealed", verified.Text);
        Assert.Contains("gives receipts", await AsA("policy", "alice@a.example", "bob@b.example"));
    }

    private static Task<Finished> DkimAsync(string verb, string key, byte[] message) =>
        Run.ProgramAsync(
            "/usr/bin/python3",
            [Path.Combine(AppContext.BaseDirectory, "TwoCompanies", "dkim_tool.py"), verb, key],
            message
        );

    private static void AssertNoCanary(string path)
    {
        foreach (
            var file in File.Exists(path)
                ? [path]
                : Directory
                    .EnumerateFiles(path, "*", SearchOption.AllDirectories)
                    .Where(f => !f.EndsWith(".lock", StringComparison.Ordinal))
        )
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var copy = new MemoryStream();
            stream.CopyTo(copy);
            Assert.True(
                copy.GetBuffer().AsSpan(0, (int)copy.Length).IndexOf("CANARY"u8) < 0,
                $"a canary is readable in {file}"
            );
        }
    }
}
