using System.Text.Json;

namespace PgpTunnel.Interop;

/// <summary><c>setup</c>: all that a new gateway needs, and what is left to do.</summary>
public sealed class SetupTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("pgptunnel-setup-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Task<Finished> SetupAsync(params string[] more) =>
        Run.PgpTunnelAsync(["setup", "--directory", Path.Combine(_folder, "a"), .. more]);

    private string Read(params string[] name) => File.ReadAllText(Path.Combine([_folder, "a", .. name]));

    [Fact]
    public async Task It_writes_what_was_said_and_once_more_it_only_looks()
    {
        var first = (
            await SetupAsync(
                "--domain",
                "a.example",
                "--domain",
                "a2.example",
                "--hostname",
                "tunnel.a.example",
                "--listen",
                "192.0.2.5:10025",
                "--network",
                "192.0.2.10/32",
                "--mail-server",
                "192.0.2.10:10027",
                "--relay",
                "smarthost.a.example:587"
            )
        ).Expect(0);
        Assert.Contains("wrote    ", first.Text);
        var configuration = ConfigurationReader.Read(Path.Combine(_folder, "a", "pgptunnel.json"));
        Assert.Equal(["a.example", "a2.example"], configuration.Domains);
        Assert.Equal("tunnel.a.example", configuration.Hostname);
        Assert.Equal("192.0.2.5:10025", configuration.Listen.Outbound!.Address.ToString());
        Assert.Equal("192.0.2.10/32", Assert.Single(configuration.Listen.Outbound.Networks).ToString());
        Assert.Equal(("192.0.2.10", 10027), (configuration.Deliver.Local.Host, configuration.Deliver.Local.Port));
        Assert.Equal("smarthost.a.example", configuration.Deliver.Relay!.Host);
        Assert.Contains("_pgptunnel.a2.example.", Read("dns-records.txt"));
        Assert.Contains("\n192.0.2.10:10027 inet", Read("postfix", "master.cf"));
        Assert.Contains("mynetworks=192.0.2.5", Read("postfix", "master.cf"));
        Assert.Contains("[192.0.2.5]:10025", Read("postfix", "pgptunnel_transport"));
        Assert.DoesNotContain("b.example", Read("postfix", "pgptunnel_transport"));
        var before = Everything();
        var second = (await SetupAsync("--domain", "other.example")).Expect(0).Text;
        Assert.DoesNotContain("wrote", second);
        Assert.Contains("not used --domain", second);
        Assert.Contains("to do    the gateway runs", second);
        Assert.Equal(before, Everything());
    }

    private Dictionary<string, string> Everything() =>
        Directory
            .EnumerateFiles(_folder, "*", SearchOption.AllDirectories)
            .ToDictionary(f => f, f => Convert.ToBase64String(File.ReadAllBytes(f)));

    [Fact]
    public async Task What_is_missing_or_wrong_is_named_and_nothing_is_written()
    {
        foreach (
            var (arguments, code, says) in new (string[], int, string)[]
            {
                ([], 64, "--domain"),
                (["--domain", "a.example", "--listen", "0.0.0.0:10025"], 64, "--network"),
                (["--domain", "not a domain"], 64, "not a domain"),
                (["--domain", "a.example", "--inbound", "nowhere"], 78, "listen.inbound.address"),
                (["--domain", "a.example", "--hostname", "x\", \"spool\": \"y"], 78, "hostname"),
                (["--domain", "a.example", "--gateway", "gate@a.example"], 64, "--gateway"),
                (["--domain", "a.example", "--listen", "localhost:10025"], 64, "--listen"),
                (["--domain", "a.example", "--mail-server", ""], 64, "--mail-server"),
                (["--domain", "a.example", "--config", "none.json"], 64, "--config"),
            }
        )
        {
            Assert.Contains(says, (await SetupAsync(arguments)).Expect(code).Error);
            Assert.False(Path.Exists(Path.Combine(_folder, "a")));
        }
    }

    [Fact]
    public async Task Postfix_takes_its_lines_and_a_gateway_that_works_has_nothing_left_but_its_mail_server()
    {
        await using var lab = await Lab.CreateAsync();
        (await SetupAsync("--domain", "c.example")).Expect(0);
        var postfix = Path.Combine(_folder, "a", "postfix");
        var checks = await Run.ProgramAsync(Need.Program("postconf"), ["-c", postfix, "-n"]);
        Assert.Contains("transport_maps = texthash:/etc/postfix/pgptunnel_transport", checks.Expect(0).Text);
        Assert.DoesNotContain("warning", checks.Error);
        await using var gateway = await lab.StartAsync();
        (await lab.PgpTunnelAsync("key", "backup", Path.Combine(_folder, "keys.asc"))).Expect(0);
        using var json = JsonDocument.Parse(
            (await Run.PgpTunnelAsync("setup", "--directory", Path.GetDirectoryName(lab.Config)!, "--json"))
                .Expect(0)
                .Output
        );
        var left = json
            .RootElement.GetProperty("steps")
            .EnumerateArray()
            .Where(s => !s.GetProperty("done").GetBoolean())
            .Select(s => s.GetProperty("what").GetString());
        Assert.Equal(["partners' mail goes through the gateway, by Postfix on this machine"], left);
        // Made by 'init', it had none of the files that go with it.
        Assert.Equal(5, json.RootElement.GetProperty("written").GetArrayLength());
        Assert.DoesNotContain("wrote", (await lab.PgpTunnelAsync("setup")).Expect(0).Text);
    }

    [Fact]
    public async Task What_a_failure_has_left_out_comes_with_the_next_run()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "a"));
        await File.WriteAllTextAsync(Path.Combine(_folder, "a", "postfix"), "in the way");
        Assert.Contains("run it again", (await SetupAsync("--domain", "a.example")).Expect(73).Error);
        File.Delete(Path.Combine(_folder, "a", "postfix"));
        Assert.Contains("wrote    ", (await SetupAsync()).Expect(0).Text);
        Assert.Contains("inet", Read("postfix", "master.cf"));
        // Records of other keys are not for publishing.
        var records = Read("dns-records.txt");
        await File.WriteAllTextAsync(Path.Combine(_folder, "a", "dns-records.txt"), "of before the rotation");
        Assert.Contains("dns-records.txt", (await SetupAsync()).Expect(0).Text);
        Assert.Equal(records, Read("dns-records.txt"));
        // A folder in the configuration's place: nothing at all is written.
        Directory.CreateDirectory(Path.Combine(_folder, "b", "pgptunnel.json"));
        (await Run.PgpTunnelAsync("setup", "--domain", "a.example", "--directory", Path.Combine(_folder, "b"))).Expect(
            78
        );
        Assert.False(Directory.Exists(Path.Combine(_folder, "b", "keys")));
    }
}
