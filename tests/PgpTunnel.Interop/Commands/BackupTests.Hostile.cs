using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace PgpTunnel.Interop;

/// <summary>Archives that are not what they should be, and places that are not free.</summary>
public sealed partial class BackupTests
{
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
            { "no key name", "nothing that a backup has" },
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
            case "no key name":
                files.Insert(1, ("keys/authorized_keys", [1]));
                break;
            case "more":
                files.Insert(1, ($"keys/{new string('0', 40)}.key", [1]));
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

    private async Task<List<(string Name, byte[] Octets)>> ArchiveAsync()
    {
        (await BackUpAsync()).Expect(0);
        var archive = new MemoryStream();
        OpenPgp.SealingStream.Open(File.OpenRead(Sealed), "a passphrase", s => s.CopyTo(archive));
        return Read(archive.ToArray());
    }

    /// <summary>With sums that fit: whoever makes an archive makes them.</summary>
    private async Task<string> ForgeAsync(List<(string Name, byte[] Octets)> files)
    {
        files.RemoveAll(f => f.Name == BackupManifest.Sums);
        var sums = string.Concat(files.Select(f => $"{Sum(f.Octets)}  {f.Name}\n"));
        files.Add((BackupManifest.Sums, Encoding.ASCII.GetBytes(sums)));
        var file = Path.Combine(_folder, "forged.tar");
        await File.WriteAllBytesAsync(file, Write(files, withLink: false));
        return file;
    }

    [Fact]
    public async Task Files_that_the_configuration_names_come_below_its_folder_or_not_at_all()
    {
        var (folder, partners) = (Path.GetDirectoryName(_lab.Config)!, "partners");
        Directory.CreateDirectory(Path.Combine(folder, partners));
        var outside = Path.Combine(_folder, "outside.asc");
        foreach (var file in new[] { Path.Combine(folder, partners, "b.asc"), outside })
            await File.WriteAllBytesAsync(
                file,
                Convert.FromBase64String(
                    JsonDocument
                        .Parse((await _lab.PgpTunnelAsync("key", "export", "--json")).Output)
                        .RootElement.GetProperty("certificate")
                        .GetString()!
                )
            );
        _lab.Change(c =>
        {
            c["evidence"] = new System.Text.Json.Nodes.JsonObject
            {
                ["auditors"] = new System.Text.Json.Nodes.JsonArray("partners/b.asc", outside),
            };
            c["listen"]!["inbound"]!["tls"] = new System.Text.Json.Nodes.JsonObject
            {
                ["certificate"] = outside,
                ["key"] = Passphrase,
            };
        });
        var files = await ArchiveAsync();
        File.Delete(outside);
        var restored = (await RestoreAsync(await ForgeAsync(files), "new", "--json")).Expect(0).Text;
        Assert.True(File.Exists(Path.Combine(_folder, "new", partners, "b.asc")));
        Assert.False(File.Exists(outside));
        Assert.Contains(outside, restored);
        // What only the manifest names is not written at all.
        var manifest = files.FindIndex(f => f.Name == BackupManifest.Name);
        var evil = Path.Combine(_folder, "other", "evil");
        files[manifest] = (
            BackupManifest.Name,
            Encoding.UTF8.GetBytes(
                Encoding
                    .UTF8.GetString(files[manifest].Octets)
                    .Replace("partners/b.asc", evil, StringComparison.Ordinal)
            )
        );
        (await RestoreAsync(await ForgeAsync(files), "other")).Expect(0);
        Assert.False(File.Exists(evil));
    }

    [Theory]
    [InlineData("keys/plan.json")]
    [InlineData("keys/0123456789012345678901234567890123456789.key")]
    [InlineData("spool.db")]
    [InlineData("spool.db-wal")]
    [InlineData("pgptunnel.json.new")]
    public async Task What_was_there_before_a_refused_restore_is_there_after(string taken)
    {
        await using (var gateway = await _lab.StartAsync())
            (await _lab.PgpTunnelAsync("key", "rotate")).Expect(0);
        (await BackUpAsync()).Expect(0);
        var path = Path.Combine(_folder, "new", taken);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await File.WriteAllTextAsync(path, "mine");
        var before = Everything();
        Assert.Contains(
            "there already",
            (await RestoreAsync(Sealed, "new", "--passphrase-file", Passphrase)).Expect(73).Error
        );
        Assert.Equal(before, Everything());
        Assert.Equal("mine", await File.ReadAllTextAsync(path));
    }

    private List<string> Everything() =>
        [
            .. Directory
                .EnumerateFileSystemEntries(Path.Combine(_folder, "new"), "*", SearchOption.AllDirectories)
                .Order(),
        ];

    [Fact]
    public async Task What_a_killed_one_has_left_goes_with_the_next()
    {
        await using (var gateway = await _lab.StartAsync())
            (await BackUpAsync()).Expect(0);
        var folder = Path.GetDirectoryName(ConfigurationReader.Read(_lab.Config).SpoolFile)!;
        var left = Path.Combine(folder, ".backup-0123");
        Directory.CreateDirectory(left);
        await File.WriteAllTextAsync(Path.Combine(left, "lock"), "");
        await File.WriteAllTextAsync(Path.Combine(left, "spool.db"), "secret");
        File.Delete(Sealed);
        (await BackUpAsync("--with-queue")).Expect(0);
        Assert.Empty(Directory.EnumerateDirectories(folder, ".backup-*"));
        Assert.Empty(Directory.EnumerateFiles(_folder, "*.new"));
    }

    /// <summary>Who can write to the spool must not have root put files elsewhere.</summary>
    [Fact]
    public async Task A_body_that_is_called_what_leads_elsewhere_is_not_followed()
    {
        _lab.RelayAnswer = _ => new Smtp.SmtpReply(451, "4.3.0", "later");
        await using (var gateway = await _lab.StartAsync())
        {
            var large = $"{Message}{string.Concat(Enumerable.Repeat("0123456789\r\n", 20_000))}";
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", large))!.Code);
        }
        var spool = ConfigurationReader.Read(_lab.Config).SpoolFile;
        using (var database = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={spool};Pooling=False"))
        {
            database.Open();
            using var forge = database.CreateCommand();
            forge.CommandText = "UPDATE parcel SET file = '../../../evil' WHERE file <> ''";
            Assert.Equal(1, forge.ExecuteNonQuery());
        }
        Assert.Contains("../../../evil", (await BackUpAsync("--with-queue")).Expect(73).Error);
        (await BackUpAsync()).Expect(0);
        Directory.Move($"{spool}.bodies", $"{spool}.moved");
        File.CreateSymbolicLink($"{spool}.bodies", $"{spool}.moved");
        File.Delete(Sealed);
        Assert.Contains("is a link", (await BackUpAsync("--with-queue")).Expect(73).Error);
    }

    /// <summary>
    /// The gateway's user owns the folder, and may put what it likes there; root's commands must not give it what is not its.
    /// </summary>
    [Fact]
    public void A_link_in_the_gateways_folder_does_not_give_away_what_it_leads_to()
    {
        Assert.SkipUnless(Environment.UserName == "root", "only root can give files away");
        var (folder, target) = (Path.Combine(_folder, "owned"), Path.Combine(_folder, "roots"));
        Directory.CreateDirectory(folder);
        File.WriteAllText(target, "root's");
        Assert.Equal(0, ChangeOwner(folder, 12345));
        File.CreateSymbolicLink(Path.Combine(folder, "link"), target);
        OwnFiles.KeepOwner(Path.Combine(folder, "link"), folder);
        Assert.Contains("owned by user 0 ", OwnFiles.Whose(target));
    }

    private static int ChangeOwner(string path, int user)
    {
        using var chown = System.Diagnostics.Process.Start("chown", [$"{user}", path]);
        chown.WaitForExit();
        return chown.ExitCode;
    }
}
