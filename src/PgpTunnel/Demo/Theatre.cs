using System.Net;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Demo;

/// <summary>
/// The stage of the demo, all on loopback: a signed DNS world, company A's gateway, a hop, company B's gateway and mail server. The
/// gateways are those of <c>run</c>, reading configuration files and keys as any other.
/// </summary>
internal sealed class Theatre : IAsyncDisposable
{
    private readonly string _directory = TemporaryFolder();
    private readonly List<IAsyncDisposable> _parts = [];

    public required SignedWorld World { get; init; }
    public IPEndPoint DnsAddress { get; private set; } = null!;
    public Gateway A { get; private set; } = null!;
    public Gateway B { get; private set; } = null!;
    public GatewayKey KeyA { get; private set; } = null!;
    public GatewayKey KeyB { get; private set; } = null!;
    public CapturingServer Hop { get; private set; } = null!;
    public CapturingServer ServerB { get; private set; } = null!;
    public SmtpSender Sender { get; } = new(() => "mail.a.example");
    public LogText LogA { get; } = new();
    public LogText LogB { get; } = new();

    public static async Task<Theatre> OpenAsync(TimeProvider time)
    {
        var theatre = new Theatre { World = new SignedWorld() };
        try
        {
            await theatre.BuildAsync(time);
            return theatre;
        }
        catch
        {
            await theatre.DisposeAsync();
            throw;
        }
    }

    private static string TemporaryFolder()
    {
        try
        {
            return Directory.CreateTempSubdirectory("pgptunnel-demo-").FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"no folder can be made in {Path.GetTempPath()}: {e.Message}; TMPDIR names another",
                e
            );
        }
    }

    private async Task BuildAsync(TimeProvider time)
    {
        var now = time.GetUtcNow();
        var (root, example, a, b) = (
            new SignedZone(".", now),
            new SignedZone("example", now),
            new SignedZone("a.example", now),
            new SignedZone("b.example", now)
        );
        root.Delegate(example);
        example.Delegate(a);
        example.Delegate(b);
        foreach (var zone in new[] { root, example, a, b })
            World.Add(zone);
        var dns = Keep(new LoopbackDns(World.Answer));
        DnsAddress = dns.EndPoint;
        await File.WriteAllTextAsync(Path.Combine(_directory, "root.ds"), World.Anchor);

        ServerB = new CapturingServer();
        var serverB = Keep(Listen("mail.b.example", ServerB));
        var configurationB = Configure("b.example", serverB.EndPoint, null);
        KeyB = MakeKey(configurationB, b, now);
        B = Keep(await Gateway.StartAsync(configurationB, new EventLog(LogB, false, time), time));

        Hop = CapturingServer.Hop(Sender, B.InboundServer!.EndPoint);
        var hop = Keep(Listen("hop.example", Hop));
        var serverA = Keep(Listen("mail.a.example", new CapturingServer()));
        var configurationA = Configure("a.example", serverA.EndPoint, hop.EndPoint);
        KeyA = MakeKey(configurationA, a, now);
        A = Keep(await Gateway.StartAsync(configurationA, new EventLog(LogA, false, time), time));
    }

    private T Keep<T>(T part)
        where T : IAsyncDisposable
    {
        _parts.Add(part);
        return part;
    }

    private static SmtpServer Listen(string name, IMailFlow flow) =>
        SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions { Hostname = name, MessageSize = 200 * 1024 * 1024 },
            flow
        );

    private GatewayConfiguration Configure(string domain, IPEndPoint local, IPEndPoint? relay)
    {
        var directory = Directory.CreateDirectory(Path.Combine(_directory, domain)).FullName;
        var file = Path.Combine(directory, "pgptunnel.json");
        File.WriteAllText(
            file,
            $$"""
            { "domains": ["{{domain}}"], "hostname": "gw.{{domain}}",
              "listen": { "outbound": { "address": "127.0.0.1:0" }, "inbound": { "address": "127.0.0.1:0" } },
              "deliver": { "local": "{{local}}", "relay": {{(relay is null ? "null" : $"\"{relay}\"")}} },
              "dns": { "resolvers": ["{{DnsAddress}}"], "trustAnchors": "../root.ds" } }
            """
        );
        return ConfigurationReader.Read(file);
    }

    /// <summary>Makes the gateway's key and publishes its records in its zone.</summary>
    private static GatewayKey MakeKey(GatewayConfiguration configuration, SignedZone zone, DateTimeOffset now)
    {
        var key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, configuration.Gateway, now);
        KeyRing.Write(configuration.Keys.Directory, key, null, now);
        foreach (var record in PublishedRecords.For(configuration, [key], [], asTxt: false))
            zone.Add(record.Name, record.Type, record.Rdata);
        return key;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in Enumerable.Reverse(_parts))
            await part.DisposeAsync();
        await Sender.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}
