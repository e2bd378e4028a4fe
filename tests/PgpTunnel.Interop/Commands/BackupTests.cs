using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary><c>backup</c> and <c>restore</c>: a gateway goes on elsewhere, from a file that is sealed.</summary>
public sealed class BackupTests : IAsyncLifetime
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
                    "b.example",
                    "--hold",
                    "--until",
                    Later(),
                    "--reason",
                    "x"
                )
            ).Expect(0);
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
            (await _lab.PgpTunnelAsync("partner", "forget", "b.example", "--yes")).Expect(0);
            var reply = await Lab.SendAsync(Lab.Outbound(old), "<bob@b.example>", Message);
            Assert.Equal(250, reply!.Code);
            waits = reply.Text.Split(' ')[0];
            var large = $"{Message}{string.Concat(Enumerable.Repeat("0123456789\r\n", 20_000))}";
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(old), "<bob@b.example>", large))!.Code);
            Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(old), before))!.Code);
            await DeliveredAsync(_lab, 1);
            Assert.Equal(Newest(keys), Text(await JsonAsync(_lab.Config, "status"), "notInBackup"));
            (await BackUpAsync("--with-queue")).Expect(0);
            Assert.Null(Text(await JsonAsync(_lab.Config, "status"), "notInBackup"));
            Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(old), after))!.Code);
            await DeliveredAsync(_lab, 2);
            await old.StopAsync("KILL");
        }
        (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(0);
        var config = Path.Combine(_folder, "new", "pgptunnel.json");
        Assert.Equal(keys, (await JsonAsync(config, "key", "list")).ToString());
        Assert.Contains("c.example", (await JsonAsync(config, "partner", "list")).ToString());
        Assert.Contains("each opens", (await Run.PgpTunnelAsync("queue", "check", "--config", config)).Expect(0).Text);
        await using var gateway = await _lab.StartAsync(config);
        Assert.Contains("event=log-closed", gateway.Log);
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
        await Wait.UntilAsync(() => _lab.Relayed.Count >= 2, () => gateway.Log);
        Assert.Equal("handed", Text(await JsonAsync(config, "trace", waits), "state"));
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
        restore.Expect(0);
        (
            await Run.PgpTunnelAsync("config", "check", "--config", Path.Combine(_folder, "piped", "pgptunnel.json"))
        ).Expect(0);
    }

    /// <summary>Changes to the archive, and what is said of each.</summary>
    public static TheoryData<string, string> Wrong =>
        new()
        {
            { "none", "" },
            { "outside", "nothing that a backup has" },
            { "absolute", "nothing that a backup has" },
            { "link", "nothing that a backup has" },
            { "more", "not those that its SHA256SUMS lists" },
            { "missing", "not those that its SHA256SUMS lists" },
            { "changed", "not those that its SHA256SUMS lists" },
            { "twice", "twice" },
            { "no sums", "SHA256SUMS is missing" },
            { "later", "use the version that made it" },
        };

    [Theory, MemberData(nameof(Wrong))]
    public async Task A_damaged_or_forged_archive_restores_nothing(string how, string says)
    {
        (await BackUpAsync()).Expect(0);
        var archive = new MemoryStream();
        OpenPgp.SealingStream.Open(File.OpenRead(Sealed), "a passphrase", s => s.CopyTo(archive));
        var file = Path.Combine(_folder, "changed.tar");
        await File.WriteAllBytesAsync(file, Changed(archive.ToArray(), how));
        var restored = await RestoreAsync(file, "new");
        if (says.Length == 0)
        {
            restored.Expect(0);
            return;
        }
        Assert.Contains(says, restored.Expect(65).Error);
        Assert.False(Path.Exists(Path.Combine(_folder, "new")));
        Assert.False(Path.Exists(Path.Combine(_folder, "evil")));
    }

    private static byte[] Changed(byte[] archive, string how)
    {
        var files = Read(archive);
        var key = files.FindIndex(f => f.Name.EndsWith(".key", StringComparison.Ordinal));
        switch (how)
        {
            case "outside":
                files.Insert(1, ("../evil", [1]));
                break;
            case "absolute":
                files.Insert(1, ("/tmp/evil", [1]));
                break;
            case "more":
                files.Insert(1, ("keys/0123.key", [1]));
                break;
            case "missing":
                files.RemoveAt(key);
                break;
            case "changed":
                files[key].Octets[100] ^= 1;
                break;
            case "twice":
                files.Insert(1, files[key]);
                break;
            case "no sums":
                files.RemoveAt(files.Count - 1);
                break;
            case "later":
                var later = Encoding.UTF8.GetString(files[0].Octets).Replace("\"format\":1", "\"format\":2");
                var (old, now) = (Sum(files[0].Octets), Sum(Encoding.UTF8.GetBytes(later)));
                files[0] = (files[0].Name, Encoding.UTF8.GetBytes(later));
                files[^1] = (
                    files[^1].Name,
                    Encoding.ASCII.GetBytes(Encoding.ASCII.GetString(files[^1].Octets).Replace(old, now))
                );
                break;
        }
        return Write(files, how == "link");
    }

    private static string Sum(byte[] octets) => Convert.ToHexStringLower(SHA256.HashData(octets));

    private static List<(string Name, byte[] Octets)> Read(byte[] archive)
    {
        using var tar = new TarReader(new MemoryStream(archive));
        var files = new List<(string, byte[])>();
        while (tar.GetNextEntry() is { } entry)
        {
            var octets = new MemoryStream();
            entry.DataStream?.CopyTo(octets);
            files.Add((entry.Name, octets.ToArray()));
        }
        return files;
    }

    private static byte[] Write(List<(string Name, byte[] Octets)> files, bool withLink)
    {
        var archive = new MemoryStream();
        using (var tar = new TarWriter(archive, TarEntryFormat.Pax, leaveOpen: true))
        {
            if (withLink)
                tar.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, "keys/link") { LinkName = "/etc/passwd" });
            foreach (var (name, octets) in files)
                tar.WriteEntry(
                    new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(octets) }
                );
        }
        return archive.ToArray();
    }

    [Fact]
    public async Task What_is_there_stays_and_what_is_wrong_is_named()
    {
        Assert.Contains("--passphrase-file and --to", (await _lab.PgpTunnelAsync("backup", Sealed)).Expect(64).Error);
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
            "keys is there already",
            (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(73).Error
        );
        Assert.False(File.Exists(config));
        await File.WriteAllTextAsync(Passphrase, "another");
        Assert.Contains(
            "passphrase",
            (await RestoreAsync(Sealed, "third", "--passphrase-file", Passphrase)).Expect(65).Error
        );
        Assert.NotEmpty(before);
    }
}
