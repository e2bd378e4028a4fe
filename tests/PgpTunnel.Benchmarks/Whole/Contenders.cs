using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using PgpTunnel.Interop;

namespace PgpTunnel.Benchmarks;

/// <summary>Which way mail goes through the gateway.</summary>
internal enum Way
{
    Outbound,
    Inbound,
}

/// <summary>Something that takes mail over SMTP and passes it on to the sink.</summary>
/// <param name="Server">Where it takes mail.</param>
/// <param name="Cpu">What it has used so far; zero for the roof, which is nothing.</param>
/// <param name="Slowness">It gets that many times fewer messages, so that a round does not take forever.</param>
internal sealed record Contender(string Name, IPEndPoint Server, Func<TimeSpan> Cpu, int Slowness);

/// <summary>
/// All that is compared, on one machine, with one sink behind all of them:
/// <code>
///   smtp-source -> gateway (seals)              -> smtp-sink
///   smtp-source -> Postfix                      -> smtp-sink     (a)
///   smtp-source -> Postfix -> gpg -> Postfix    -> smtp-sink     (b)
///   smtp-source ---------------------------------> smtp-sink     (roof)
/// </code>
/// and the same inbound, with parcels that another gateway has sealed.
/// </summary>
internal sealed class Contenders : IAsyncDisposable
{
    private const string PostfixAddress = "127.0.0.61";

    /// <summary>What the gateway with records is held against.</summary>
    public const string WithoutRecords = "without records";

    private readonly Lab _lab;
    private readonly Postfix _postfix;
    private readonly string _home; // gpg's
    private readonly GatewayProcess _gateway,
        _withoutRecords;

    private Contenders(
        Lab lab,
        (Postfix Postfix, string Home) others,
        Sink sink,
        (GatewayProcess With, GatewayProcess Without) gateways
    ) =>
        (_lab, _postfix, _home, Sink, _gateway, _withoutRecords) = (
            lab,
            others.Postfix,
            others.Home,
            sink,
            gateways.With,
            gateways.Without
        );

    public Sink Sink { get; }

    /// <summary>Parcels for the gateway, each another; they ask for receipts, which it gives.</summary>
    public byte[] SealForGateway(string message) => _lab.SealForA(message, asks: true);

    public static async Task<Contenders> StartAsync()
    {
        var sink = await Sink.StartAsync();
        var lab = await Lab.CreateAsync();
        lab.Change(c =>
        {
            c["deliver"]!["relay"] = sink.EndPoint.ToString();
            c["deliver"]!["local"] = sink.EndPoint.ToString();
            c["limits"] = new JsonObject
            {
                ["memory"] = 4_000_000_000,
                ["connections"] = 300,
                ["connectionsPerAddress"] = 300,
            };
        });
        var home = await GpgHomeAsync(lab);
        var postfix = await StartPostfixAsync(sink.EndPoint, home);
        var with = await GatewayProcess.StartAsync(lab);
        return new Contenders(lab, (postfix, home), sink, (with, await StartWithoutRecordsAsync(lab)));
    }

    /// <summary>The same gateway again, with a spool of its own, that puts nothing on record.</summary>
    private static Task<GatewayProcess> StartWithoutRecordsAsync(Lab lab)
    {
        const string Name = "without-records.json";
        var configuration = JsonNode.Parse(File.ReadAllText(lab.Config))!.AsObject();
        configuration["spool"] = "sqlite:without-records.db";
        configuration["evidence"] = new JsonObject { ["keep"] = false };
        File.WriteAllText(Path.Combine(Path.GetDirectoryName(lab.Config)!, Name), configuration.ToJsonString());
        return GatewayProcess.StartAsync(lab, Name);
    }

    /// <summary>Both keys for gpg, readable by the user whom Postfix runs filters as.</summary>
    private static async Task<string> GpgHomeAsync(Lab lab)
    {
        var home = Directory.CreateTempSubdirectory("pgptunnel-gpg-").FullName;
        foreach (var company in new[] { "a", "b" })
        {
            var key = Directory.EnumerateFiles(Path.Combine(lab.Directory, company, "keys"), "*.key").Single();
            (
                await Run.ProgramAsync(
                    Need.Program("gpg"),
                    ["--homedir", home, "--batch", "--import"],
                    await File.ReadAllBytesAsync(key)
                )
            ).Expect(0);
        }
        await Run.ProgramAsync("gpgconf", ["--homedir", home, "--kill", "all"]);
        Directory.CreateDirectory(Path.Combine(home, "mail"));
        (await Run.ProgramAsync("chown", ["-R", "nobody", home])).Expect(0);
        return home;
    }

    /// <summary>
    /// As distributed, but for what would hold it back here: no look-up of client names, no pause when mail comes faster than it goes. The
    /// filters are the simple content filter of Postfix's FILTER_README, with gpg in the place of the inspection.
    /// </summary>
    private static async Task<Postfix> StartPostfixAsync(IPEndPoint sink, string home)
    {
        string Filter(string work) =>
            $"""
                #!/bin/sh
                # sender recipient; the message comes on stdin
                cd {home}/mail || exit 75
                trap "rm -f in.$$" 0 1 2 3 15
                {work} >in.$$ || exit 75
                /usr/sbin/sendmail -G -i -f "$1" -- "$2" <in.$$
                exit $?

                """;
        var gpg = $"gpg --homedir {home} --batch --quiet --trust-model always";
        var postfix = await Postfix.StartAsync(
            "bench",
            PostfixAddress,
            $"relayhost = [{sink.Address}]:{sink.Port}\nin_flow_delay = 0\n",
            $$"""
            {{PostfixAddress}}:2526 inet n - n - - smtpd
              -o content_filter=seal:dummy
            {{PostfixAddress}}:2527 inet n - n - - smtpd
              -o content_filter=open:dummy
            seal unix - n n - 10 pipe
              flags=Rq user=nobody argv=/bin/sh {{home}}/seal ${sender} ${recipient}
            open unix - n n - 10 pipe
              flags=Rq user=nobody argv=/bin/sh {{home}}/open ${sender} ${recipient}
            """,
            asSystem: true
        );
        await File.WriteAllTextAsync(
            Path.Combine(home, "seal"),
            Filter(
                $"{gpg} --armor --local-user pgptunnel@pgptunnel.a.example --recipient pgptunnel@pgptunnel.b.example --sign --encrypt"
            )
        );
        await File.WriteAllTextAsync(Path.Combine(home, "open"), Filter($"{gpg} --decrypt 2>/dev/null"));
        return postfix;
    }

    public IReadOnlyList<Contender> For(Way way)
    {
        TimeSpan Postfix() =>
            ProcessTree.Cpu(
                (pid, command) =>
                    IsMaster(pid, command)
                    || (command.StartsWith("gpg-agent", StringComparison.Ordinal) && command.Contains(_home))
            );
        IPEndPoint At(int port) => new(IPAddress.Parse(PostfixAddress), port);
        return
        [
            new(
                "PgpTunnel",
                way == Way.Outbound ? _gateway.Outbound : _gateway.Inbound,
                () => ProcessTree.Cpu((pid, _) => pid == _gateway.Id),
                1
            ),
            new(
                WithoutRecords,
                way == Way.Outbound ? _withoutRecords.Outbound : _withoutRecords.Inbound,
                () => ProcessTree.Cpu((pid, _) => pid == _withoutRecords.Id),
                1
            ),
            new("Postfix relay (a)", At(2525), Postfix, 1),
            new("Postfix + gpg (b)", At(way == Way.Outbound ? 2526 : 2527), Postfix, 20),
            new("nothing (roof)", Sink.EndPoint, () => TimeSpan.Zero, 1),
        ];
    }

    /// <summary>The master of our own instance works in its queue.</summary>
    private bool IsMaster(int pid, string command) =>
        command.Contains("/sbin/master", StringComparison.Ordinal)
        && Directory.ResolveLinkTarget($"/proc/{pid}/cwd", false)?.FullName == _postfix.Queue;

    /// <summary>Fails when mail is left in the gateway.</summary>
    public async Task NothingIsLeftAsync()
    {
        var list = (await _lab.PgpTunnelAsync("queue", "list")).Expect(0).Text;
        if (!list.Contains("the queue is empty", StringComparison.Ordinal))
            throw new InvalidOperationException(
                $"mail is left in the gateway:\n{list}\n{_gateway.Log[^Math.Min(4000, _gateway.Log.Length)..]}"
            );
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _withoutRecords.DisposeAsync();
        await _postfix.DisposeAsync();
        await Sink.DisposeAsync();
        await Run.ProgramAsync("gpgconf", ["--homedir", _home, "--kill", "all"]);
        Directory.Delete(_home, true);
        await _lab.DisposeAsync();
    }
}
