using System.Text.Json;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary><c>backup</c> and <c>restore</c>: a gateway goes on elsewhere, from a file that is sealed.</summary>
public sealed partial class BackupTests : IAsyncLifetime
{
    private const string Message = "From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\n\r\nbody\r\n";

    private Lab _lab = null!;
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-backup-").FullName;

    public async ValueTask InitializeAsync()
    {
        _lab = await Lab.CreateAsync();
        await File.WriteAllTextAsync(Passphrase, "a passphrase\n");
    }

    public async ValueTask DisposeAsync()
    {
        await _lab.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private string Passphrase => Path.Combine(_folder, "passphrase");

    private string Sealed => Path.Combine(_folder, "gateway.pgp");

    private Task<Finished> BackUpAsync(params string[] more) =>
        _lab.PgpTunnelAsync(["backup", Sealed, "--passphrase-file", Passphrase, .. more]);

    private Task<Finished> RestoreAsync(string file, string name, params string[] more) =>
        Run.PgpTunnelAsync(["restore", file, "--directory", Path.Combine(_folder, name), .. more]);

    private static async Task<JsonElement> JsonAsync(string config, params string[] arguments)
    {
        var finished = await Run.PgpTunnelAsync([.. arguments, "--json", "--config", config]);
        using var json = JsonDocument.Parse(finished.Output);
        return json.RootElement.Clone();
    }

    private static string? Text(JsonElement json, string name) => json.GetProperty(name).GetString();

    private static async Task DeliveredAsync(Lab lab, int count) =>
        await Wait.UntilAsync(() => lab.Local.Count >= count, () => $"{lab.Local.Count} of {count} are delivered");

    [Fact]
    public async Task In_the_middle_of_a_rollover_with_mail_on_its_way_another_machine_goes_on()
    {
        var large = $"{Message}{string.Concat(Enumerable.Repeat("0123456789\r\n", 20_000))}";
        string handed;
        await using (var first = await _lab.StartAsync())
        {
            handed = (await Lab.SendAsync(Lab.Outbound(first), "<bob@b.example>", large))!.Text.Split(' ')[0];
            await Wait.UntilAsync(
                () => first.Log.Contains("event=delivered", StringComparison.Ordinal),
                () => first.Log
            );
        }
        _lab.RelayAnswer = _ => new SmtpReply(451, "4.3.0", "later");
        var (before, after) = (_lab.SealForA(Message), _lab.SealForA(Message));
        string keys,
            waits;
        await using (var old = await _lab.StartAsync())
        {
            (await _lab.PgpTunnelAsync("key", "rotate")).Expect(0);
            keys = (await JsonAsync(_lab.Config, "key", "list")).ToString();
            (
                await _lab.PgpTunnelAsync(
                    "partner",
                    "override",
                    "c.example",
                    "--hold",
                    "--until",
                    Later(),
                    "--reason",
                    "x"
                )
            ).Expect(0);
            var reply = await Lab.SendAsync(Lab.Outbound(old), "<bob@b.example>", Message);
            Assert.Equal(250, reply!.Code);
            waits = reply.Text.Split(' ')[0];
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(old), "<bob@b.example>", large))!.Code);
            Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(old), before))!.Code);
            await DeliveredAsync(_lab, 1);
            Assert.Equal(Newest(keys), Text(await JsonAsync(_lab.Config, "status"), "notInBackup"));
            (await BackUpAsync("--with-queue")).Expect(0);
            Assert.Null(Text(await JsonAsync(_lab.Config, "status"), "notInBackup"));
            Assert.DoesNotContain("in no backup", (await _lab.PgpTunnelAsync("status", "--check")).Text);
            Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(old), after))!.Code);
            await DeliveredAsync(_lab, 2);
            await old.StopAsync("KILL");
        }
        (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(0);
        var config = Path.Combine(_folder, "new", "pgptunnel.json");
        Assert.Equal(keys, (await JsonAsync(config, "key", "list")).ToString());
        Assert.Contains("c.example", (await JsonAsync(config, "partner", "list")).ToString());
        Assert.Contains("each opens", (await Run.PgpTunnelAsync("queue", "check", "--config", config)).Expect(0).Text);
        await LogsAreClosedAsync(config);
        Assert.Contains(handed, (await JsonAsync(config, "queue", "show", handed)).ToString());
        await using var gateway = await _lab.StartAsync(config);
        Assert.True(File.Exists(Path.Combine(_folder, "new", "keys", "evidence", $"{Month}.lost")));
        Assert.True(File.Exists(Path.Combine(_folder, "new", "keys", "evidence", $"{Month}-2.key")));
        // What was taken before the backup is known; of what came after it nobody knows.
        Assert.Contains("taken before", (await Lab.HandInAsync(Lab.Inbound(gateway), before))!.Text);
        Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(gateway), after))!.Code);
        await DeliveredAsync(_lab, 3);
        Assert.Single(gateway.Log.Split('\n'), l => l.Contains("event=maybe-again", StringComparison.Ordinal));
        var fresh = _lab.SealForA(Message);
        Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(gateway), fresh))!.Code);
        await DeliveredAsync(_lab, 4);
        Assert.Single(gateway.Log.Split('\n'), l => l.Contains("event=maybe-again", StringComparison.Ordinal));
        _lab.RelayAnswer = _ => null;
        (await Run.PgpTunnelAsync("queue", "retry", "--domain", "b.example", "--config", config)).Expect(0);
        await Wait.UntilAsync(() => _lab.Relayed.Count >= 3, () => gateway.Log);
        Assert.Equal("handed", Text(await JsonAsync(config, "trace", waits), "state"));
    }

    private static string Month =>
        TimeProvider.System.GetUtcNow().ToString("yyyy-MM", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The old gateway may have gone on with its logs: nothing may have been put behind what was in them.</summary>
    private async Task LogsAreClosedAsync(string config)
    {
        await using var old = Spool.Open(ConfigurationReader.Read(_lab.Config).SpoolFile, running: false);
        await using var restored = Spool.Open(ConfigurationReader.Read(config).SpoolFile, running: false);
        var logs = restored.Logs().ToDictionary(l => l.Origin.ToString());
        Assert.NotEmpty(old.Logs());
        foreach (var log in old.Logs().Where(l => !l.IsMirror))
        {
            var copy = logs[log.Origin.ToString()];
            Assert.True(copy.IsClosed);
            Assert.True(copy.Edge.Size <= log.Edge.Size);
            Assert.Equal(copy.Edge.Root(), old.RootAt(log, copy.Edge.Size));
        }
    }

    private static string Later() => InnerHeader.Time(TimeProvider.System.GetUtcNow() + TimeSpan.FromDays(3));

    /// <summary>The fingerprint that the list of keys has last.</summary>
    private static string Newest(string keys) =>
        System.Text.RegularExpressions.Regex.Matches(keys, "\"fingerprint\": \"([0-9a-f]{40})\"")[^1].Groups[1].Value;

    [Fact]
    public async Task Without_the_queue_there_is_no_mail_in_it_and_without_evidence_keys_none_of_those()
    {
        _lab.RelayAnswer = _ => new SmtpReply(451, "4.3.0", "later");
        await using var gateway = await _lab.StartAsync();
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
        (await BackUpAsync()).Expect(0);
        (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(0);
        var folder = Path.Combine(_folder, "new");
        Assert.Empty(
            (await JsonAsync(Path.Combine(folder, "pgptunnel.json"), "queue", "list"))
                .GetProperty("parcels")
                .EnumerateArray()
        );
        Assert.DoesNotContain(
            Directory.GetFiles(Path.Combine(folder, "keys"), "*.key", SearchOption.AllDirectories),
            k => k.Contains("evidence", StringComparison.Ordinal)
        );
        File.Delete(Sealed);
        (await BackUpAsync("--with-evidence-keys")).Expect(0);
        (await RestoreAsync(Sealed, "other", "--passphrase-file", Passphrase)).Expect(0);
        Assert.Single(Directory.GetFiles(Path.Combine(_folder, "other", "keys", "evidence"), "*.key"));
    }

    [Fact]
    public async Task Gpg_opens_it_and_what_is_sealed_to_a_certificate_comes_in_by_a_pipe()
    {
        var (gpg, home) = (Need.Program("gpg"), Path.Combine(_folder, "gpg"));
        OwnFiles.MakeDirectory(home);
        async Task<Finished> GpgAsync(params string[] arguments) =>
            (await Run.ProgramAsync(gpg, ["--homedir", home, "--batch", "--yes", .. arguments])).Expect(0);
        await GpgAsync(
            "--passphrase",
            "",
            "--quick-generate-key",
            "safe@a.example",
            "future-default",
            "default",
            "never"
        );
        var certificate = Path.Combine(_folder, "safe.pgp");
        await GpgAsync("--output", certificate, "--export", "safe@a.example");
        (await _lab.PgpTunnelAsync("backup", Sealed, "--to", certificate)).Expect(0);
        Assert.Contains("gpg -d", (await RestoreAsync(Sealed, "none")).Expect(64).Error);
        await GpgAsync("--output", $"{Sealed}.tar", "--decrypt", Sealed);
        var restore = await Run.ProgramAsync(
            Run.Gateway,
            ["restore", "-", "--directory", Path.Combine(_folder, "piped")],
            await File.ReadAllBytesAsync($"{Sealed}.tar")
        );
        // The anchors of this world lie elsewhere, and who knows whose archive it is.
        Assert.Contains("root.ds", restore.Expect(0).Text);
        (await RestoreAsync($"{Sealed}.tar", "named")).Expect(0);
    }

    [Fact]
    public async Task What_is_there_stays_and_what_is_wrong_is_named()
    {
        Assert.Contains("--passphrase-file and --to", (await _lab.PgpTunnelAsync("backup", Sealed)).Expect(64).Error);
        foreach (var (target, code) in new[] { ("", 64), ("-", 64), (Path.Combine(_folder, "none", "x.pgp"), 73) })
            (await _lab.PgpTunnelAsync("backup", target, "--passphrase-file", Passphrase)).Expect(code);
        Assert.Empty(Directory.EnumerateDirectories(Path.GetDirectoryName(_lab.Config)!, ".backup-*"));
        Assert.Contains("there is no spool", (await BackUpAsync()).Expect(0).Text);
        // A key may be called otherwise; what could not be restored is not backed up.
        var keys = Path.Combine(Path.GetDirectoryName(_lab.Config)!, "keys");
        var key = Directory.GetFiles(keys, "*.key").Single();
        File.Move(key, Path.Combine(keys, "a b.key"));
        File.Delete(Sealed);
        Assert.Contains("a b.key", (await BackUpAsync()).Expect(73).Error);
        File.Move(Path.Combine(keys, "a b.key"), Path.Combine(keys, "old-one.key"));
        (await BackUpAsync()).Expect(0);
        var written = await File.ReadAllBytesAsync(Sealed);
        (await BackUpAsync()).Expect(73);
        Assert.Equal(written, await File.ReadAllBytesAsync(Sealed));
        (await _lab.PgpTunnelAsync("backup", $"{Sealed}.2", "--passphrase-file", $"{Passphrase}.none")).Expect(69);
        Assert.False(File.Exists($"{Sealed}.2"));
        (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(0);
        var config = Path.Combine(_folder, "new", "pgptunnel.json");
        var before = await File.ReadAllTextAsync(config);
        Assert.Contains(
            "there already",
            (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(73).Error
        );
        File.Delete(config);
        Assert.Contains(
            "is there already",
            (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(73).Error
        );
        Assert.False(File.Exists(config));
        await File.WriteAllBytesAsync(Passphrase, [0xFF, 0xFE, 0x80, (byte)'\n']);
        Assert.Contains(
            "no text",
            (await RestoreAsync(Sealed, "third", "--passphrase-file", Passphrase)).Expect(65).Error
        );
        await File.WriteAllTextAsync(Passphrase, "another");
        Assert.Contains(
            "passphrase",
            (await RestoreAsync(Sealed, "third", "--passphrase-file", Passphrase)).Expect(65).Error
        );
        Assert.NotEmpty(before);
    }
}
