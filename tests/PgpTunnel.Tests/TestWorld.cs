using System.Net;
using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Demo;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>A signed DNS on loopback with a clock of its own; zones and gateways are added by the test.</summary>
internal sealed class TestWorld : IAsyncDisposable
{
    private readonly SignedWorld _world = new();
    private readonly Dictionary<string, SignedZone> _zones = [];
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly int _days;

    /// <param name="days">For which the zones are signed.</param>
    public TestWorld(int days = 30)
    {
        _days = days;
        Directory = System.IO.Directory.CreateTempSubdirectory("pgptunnel-test-").FullName;
        Time = new JumpingClock(
            DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds())
        );
        AddZone(".");
        AddZone("example");
        Dns = new LoopbackDns(
            (name, type) =>
            {
                var genuine = _world.Answer(name, type);
                var arrived = Forge is { } forge ? forge(name, type, genuine) : genuine;
                Arrived.Add(arrived);
                return arrived;
            }
        );
        _parts.Add(Dns);
        File.WriteAllText(Path.Combine(Directory, "root.ds"), _world.Anchor);
    }

    public string Directory { get; }
    public JumpingClock Time { get; }
    public LoopbackDns Dns { get; }

    /// <summary>What an attacker on the path does to an answer.</summary>
    public Func<DomainName, ushort, WorldAnswer, WorldAnswer>? Forge { get; set; }

    /// <summary>Answers as they arrived.</summary>
    public System.Collections.Concurrent.ConcurrentBag<WorldAnswer> Arrived { get; } = [];

    public TrustAnchors Anchors => TrustAnchors.Parse(_world.Anchor);

    public SignedZone Zone(string name) => _zones[name];

    public SignedZone? TryZone(string name) => _zones.GetValueOrDefault(name);

    public SignedZone AddZoneOnce(string name) => _zones.TryGetValue(name, out var zone) ? zone : AddZone(name);

    public SignedZone AddZone(string name)
    {
        var zone = _zones[name] = new SignedZone(name, Time.GetUtcNow(), _days);
        _world.Add(zone);
        var parent =
            name is "." ? null
            : name.IndexOf('.') is var dot and > 0 ? name[(dot + 1)..]
            : ".";
        if (parent is not null)
            _zones[parent].Delegate(zone);
        return zone;
    }

    /// <summary>A zone that its parent delegates without DS; its records carry no signatures.</summary>
    public SignedZone AddInsecureZone(string name)
    {
        var zone = _zones[name] = new SignedZone(name, Time.GetUtcNow(), _days);
        _world.Add(zone);
        _zones[name[(name.IndexOf('.') + 1)..]]
            .Add(zone.Name, RecordType.NS, DomainName.Parse("ns.example").Wire.ToArray());
        var before = Forge;
        Forge = (n, type, answer) =>
        {
            answer = before?.Invoke(n, type, answer) ?? answer;
            return n.IsWithin(zone.Name) && !(type == RecordType.DS && n == zone.Name) ? Unsigned(answer) : answer;
        };
        return zone;
    }

    public static WorldAnswer Unsigned(WorldAnswer answer) =>
        answer with
        {
            Answer = [.. answer.Answer.Where(r => r.Type != RecordType.RRSIG)],
            Authority = [.. answer.Authority.Where(r => r.Type is not (RecordType.RRSIG or RecordType.NSEC))],
        };

    public DnsValidator Validator() => new(new DnsExchange([Dns.EndPoint]), Anchors, Time);

    public Task<DnsAnswer> LookupAsync(string name, ushort type) =>
        Validator().LookupAsync(DomainName.Parse(name), type, CancellationToken.None);

    public static byte[] Txt(string text) =>
        [.. text.Chunk(255).SelectMany(c => (byte[])[(byte)c.Length, .. c.Select(x => (byte)x)])];

    /// <summary>A gateway of its own zone, with a key; its records are published unless told otherwise.</summary>
    /// <param name="relay">Where it sends outgoing mail.</param>
    /// <param name="more">More configuration, JSON members.</param>
    public async Task<Company> AddCompanyAsync(
        string domain,
        IPEndPoint? relay = null,
        string more = "",
        bool publish = true,
        string? policy = null,
        GatewayAlgorithm algorithm = GatewayAlgorithm.Ed25519,
        bool zone = true,
        Action? before = null
    )
    {
        if (zone)
            AddZone(domain);
        before?.Invoke();
        var company = new Company(this, domain);
        await company.ConfigureAsync(relay, more, algorithm);
        if (publish)
            company.Publish(policy);
        await company.StartAsync();
        _parts.Add(company);
        return company;
    }

    public async Task<(SmtpServer Server, CapturingServer Flow)> ServerAsync(
        Func<Seen, Task<SmtpReply>>? then = null,
        Func<ForwardPath, SmtpReply?>? recipient = null
    )
    {
        var flow = new CapturingServer(then, recipient);
        var server = SmtpServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            new SmtpServerOptions { Hostname = "mail.example", MessageSize = 100_000_000 },
            flow
        );
        _parts.Add(server);
        return (server, flow);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var part in Enumerable.Reverse(_parts))
            await part.DisposeAsync();
        System.IO.Directory.Delete(Directory, true);
    }
}

/// <summary>One company: a gateway and the mail server behind it.</summary>
internal sealed class Company(TestWorld world, string domain) : IAsyncDisposable
{
    private readonly List<Seen> _received = [];
    private Gateway? _gateway;

    public string Domain => domain;
    public GatewayConfiguration Configuration { get; private set; } = null!;
    public GatewayKey Key { get; set; } = null!;
    public LogText Log { get; } = new();
    public Gateway Gateway => _gateway!;

    /// <summary>What its mail server answers; null = it takes everything.</summary>
    public Func<Seen, SmtpReply?> LocalAnswer { get; set; } = _ => null;

    public IReadOnlyList<Seen> Received
    {
        get
        {
            lock (_received)
                return [.. _received];
        }
    }

    public string File => Path.Combine(world.Directory, domain, "pgptunnel.json");

    public async Task ConfigureAsync(IPEndPoint? relay, string more, GatewayAlgorithm algorithm)
    {
        var (local, _) = await world.ServerAsync(seen =>
        {
            if (LocalAnswer(seen) is { } answer)
                return Task.FromResult(answer);
            lock (_received)
                _received.Add(seen);
            return Task.FromResult(SmtpReply.Ok);
        });
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(File)!);
        System.IO.File.WriteAllText(
            File,
            $$"""
            { "domains": ["{{domain}}"], "hostname": "gw.{{domain}}",
              "listen": { "outbound": { "address": "127.0.0.1:0" }, "inbound": { "address": "127.0.0.1:0" } },
              "deliver": { "local": "{{local.EndPoint}}", "relay": {{(relay is null ? "null" : $"\"{relay}\"")}} },
              "dns": { "resolvers": ["{{world.Dns.EndPoint}}"], "trustAnchors": "../root.ds" }{{(
                more.Length > 0 ? $", {more}" : ""
            )}} }
            """
        );
        Configuration = ConfigurationReader.Read(File);
        Key = GatewayKey.Generate(algorithm, Configuration.Gateway, world.Time.GetUtcNow());
        KeyRing.Write(Configuration.Keys.Directory, Key, null, world.Time.GetUtcNow());
    }

    public void Publish(string? policy)
    {
        foreach (var record in PublishedRecords.For(Configuration, [Key], [], asTxt: false))
            world
                .Zone(domain)
                .Add(
                    record.Name,
                    record.Type,
                    policy is not null && record.Name.ToString().StartsWith("_pgptunnel.", StringComparison.Ordinal)
                        ? TestWorld.Txt(policy.Replace("FPR", Key.Fingerprint))
                        : record.Rdata
                );
    }

    public async Task StartAsync()
    {
        Configuration = ConfigurationReader.Read(File);
        _gateway = await Gateway.StartAsync(Configuration, new EventLog(Log, false, world.Time), world.Time);
    }

    public async Task StopAsync()
    {
        if (_gateway is not null)
            await _gateway.DisposeAsync();
        _gateway = null;
    }

    /// <summary>Hands a message to the outbound listener over a socket.</summary>
    public async Task<IReadOnlyList<SmtpReply>> SendAsync(string from, IReadOnlyList<string> to, string message) =>
        await SendAsync(this.Gateway.OutboundServer!.EndPoint, from, to, System.Text.Encoding.Latin1.GetBytes(message));

    public static async Task<IReadOnlyList<SmtpReply>> SendAsync(
        IPEndPoint server,
        string from,
        IReadOnlyList<string> to,
        byte[] message,
        string without = ""
    )
    {
        await using var sender = new SmtpSender(() => "client.example");
        var (path, refusal) = ReversePath.Parse(from);
        Assert.Null(refusal);
        return await sender.SendAsync(
            new SmtpTarget("gateway", server, TlsMode.None, null, without),
            path!,
            [.. to.Select(t => ForwardPath.Parse(t, path!.SmtpUtf8).Path!)],
            [message],
            CancellationToken.None
        );
    }

    /// <summary>Waits until its mail server has that many messages.</summary>
    public async Task<IReadOnlyList<Seen>> WaitAsync(int count)
    {
        await Wait.UntilAsync(
            () => Received.Count >= count,
            () => $"{domain} received {Received.Count} of {count} messages; log:\n{Log}"
        );
        return Received;
    }

    public Task WaitForLogAsync(string text) =>
        Wait.UntilAsync(() => Log.ToString().Contains(text), () => $"'{text}' is not in the log of {domain}:\n{Log}");

    /// <summary>Waits until nothing is on its way any more: each parcel is handed over, settled or held.</summary>
    public async Task SettledAsync()
    {
        await using var spool = Spool.Open(Configuration.SpoolFile, running: false);
        await Wait.UntilAsync(() => spool.List().All(p => p.State != ParcelState.Queued), () => Log.ToString());
    }

    public async ValueTask DisposeAsync() => await StopAsync();
}

/// <summary>A wall clock that somebody sets, beside a monotonic one that nobody does; timers go by the second.</summary>
internal sealed class JumpingClock(DateTimeOffset start) : FakeTimeProvider(start)
{
    private TimeSpan _set;

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + _set;

    public override long GetTimestamp() => base.GetUtcNow().Ticks;

    public void Jump(TimeSpan by) => _set += by;
}
