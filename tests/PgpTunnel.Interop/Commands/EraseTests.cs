using System.Text;
using System.Text.Json;
using Microsoft.Data.Sqlite;

namespace PgpTunnel.Interop;

/// <summary><c>evidence erase</c>: a person is taken out of what is on record, and nothing else is.</summary>
public sealed class EraseTests : IAsyncLifetime
{
    private Lab _lab = null!;
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-erase-").FullName;

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

    private string Keys => Path.Combine(Path.GetDirectoryName(_lab.Config)!, "keys");

    private Task<Finished> EraseAsync(string address, params string[] more) =>
        _lab.PgpTunnelAsync(["evidence", "erase", "--address", address, "--reason", "asked for it", "--yes", .. more]);

    /// <returns>The id that the gateway gave it, once it is handed over.</returns>
    private static async Task<string> SendAsync(Daemon gateway, string to, string message)
    {
        var id = (await Lab.SendAsync(Lab.Outbound(gateway), to, message))!.Text.Split(' ')[0];
        await Wait.UntilAsync(
            () => gateway.Log.Contains($"event=delivered id={id}", StringComparison.Ordinal),
            () => gateway.Log
        );
        return id;
    }

    private static string Message(string to, string copy = "") =>
        $"From: alice@a.example\r\nTo: {to}\r\n{copy}Subject: s\r\nMessage-ID: <{to}>\r\n\r\nbody\r\n";

    private static async Task<int> TraceAsync(string config, string what) =>
        (await Run.PgpTunnelAsync("trace", what, "--config", config)).Code;

    /// <summary>What is sealed of the records, as octets: of a record, and its private part.</summary>
    private List<(string Record, byte[] Opening)> Openings()
    {
        using var spool = new SqliteConnection($"Data Source={Spool};Mode=ReadOnly;Pooling=False");
        spool.Open();
        using var command = spool.CreateCommand();
        command.CommandText = "SELECT octets, opening FROM record WHERE opening IS NOT NULL";
        using var row = command.ExecuteReader();
        var openings = new List<(string, byte[])>();
        while (row.Read())
            openings.Add((Encoding.ASCII.GetString((byte[])row[0]), (byte[])row[1]));
        return openings;
    }

    private string Spool => Path.Combine(Path.GetDirectoryName(_lab.Config)!, "spool.db");

    private bool IsOnDisk(byte[] octets) =>
        Directory
            .EnumerateFiles(Path.GetDirectoryName(_lab.Config)!, "*", SearchOption.AllDirectories)
            .Where(f => Path.GetExtension(f) != ".lock")
            .Any(f => Read(f).AsSpan().IndexOf(octets) >= 0);

    private static byte[] Read(string file)
    {
        using var shared = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var copy = new MemoryStream();
        shared.CopyTo(copy);
        return copy.ToArray();
    }

    [Fact]
    public async Task Whoever_is_named_is_found_no_more_and_nothing_of_it_is_left_on_the_disk()
    {
        string bob,
            other,
            copied;
        await using (var gateway = await _lab.StartAsync())
        {
            bob = await SendAsync(gateway, "<bob@b.example>", Message("bob@b.example"));
            other = await SendAsync(gateway, "<notbob@b.example>", Message("notbob@b.example"));
            copied = await SendAsync(
                gateway,
                "<carol@b.example>",
                Message("carol@b.example", "Cc: =?utf-8?q?Bob?= <Bob@B.example>\r\n")
            );
            var private_ = Openings();
            var of = private_.Where(o => o.Record.Contains(bob)).ToList();
            Assert.NotEmpty(of);
            Assert.All(of, o => Assert.True(IsOnDisk(o.Opening)));
            using var report = JsonDocument.Parse((await EraseAsync("bob@B.example", "--json")).Expect(0).Output);
            Assert.Equal(
                of.Count,
                report
                    .RootElement.GetProperty("erased")
                    .EnumerateArray()
                    .Sum(l => l.GetProperty("indexes").GetArrayLength())
            );
            Assert.True(report.RootElement.GetProperty("gone").GetBoolean());
            Assert.All(of, o => Assert.False(IsOnDisk(o.Opening)));
            Assert.All(private_.Except(of), o => Assert.True(IsOnDisk(o.Opening)));
        }
        // By its id each is found still, by what is private one alone.
        foreach (var id in new[] { bob, other, copied })
            Assert.Equal(0, await TraceAsync(_lab.Config, id));
        Assert.Equal(65, await TraceAsync(_lab.Config, "bob@b.example"));
        Assert.Equal(0, await TraceAsync(_lab.Config, "<carol@b.example>")); // header fields of messages are in no record
        Assert.Equal(0, await TraceAsync(_lab.Config, "notbob@b.example"));
        // The tree stands: what is left is exported, and proves what it did.
        foreach (var id in new[] { bob, other })
        {
            var bundle = Path.Combine(_folder, $"{id}.tar");
            (
                await _lab.PgpTunnelAsync("evidence", "export", "--id", id, "--with", "addresses", "--output", bundle)
            ).Expect(0);
            (
                await Run.PgpTunnelAsync(
                    "evidence",
                    "verify",
                    bundle,
                    "--trust-anchor",
                    Path.Combine(_lab.Directory, "root.ds")
                )
            ).Expect(0);
        }
        // That it was done is on record, and names nobody.
        var journal = (await _lab.PgpTunnelAsync("journal")).Expect(0).Text;
        Assert.Contains("evidence erase", journal);
        Assert.DoesNotContain("bob", journal);
        Assert.Contains("0 record(s)", (await EraseAsync("bob@b.example")).Expect(0).Text);
        await using (await _lab.StartAsync()) { } // and the gateway runs on it
    }

    [Fact]
    public async Task What_was_erased_does_not_come_back_with_a_backup_that_is_older()
    {
        await using (var gateway = await _lab.StartAsync())
        {
            await SendAsync(gateway, "<bob@b.example>", Message("bob@b.example"));
            await SendAsync(gateway, "<carol@b.example>", Message("carol@b.example"));
        }
        var backup = Path.Combine(_folder, "backup.pgp");
        (await _lab.PgpTunnelAsync("backup", backup, "--with-evidence-keys", "--passphrase-file", Passphrase)).Expect(
            0
        );
        (await EraseAsync("bob@b.example")).Expect(0);
        Task<Finished> RestoreAsync(string to, params string[] more) =>
            Run.PgpTunnelAsync(["restore", backup, "--directory", to, "--passphrase-file", Passphrase, .. more]);
        var (before, after) = (Path.Combine(_folder, "before"), Path.Combine(_folder, "after"));
        (await RestoreAsync(before)).Expect(0);
        (await RestoreAsync(after, "--erased", Path.Combine(Keys, "evidence", "erased"))).Expect(0);
        string Config(string folder) => Path.Combine(folder, "pgptunnel.json");
        Assert.Equal(0, await TraceAsync(Config(before), "bob@b.example"));
        Assert.Equal(65, await TraceAsync(Config(after), "bob@b.example"));
        Assert.Equal(0, await TraceAsync(Config(after), "carol@b.example"));
        Assert.Equal(
            await File.ReadAllTextAsync(Path.Combine(Keys, "evidence", "erased")),
            await File.ReadAllTextAsync(Path.Combine(after, "keys", "evidence", "erased"))
        );
        // The list is in the next backup.
        var next = Path.Combine(_folder, "next.pgp");
        (await _lab.PgpTunnelAsync("backup", next, "--passphrase-file", Passphrase)).Expect(0);

        await File.WriteAllTextAsync(
            Path.Combine(_folder, "wrong"),
            "a.example/pgptunnel/b.example/0123456789abcdef -1\n"
        );
        var refused = await RestoreAsync(Path.Combine(_folder, "never"), "--erased", Path.Combine(_folder, "wrong"));
        Assert.Contains("line 1", refused.Expect(65).Error);
        Assert.False(Directory.Exists(Path.Combine(_folder, "never")));
    }

    [Fact]
    public async Task Who_must_keep_everything_erases_nothing()
    {
        await using (var gateway = await _lab.StartAsync())
            await SendAsync(gateway, "<bob@b.example>", Message("bob@b.example"));
        _lab.Change(c => c["evidence"] = new System.Text.Json.Nodes.JsonObject { ["erasable"] = false });
        Assert.Contains("evidence.erasable", (await EraseAsync("bob@b.example")).Expect(77).Error);
        Assert.Equal(0, await TraceAsync(_lab.Config, "bob@b.example"));
        foreach (var wrong in new[] { "bob", "@b.example", "bob@", "" })
            (await EraseAsync(wrong)).Expect(64);
    }
}
