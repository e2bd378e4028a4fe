using System.Formats.Tar;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace PgpTunnel.Interop;

/// <summary>
/// The bundle of the demo's message, checked by programs of others alone, in a folder with nothing of ours but the bundle: every command
/// that its README.txt names, by exit status and machine output.
/// </summary>
public sealed class BundleTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-bundle-").FullName;

    private string Tar => Path.Combine(_folder, "demo.tar");

    private string Unpacked => Path.Combine(_folder, "unpacked");

    private string Original => Path.Combine(_folder, "message.eml");

    public async ValueTask InitializeAsync()
    {
        await File.WriteAllBytesAsync(
            Original,
            Encoding.Latin1.GetBytes(
                "From: alice@a.example\r\nTo: bob@b.example\r\nMessage-ID: <b1@a.example>\r\n\r\ncaf\xe9\r\n"
            )
        );
        (await Run.PgpTunnelAsync("demo", Original, "--evidence", Tar)).Expect(0);
        Directory.CreateDirectory(Unpacked);
        await TarFile.ExtractToDirectoryAsync(Tar, Unpacked, overwriteFiles: false);
        File.Copy(Original, Path.Combine(Unpacked, "original.eml"));
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private Task<Finished> ShellAsync(string command) =>
        Run.ProgramAsync(
            "/bin/sh",
            ["-c", $"cd '{Unpacked}' && mkdir -p -m 700 ../gpg && export GNUPGHOME='{_folder}/gpg' && {command}"]
        );

    private IReadOnlyList<string> Commands =>
        [
            .. File.ReadAllLines(Path.Combine(Unpacked, "README.txt"))
                .Where(l => l.StartsWith("    ", StringComparison.Ordinal))
                .Select(l => l.Trim())
                .Where(l => !l.StartsWith("pgptunnel ", StringComparison.Ordinal)),
        ];

    [Fact]
    public async Task Every_command_of_its_readme_shows_what_it_says()
    {
        Need.Programs("gpg", "openssl", "unbound-host");
        var kinds = new HashSet<string>();
        foreach (var command in Commands)
        {
            var done = (await ShellAsync(command)).Expect(0);
            kinds.Add(command.Split(' ')[0]);
            if (command.StartsWith("unbound-host", StringComparison.Ordinal))
                Assert.Matches(@"fp=[0-9a-f]{40}.* \(secure\)", done.Text);
        }
        Assert.Superset(new HashSet<string> { "gpg", "sha256sum", "sh", "echo", "unbound-host", "cat" }, kinds);
        // The signed octets, put together from the message, are those that the records name.
        var literal = (await ShellAsync("sha256sum literal | cut -c 1-64")).Expect(0).Text.Trim();
        Assert.Equal(
            2,
            (await ShellAsync($"grep -l '\"lit\":\"{literal}\",\"mode\\|\"lit\":\"{literal}\",\"n\"' logs/*/1.json"))
                .Text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Length
        );
    }

    [Fact]
    public async Task Sequoia_verifies_heads_and_the_message()
    {
        Need.Programs("sq");
        var keys = string.Join(
            ' ',
            Directory.EnumerateFiles(Path.Combine(Unpacked, "keys")).Select(k => $"--signer-cert '{k}'")
        );
        (await ShellAsync("cat message/head original.eml message/pad > literal")).Expect(0);
        (await ShellAsync($"sq verify {keys} --detached message/sig literal")).Expect(0);
        foreach (var log in Directory.EnumerateDirectories(Path.Combine(Unpacked, "logs")))
            (await ShellAsync($"sq verify {keys} --detached '{log}/checkpoint.sig' '{log}/checkpoint'")).Expect(0);
        (await ShellAsync("printf x >> literal")).Expect(0);
        Assert.NotEqual(0, (await ShellAsync($"sq verify {keys} --detached message/sig literal")).Code);
    }

    /// <summary>Each check of the script says no where it must.</summary>
    [Fact]
    public async Task A_forged_record_head_or_proof_is_refused_by_the_script()
    {
        Need.Programs("gpg", "openssl");
        (await ShellAsync("gpg --batch --import keys/*.pgp")).Expect(0);
        var check = Commands.First(c => c.StartsWith("sh inclusion.sh", StringComparison.Ordinal));
        var folder = check.Split(' ')[2];
        foreach (
            var (file, change) in new[]
            {
                ("1.json", "s/\"octets\":/\"octets\":1/"),
                ("1.tlog-proof", "s/index 1/index 2/"),
                ("1.tlog-proof", "3s/^./A/;3s/^A\\(.\\)/B\\1/"),
                ("1.tlog-proof", "3d"),
                ("checkpoint", "2s/$/0/"),
                ("checkpoint", "3s/^../AA/"),
            }
        )
        {
            (await ShellAsync($"cp {folder}/{file} saved && sed -i '{change}' {folder}/{file}")).Expect(0);
            var refused = await ShellAsync(check);
            Assert.True(refused.Code == 65, $"{file} {change}: {refused.Code} {refused.Text}");
            Assert.StartsWith("NO: ", refused.Text);
            (await ShellAsync($"cp saved {folder}/{file} && {check}")).Expect(0);
        }
        Assert.Equal(65, (await ShellAsync(Regex.Replace(check, "[0-9A-F]{40}$", new string('A', 40)))).Code);
    }

    [Fact]
    public async Task Our_own_verification_comes_to_the_same()
    {
        var anchors = Path.Combine(Unpacked, "dns", "anchors.ds");
        string[] verify = ["evidence", "verify", Tar, "--message", Original, "--trust-anchor", anchors, "--json"];
        using var json = JsonDocument.Parse((await Run.PgpTunnelAsync(verify)).Expect(0).Output);
        var verdicts = json
            .RootElement.GetProperty("statements")
            .EnumerateArray()
            .Select(s => s.GetProperty("verdict").GetString())
            .ToList();
        Assert.True(verdicts.Count > 12);
        Assert.All(verdicts.SkipLast(1), v => Assert.Equal("proved", v));
        Assert.Equal("not covered", verdicts[^1]);
        await File.AppendAllTextAsync(Original, "one line more\r\n");
        var other = (await Run.PgpTunnelAsync(verify)).Expect(65);
        Assert.Contains("contradicted", other.Text);
        (await Run.PgpTunnelAsync("evidence", "verify", Original)).Expect(65);
    }
}
