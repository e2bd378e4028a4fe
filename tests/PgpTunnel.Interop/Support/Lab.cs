using System.Net;
using System.Text.Json.Nodes;
using PgpTunnel.Demo;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// Company A's gateway as a process of its own, in a signed world that this test serves; what it hands to its relay is captured, and
/// opened with B's key:
/// <code>  test -> gateway A (process) -> relay (this test)        DNS: SignedWorld (this test)  </code>
/// </summary>
internal sealed partial class Lab : IAsyncDisposable
{
    private readonly SignedWorld _world = new();
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly List<Seen> _relayed = [],
        _local = [];
    private readonly Dictionary<string, SignedZone> _zones = [];

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("pgptunnel-lab-").FullName;

    public string Config => Path.Combine(Directory, "a", "pgptunnel.json");

    /// <summary>What an attacker or a fault does to DNS answers.</summary>
    public Func<DomainName, ushort, WorldAnswer, WorldAnswer>? Forge { get; set; }

    /// <summary>Adds a record to one of the zones.</summary>
    public void Publish(string zone, string name, ushort type, byte[] rdata) =>
        _zones[zone].Add(DomainName.Parse(name), type, rdata);

    /// <summary>What the relay answers instead of taking a message; null = it takes it.</summary>
    public Func<Seen, SmtpReply?> RelayAnswer { get; set; } = _ => null;

    /// <param name="days">For which the zones are signed, before and after now.</param>
    public static async Task<Lab> CreateAsync(int days = 30)
    {
        var lab = new Lab();
        var now = TimeProvider.System.GetUtcNow();
        foreach (var name in new[] { ".", "example", "a.example", "b.example", "plain.example" })
            lab._world.Add(lab._zones[name] = new SignedZone(name, now, days));
        lab._zones["."].Delegate(lab._zones["example"]);
        foreach (var name in new[] { "a.example", "b.example", "plain.example" })
            lab._zones["example"].Delegate(lab._zones[name]);
        var dns = lab.Keep(
            new LoopbackDns(
                (name, type) =>
                    lab.Forge is { } forge
                        ? forge(name, type, lab._world.Answer(name, type))
                        : lab._world.Answer(name, type)
            )
        );
        await File.WriteAllTextAsync(Path.Combine(lab.Directory, "root.ds"), lab._world.Anchor);
        var relay = lab.Keep(Listen(lab._relayed, seen => lab.RelayAnswer(seen)));
        var local = lab.Keep(Listen(lab._local, _ => null));
        foreach (var company in new[] { "a", "b" })
        {
            var directory = Path.Combine(lab.Directory, company);
            (await Run.PgpTunnelAsync("init", "--domain", $"{company}.example", "--directory", directory)).Expect(0);
            Change(
                Path.Combine(directory, "pgptunnel.json"),
                c =>
                {
                    c["dns"] = new JsonObject
                    {
                        ["resolvers"] = new JsonArray(dns.EndPoint.ToString()),
                        ["trustAnchors"] = "../root.ds",
                    };
                    c["listen"] = new JsonObject
                    {
                        ["outbound"] = new JsonObject { ["address"] = "127.0.0.1:0" },
                        ["inbound"] = new JsonObject { ["address"] = "127.0.0.1:0" },
                    };
                    c["deliver"] = new JsonObject
                    {
                        ["local"] = local.EndPoint.ToString(),
                        ["relay"] = relay.EndPoint.ToString(),
                    };
                    c["retry"] = new JsonObject { ["first"] = "00:00:01", ["longest"] = "00:00:02" };
                }
            );
            var configuration = ConfigurationReader.Read(Path.Combine(directory, "pgptunnel.json"));
            foreach (var record in PublishedRecords.For(configuration, KeyRing.Load(configuration), asTxt: false))
                lab._zones[$"{company}.example"].Add(record.Name, record.Type, record.Rdata);
        }
        return lab;
    }

    private T Keep<T>(T part)
        where T : IAsyncDisposable
    {
        _parts.Add(part);
        return part;
    }

    private static SmtpServer Listen(List<Seen> into, Func<Seen, SmtpReply?> answer) =>
        SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions
            {
                Hostname = "mail.example",
                MessageSize = 100_000_000,
                MaxConnectionsPerAddress = 200,
            },
            new CapturingServer(seen =>
            {
                if (answer(seen) is { } refusal)
                    return Task.FromResult(refusal);
                lock (into)
                    into.Add(seen);
                return Task.FromResult(SmtpReply.Ok);
            })
        );

    public void Change(Action<JsonObject> change) => Change(Config, change);

    private static void Change(string file, Action<JsonObject> change)
    {
        var root = JsonNode
            .Parse(
                File.ReadAllText(file),
                null,
                new System.Text.Json.JsonDocumentOptions { CommentHandling = System.Text.Json.JsonCommentHandling.Skip }
            )!
            .AsObject();
        change(root);
        File.WriteAllText(file, root.ToJsonString());
    }

    public Task<Finished> PgpTunnelAsync(params string[] arguments) =>
        Run.PgpTunnelAsync([.. arguments, "--config", Config]);

    public async Task<Daemon> StartAsync(string config = "", IReadOnlyDictionary<string, string>? environment = null)
    {
        var gateway = new Daemon(Run.Gateway, ["run", "--config", config.Length > 0 ? config : Config], environment);
        await gateway.WaitForAsync("ready outbound=");
        return gateway;
    }

    public static IPEndPoint Outbound(Daemon gateway) =>
        IPEndPoint.Parse(
            System.Text.RegularExpressions.Regex.Match(gateway.Log, "ready outbound=(\\S+)").Groups[1].Value
        );

    public static IPEndPoint Inbound(Daemon gateway) =>
        IPEndPoint.Parse(
            System
                .Text.RegularExpressions.Regex.Match(gateway.Log, "ready outbound=\\S+ inbound=(\\S+)")
                .Groups[1]
                .Value
        );

    /// <summary>The reply to one message, or null when the connection broke before it.</summary>
    public static async Task<SmtpReply?> SendAsync(IPEndPoint server, string to, string message)
    {
        await using var sender = new SmtpSender(() => "client.example");
        try
        {
            return (
                await sender.SendAsync(
                    new SmtpTarget("gateway", server, TlsMode.None),
                    ReversePath.Parse("<alice@a.example>").Path!,
                    [ForwardPath.Parse(to, false).Path!],
                    [System.Text.Encoding.ASCII.GetBytes(message)],
                    CancellationToken.None
                )
            )[0];
        }
        catch (SmtpUnavailableException)
        {
            return null;
        }
    }

    /// <summary>What company A's own mail server got.</summary>
    public IReadOnlyList<string> Local
    {
        get
        {
            lock (_local)
                return [.. _local.Select(s => System.Text.Encoding.ASCII.GetString(s.Message))];
        }
    }

    /// <summary>A parcel from B's gateway for A's, as a hop would hand it in.</summary>
    /// <param name="asks">It asks for a receipt.</param>
    public byte[] SealForA(string message, bool asks = false)
    {
        var (a, b) = _companies ??= (Company("a"), Company("b"));
        var (keyA, keyB, now) = (a.Key, b.Key, TimeProvider.System.GetUtcNow());
        var header = new InnerHeader
        {
            Id = ParcelLife.NewId(),
            Date = now,
            Expires = now.AddDays(7),
            Sender = ("b.example", keyB.Fingerprint),
            Recipient = ("a.example", keyA.Fingerprint),
            MailFrom = ReversePath.Parse("<bob@b.example>").Path!,
            RcptTo = [ForwardPath.Parse("<alice@a.example>", false).Path!],
            Size = message.Length,
            AsksReceipt = asks,
        };
        var peer = Certificate.Read(keyA.ExportCertificate()).Judge(a.Configuration.Gateway, now).Key!;
        var octets = MessageSealer
            .Seal(ParcelBody.Parts(header, [System.Text.Encoding.ASCII.GetBytes(message)]), keyB, peer, now)
            .Octets.ToArray();
        return
        [
            .. OuterMessage
                .Build(b.Configuration.Gateway, a.Configuration.Gateway, ParcelLife.NewId(), now, octets)
                .SelectMany(p => p.ToArray()),
        ];
    }

    private (
        (GatewayConfiguration Configuration, GatewayKey Key) A,
        (GatewayConfiguration Configuration, GatewayKey Key) B
    )? _companies;

    private (GatewayConfiguration, GatewayKey) Company(string name)
    {
        var configuration = ConfigurationReader.Read(Path.Combine(Directory, name, "pgptunnel.json"));
        return (configuration, KeyRing.Load(configuration).Active);
    }

    /// <summary>Hands a parcel in; the reply, or null when the connection broke.</summary>
    public static async Task<SmtpReply?> HandInAsync(IPEndPoint server, byte[] outer)
    {
        await using var sender = new SmtpSender(() => "hop.example");
        try
        {
            return (
                await sender.SendAsync(
                    new SmtpTarget("gateway", server, TlsMode.None),
                    ReversePath.Parse("<pgptunnel+0@pgptunnel.b.example>").Path!,
                    [ForwardPath.Parse("<pgptunnel@pgptunnel.a.example>", false).Path!],
                    [outer],
                    CancellationToken.None
                )
            )[0];
        }
        catch (SmtpUnavailableException)
        {
            return null;
        }
    }

    public IReadOnlyList<Seen> Relayed
    {
        get
        {
            lock (_relayed)
                return [.. _relayed];
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in Enumerable.Reverse(_parts))
            await part.DisposeAsync();
        System.IO.Directory.Delete(Directory, true);
    }
}
