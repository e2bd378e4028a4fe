using System.Text.Json;
using System.Text.RegularExpressions;

namespace PgpTunnel.Interop;

/// <summary>Commands that may take long say on a terminal what they are at, and nowhere else.</summary>
public sealed partial class ProgressTests(ProgressWorld world) : IClassFixture<ProgressWorld>
{
    /// <summary>A command, what it says that it is at, and its exit code here.</summary>
    public static readonly TheoryData<string, string, int> Commands = new()
    {
        { "backup @/@@.pgp --passphrase-file @/passphrase", "the spool is copied", 0 },
        { "restore @/backup.pgp --passphrase-file @/passphrase --directory @/@@", "it is opened and read", 0 },
        { "queue check", "parcels, each is opened", 0 },
        { "queue export @/@@", "rows of parcel", 0 },
        { "queue import @/export", "rows of", 0 },
        { "doctor b.example", "b.example: its certificate", 65 }, // nobody answers at its exchanger
        { "evidence verify @/bundle.tar", "bundle.tar is read", 0 },
        { "demo", "gateways, hop and DNS are set up", 0 },
        { "evidence erase --address bob@b.example --reason x --yes", "the spool is written anew", 0 },
    };

    /// <summary>The .NET runtime writes it to every terminal.</summary>
    private const string KeypadMode = "\e[?1h\e=";

    [GeneratedRegex("\e\\[[0-9;]*[34][0-9][0-9;]*m")]
    private static partial Regex Colour();

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task On_a_terminal_it_says_what_it_is_at(string command, string stage, int code)
    {
        var seen = (await world.OnTerminalAsync(command)).Expect(code).Text;
        Assert.Contains(stage, seen, StringComparison.Ordinal);
        Assert.Matches(Colour(), seen);
        var plain = (await world.OnTerminalAsync(command, noColour: "NO_COLOR=1")).Expect(code).Text;
        Assert.Contains(stage, plain, StringComparison.Ordinal);
        Assert.DoesNotMatch(Colour(), plain);
    }

    [Fact]
    public async Task Whoever_interrupts_it_has_a_cursor_and_no_folder_is_left()
    {
        var folder = Directory.CreateTempSubdirectory("pgptunnel-interrupted-").FullName;
        // The pause: long enough to have begun; where it is over by then, nothing is shown, and nothing is wrong.
        var seen = await Run.ProgramAsync(
            Need.Program("script"),
            ["-qc", $"env TMPDIR={folder} timeout -s INT 1 {Run.Gateway} demo", "/dev/null"],
            environment: new Dictionary<string, string> { ["TERM"] = "xterm-256color" }
        );
        int Last(string part) => seen.Text.LastIndexOf(part, StringComparison.Ordinal);
        Assert.True(Last("\e[?25h") >= Last("\e[?25l"), seen.Text);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
        Directory.Delete(folder);
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Elsewhere_and_with_json_it_says_nothing_but_its_report(string command, string stage, int code)
    {
        var piped = (await world.InPipeAsync(command)).Expect(code);
        Assert.Equal("", piped.Error);
        Assert.DoesNotContain('\e', piped.Text);
        Assert.DoesNotContain(stage, piped.Text, StringComparison.Ordinal);
        var reported = (await world.OnTerminalAsync(command, "--json")).Expect(code).Text;
        using var json = JsonDocument.Parse(reported.Replace(KeypadMode, "", StringComparison.Ordinal));
        Assert.Equal(JsonValueKind.Object, json.RootElement.ValueKind);
    }
}

/// <summary>A gateway with a parcel that waits, a backup of it, and what it has on record.</summary>
public sealed class ProgressWorld : IAsyncLifetime
{
    private Lab _lab = null!;
    private string _folder = "";
    private int _runs;

    public async ValueTask InitializeAsync()
    {
        Need.Program("script");
        _lab = await Lab.CreateAsync();
        _folder = Directory.CreateTempSubdirectory("pgptunnel-progress-").FullName;
        await File.WriteAllTextAsync(Path.Combine(_folder, "passphrase"), "a passphrase\n");
        _lab.RelayAnswer = _ => new PgpTunnel.Smtp.SmtpReply(451, "4.3.0", "later");
        string id;
        await using (var gateway = await _lab.StartAsync())
            id = (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", "Subject: s\r\n\r\nb\r\n"))!.Text.Split(
                ' '
            )[0];
        foreach (
            var made in new[]
            {
                "backup @/backup.pgp --passphrase-file @/passphrase",
                "queue export @/export",
                $"evidence export --id {id} --output @/bundle.tar",
            }
        )
            (await _lab.PgpTunnelAsync(Words(made))).Expect(0);
    }

    public async ValueTask DisposeAsync()
    {
        await _lab.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private string[] Words(string command) =>
        command
            .Replace("@@", $"run{++_runs}", StringComparison.Ordinal)
            .Replace("@/", $"{_folder}/", StringComparison.Ordinal)
            .Split(' ');

    internal async Task<Finished> InPipeAsync(string command, params string[] more) =>
        command.StartsWith("restore", StringComparison.Ordinal)
            ? await Run.PgpTunnelAsync([.. Words(command), .. more])
            : await _lab.PgpTunnelAsync([.. Words(command), .. more]);

    /// <summary>stdout and stderr are one terminal.</summary>
    internal Task<Finished> OnTerminalAsync(string command, string more = "", string noColour = "")
    {
        var configured = command.StartsWith("restore", StringComparison.Ordinal) ? "" : $"--config {_lab.Config}";
        return Run.ProgramAsync(
            Need.Program("script"),
            [
                "-qec",
                $"env -u NO_COLOR {noColour} {Run.Gateway} {string.Join(' ', Words(command))} {configured} {more}",
                "/dev/null",
            ],
            environment: new Dictionary<string, string> { ["TERM"] = "xterm-256color" }
        );
    }
}
