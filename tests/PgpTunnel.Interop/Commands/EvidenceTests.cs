using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PgpTunnel.Evidence;

namespace PgpTunnel.Interop;

/// <summary><c>trace</c> and <c>evidence</c> as an administrator types them, beside a running gateway.</summary>
public sealed class EvidenceTests : IAsyncLifetime
{
    private const string Message =
        "Received: from pc by mail.a.example (Postfix) with ESMTP id 4XyZ123abc; Fri, 27 Nov 2026 10:00:00 +0000\r\n"
        + "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\nMessage-ID: <e1@a.example>\r\n\r\nbody\r\n";

    private Lab _lab = null!;
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-evidence-").FullName;

    public async ValueTask InitializeAsync() => _lab = await Lab.CreateAsync();

    public async ValueTask DisposeAsync()
    {
        await _lab.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private Task<Finished> CommandAsync(params string[] arguments) =>
        Run.PgpTunnelAsync([.. arguments, "--config", _lab.Config]);

    private async Task<JsonElement> JsonAsync(params string[] arguments)
    {
        using var json = JsonDocument.Parse((await CommandAsync([.. arguments, "--json"])).Expect(0).Output);
        return json.RootElement.Clone();
    }

    /// <returns>The id that the gateway gave it.</returns>
    private static async Task<string> SendAsync(Daemon gateway, string to = "<bob@b.example>")
    {
        var reply = await Lab.SendAsync(Lab.Outbound(gateway), to, Message);
        Assert.Equal(250, reply!.Code);
        return reply.Text.Split(' ')[0];
    }

    [Fact]
    public async Task A_message_is_traced_found_exported_and_checked()
    {
        await using var gateway = await _lab.StartAsync();
        var id = await SendAsync(gateway);
        await Wait.UntilAsync(
            () => gateway.Log.Contains("event=delivered", StringComparison.Ordinal),
            () => gateway.Log
        );
        foreach (var what in new[] { id, "4XyZ123abc", "<e1@a.example>", "e1@a.example", "BOB@b.example" })
        {
            var trace = await JsonAsync("trace", what);
            Assert.Equal(id, trace.GetProperty("id").GetString());
            Assert.Equal("<e1@a.example>", trace.GetProperty("messageId").GetString());
            Assert.Equal("handed", trace.GetProperty("state").GetString());
            Assert.Equal(
                ["sealed", "handed"],
                trace.GetProperty("events").EnumerateArray().Select(e => e.GetProperty("ev").GetString())
            );
            Assert.NotEqual(0, trace.GetProperty("missing").GetArrayLength());
        }
        Assert.Contains(
            "nothing is on record about",
            (await CommandAsync("trace", "nobody@b.example")).Expect(65).Error
        );

        string[][] fitting =
        [
            ["--id", id],
            ["--from", "alice@a.example"],
            ["--to", "bob@b.example", "--state", "handed", "--domain", "b.example"],
            ["--since", "2020-01-01T00:00:00Z"],
            [],
        ];
        foreach (var filter in fitting)
            Assert.Equal(
                id,
                Assert
                    .Single((await JsonAsync(["evidence", "find", .. filter])).GetProperty("messages").EnumerateArray())
                    .GetProperty("id")
                    .GetString()
            );
        string[][] others =
        [
            ["--to", "alice@a.example"],
            ["--from", "bob@b.example"],
            ["--state", "clear"],
            ["--domain", "c.example"],
            ["--until", "2020-01-01T00:00:00Z"],
        ];
        foreach (var filter in others)
            (await CommandAsync(["evidence", "find", .. filter])).Expect(65);
        Assert.Contains("--state", (await CommandAsync("evidence", "find", "--state", "gone")).Expect(64).Error);

        var (tar, original) = (Path.Combine(_folder, "m.tar"), Path.Combine(_folder, "m.eml"));
        await File.WriteAllBytesAsync(original, Encoding.Latin1.GetBytes(Message));
        (await CommandAsync("evidence", "export", "--id", id, "--with", "addresses", "--output", tar)).Expect(0);
        (await CommandAsync("evidence", "export", "--id", id, "--output", tar)).Expect(73); // it is there already
        var anchors = Path.Combine(_lab.Directory, "root.ds");
        var verified = (
            await Run.PgpTunnelAsync("evidence", "verify", tar, "--message", original, "--trust-anchor", anchors)
        ).Expect(0);
        Assert.Contains("claimed      " + id + " crossed sealed", verified.Text);
        Assert.Contains("proved       the message that was given is the one", verified.Text);
        Assert.Equal(0, await gateway.StopAsync());
    }

    [Fact]
    public async Task What_waits_says_where_and_why()
    {
        await using var gateway = await _lab.StartAsync();
        _lab.RelayAnswer = _ => new Smtp.SmtpReply(451, "4.3.2", "not now");
        var id = await SendAsync(gateway);
        await Wait.UntilAsync(
            () => gateway.Log.Contains("delivery-deferred", StringComparison.Ordinal),
            () => gateway.Log
        );
        var trace = (await CommandAsync("trace", id)).Expect(0).Text;
        Assert.Matches(@"waiting", trace);
        Assert.Matches(@"missing: it waits here for b\.example, tried \d+ time\(s\), last answer 4\.3\.2", trace);
    }

    /// <summary>An administrator's own message: what it has come to is the exit code, and what is not known yet is no success.</summary>
    [Fact]
    public async Task A_test_message_is_followed_to_its_end()
    {
        Assert.Contains("no gateway runs", (await CommandAsync("test", "bob@b.example")).Expect(69).Error);
        await using var gateway = await _lab.StartAsync();
        var clear = (await CommandAsync("test", "dave@plain.example")).Expect(65).Text;
        Assert.Matches(@"^[0-9a-f]{32}  clear", clear);
        // The relay has it, and nobody here gives a receipt within that time.
        var handed = (await CommandAsync("test", "<bob@b.example>", "--wait", "2")).Expect(75).Text;
        Assert.Matches(@"^[0-9a-f]{32}  handed", handed);
        Assert.Contains("missing: the receipt of b.example", handed);
        _lab.RelayAnswer = _ => new Smtp.SmtpReply(451, "4.3.2", "not now");
        var waits = (await CommandAsync("test", "bob@b.example", "--wait", "2")).Expect(75).Text;
        Assert.Contains("missing: it waits here for b.example", waits);
        _lab.RelayAnswer = _ => new Smtp.SmtpReply(550, "5.1.1", "nobody of that name");
        var failed = (await CommandAsync("test", "dave@plain.example", "--json")).Expect(65).Text;
        Assert.Contains("\"state\": \"", failed);
        foreach (var nonsense in new[] { "bob", "@b.example", "bob@b..example", "a b@c.example" })
            (await CommandAsync("test", nonsense)).Expect(64);
    }

    [Fact]
    public async Task Clear_text_is_found()
    {
        await using var gateway = await _lab.StartAsync();
        var id = await SendAsync(gateway, "<dave@plain.example>");
        var found = await JsonAsync("evidence", "find", "--state", "clear", "--domain", "plain.example");
        Assert.Equal(id, Assert.Single(found.GetProperty("messages").EnumerateArray()).GetProperty("id").GetString());
    }

    /// <summary>With nothing of ours but the spool's octets: the auditor's own key opens what stands beside the record.</summary>
    [Fact]
    public async Task An_auditor_opens_the_private_part_with_gpg()
    {
        Need.Programs("gpg");
        var home = Path.Combine(_folder, "gpg");
        Directory.CreateDirectory(home, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Task<Finished> GpgAsync(byte[]? input, params string[] arguments) =>
            Run.ProgramAsync(Need.Program("gpg"), ["--homedir", home, "--batch", .. arguments], input);
        (
            await GpgAsync(
                null,
                "--passphrase",
                "",
                "--quick-generate-key",
                "audit@a.example",
                "rsa3072",
                "default",
                "never"
            )
        ).Expect(0);
        (
            await GpgAsync(
                null,
                "--passphrase",
                "",
                "--quick-add-key",
                await FingerprintAsync(GpgAsync),
                "rsa3072",
                "encrypt",
                "never"
            )
        ).Expect(0);
        var certificate = (await GpgAsync(null, "--armor", "--export", "audit@a.example")).Expect(0).Output;
        await File.WriteAllBytesAsync(Path.Combine(_lab.Directory, "a", "audit.asc"), certificate);
        _lab.Change(c => c["evidence"] = new JsonObject { ["auditors"] = new JsonArray("audit.asc") });
        await using var gateway = await _lab.StartAsync();
        var id = await SendAsync(gateway);
        var configuration = ConfigurationReader.Read(_lab.Config);
        await using var spool = Spool.Open(configuration.SpoolFile, running: false);
        var made = new RecordSearch(configuration, spool).About(id).First(r => r.Record.Event == "sealed");
        var opened = (await GpgAsync(made.Opening, "--decrypt")).Expect(0);
        Assert.Equal(made.Record.Text("open"), RecordOpening.CommitmentOf(opened.Output));
        Assert.Contains("bob@b.example", opened.Text);
    }

    private static async Task<string> FingerprintAsync(Func<byte[]?, string[], Task<Finished>> gpg) =>
        (await gpg(null, ["--with-colons", "--list-keys", "audit@a.example"]))
            .Expect(0)
            .Text.Split('\n')
            .First(l => l.StartsWith("fpr:", StringComparison.Ordinal))
            .Split(':')[9];

    [Fact]
    public async Task An_auditor_who_cannot_be_read_is_named_and_nothing_starts()
    {
        await File.WriteAllTextAsync(Path.Combine(_lab.Directory, "a", "audit.asc"), "no key");
        _lab.Change(c => c["evidence"] = new JsonObject { ["auditors"] = new JsonArray("audit.asc", "nowhere.asc") });
        foreach (var command in new[] { new[] { "run" }, ["config", "check"] })
        {
            var refused = await CommandAsync(command);
            refused.Expect(78);
            Assert.Contains("evidence.auditors", refused.Error + refused.Text);
            Assert.Contains("nowhere.asc", refused.Error + refused.Text);
        }
    }
}
