using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace PgpTunnel.Interop;

/// <summary>What Prometheus reads of a gateway, and the samples that go with it, as Prometheus' own tool judges them.</summary>
public sealed partial class MetricsTests
{
    private static string Samples => Path.Combine(AppContext.BaseDirectory, "samples", "prometheus");

    private static async Task<Finished> PromtoolAsync(IEnumerable<string> arguments, string input = "") =>
        await Run.ProgramAsync(
            Need.Program("promtool"),
            arguments,
            Encoding.UTF8.GetBytes(input),
            environment: null,
            directory: Samples
        );

    [Fact]
    public async Task What_the_readme_lists_is_what_is_read()
    {
        await using var lab = await Lab.CreateAsync();
        var address = $"127.0.0.1:{FreePort()}";
        lab.Change(c => c["listen"]!["metrics"] = address);
        await using var gateway = await lab.StartAsync();
        Assert.Equal(
            250,
            (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", "Subject: x\r\n\r\nx\r\n"))!.Code
        );
        Assert.Equal(250, (await Lab.HandInAsync(Lab.Inbound(gateway), lab.SealForA("Subject: y\r\n\r\ny\r\n")))!.Code);
        using var client = new HttpClient();
        var text = "";
        await Wait.UntilAsync(
            () =>
            {
                text = client.GetStringAsync(new Uri($"http://{address}/metrics")).GetAwaiter().GetResult();
                return text.Contains("duration_seconds_count{route=\"local\"} 1", StringComparison.Ordinal)
                    && text.Contains("duration_seconds_count{route=\"gateway\"} 1", StringComparison.Ordinal);
            },
            () => $"{text}\n{gateway.Log}"
        );
        Assert.Contains("pgptunnel_armed{domain=\"a.example\"} 1", text);
        Assert.Contains("pgptunnel_events_total{event=\"sealed\"} 1", text);
        Assert.DoesNotContain("alice", text);
        var problems = await PromtoolAsync(["check", "metrics"], text);
        Assert.True(problems.Code is 0 or 3, problems.Error); // 3: of style
        // Some come only with what they count.
        var listed = Listed();
        Assert.Empty(Names(text).Except(listed).Except(["target_info"]));
        Assert.Equal(
            ["pgptunnel_alarms_total", "pgptunnel_days_left_days", "pgptunnel_receipt_duration_seconds"],
            listed.Except(Names(text)).Order(StringComparer.Ordinal)
        );
        // The address is taken now.
        var second = await lab.PgpTunnelAsync("run");
        Assert.Contains("listen.metrics", second.Expect(69).Error);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static HashSet<string> Names(string text) => [.. Described().Matches(text).Select(m => m.Groups[1].Value)];

    /// <summary>The metrics in the table of src/docs/watch.md.</summary>
    private static HashSet<string> Listed() =>
        [
            .. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "docs", "watch.md"))
                .Where(l => l.StartsWith("| `pgptunnel_", StringComparison.Ordinal))
                .SelectMany(l => Quoted().Matches(l))
                .Select(m => m.Groups[1].Value),
        ];

    [Fact]
    public async Task The_alert_rules_fire_when_they_should()
    {
        (await PromtoolAsync(["check", "rules", "pgptunnel.rules.yml"])).Expect(0);
        (await PromtoolAsync(["check", "config", "prometheus.yml"])).Expect(0);
        (await PromtoolAsync(["test", "rules", "pgptunnel.rules.test.yml"])).Expect(0);
    }

    [Fact]
    public async Task Rules_and_dashboard_ask_for_metrics_that_there_are()
    {
        var rules = await File.ReadAllTextAsync(Path.Combine(Samples, "pgptunnel.rules.yml"));
        using var dashboard = JsonDocument.Parse(
            await File.ReadAllBytesAsync(Path.Combine(Samples, "grafana-dashboard.json"))
        );
        var asked = dashboard
            .RootElement.GetProperty("panels")
            .EnumerateArray()
            .SelectMany(p => p.GetProperty("targets").EnumerateArray())
            .Select(t => t.GetProperty("expr").GetString()!)
            .ToList();
        Assert.True(asked.Count > 10);
        var names = Used().Matches($"{rules}{string.Join('\n', asked)}").Select(m => Base(m.Value)).ToHashSet();
        Assert.Empty(names.Except(Listed()));
        Assert.Empty(Listed().Except(names));
        // Grafana puts the variables in.
        var expressions = asked.Select(e => e.Replace("$__rate_interval", "5m").Replace("$instance", ".*"));
        var file = Path.Combine(Directory.CreateTempSubdirectory("pgptunnel-dashboard-").FullName, "rules.yml");
        await File.WriteAllTextAsync(
            file,
            $"groups:\n- name: d\n  rules:\n{string.Concat(expressions.Select((e, n) => $"  - record: r{n}\n    expr: '{e}'\n"))}"
        );
        (await PromtoolAsync(["check", "rules", file])).Expect(0);
    }

    /// <summary>Of a histogram's parts the histogram.</summary>
    private static string Base(string name) =>
        name.EndsWith("_bucket", StringComparison.Ordinal) ? name[..^"_bucket".Length] : name;

    [GeneratedRegex("^# TYPE (\\S+)", RegexOptions.Multiline)]
    private static partial Regex Described();

    [GeneratedRegex("`(pgptunnel_[a-z_]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex("\\bpgptunnel_[a-z_]+")]
    private static partial Regex Used();
}
