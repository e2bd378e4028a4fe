using BenchmarkDotNet.Attributes;
using PgpTunnel.Demo;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Benchmarks;

/// <summary>
/// A peer from the cache, a peer from nothing (root, top-level, zone, policy, certificate), and the same queries without a look at the
/// answers.
/// </summary>
[InProcess, MemoryDiagnoser, HideColumns("Error", "StdDev", "RatioSD")]
public class Looking
{
    private const string Gateway = "pgptunnel@pgptunnel.b.example";

    private LoopbackDns _dns = null!;
    private TrustAnchors _anchors = null!;
    private Peers _warm = null!;
    private readonly List<(DomainName Name, ushort Type)> _asked = [];
    private bool _record;

    [GlobalSetup]
    public async Task SetupAsync()
    {
        var (now, world) = (TimeProvider.System.GetUtcNow(), new SignedWorld());
        SignedZone root = new(".", now),
            top = new("example", now),
            zone = new("b.example", now);
        root.Delegate(top);
        top.Delegate(zone);
        foreach (var z in new[] { root, top, zone })
            world.Add(z);
        var key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, now.AddDays(-1));
        var policy = System.Text.Encoding.ASCII.GetBytes($"v=PGPT1; m=enforce; fp={key.Fingerprint}");
        zone.Add(DomainName.Parse("_pgptunnel.b.example"), RecordType.TXT, [(byte)policy.Length, .. policy]);
        zone.Add(PolicyRecord.CertificateName(Gateway), RecordType.OPENPGPKEY, key.ExportCertificate());
        // Answers are made, and signed, once: what is measured is the asking side.
        var answers = new System.Collections.Concurrent.ConcurrentDictionary<(DomainName, ushort), WorldAnswer>();
        _dns = new LoopbackDns(
            (name, type) =>
            {
                if (_record)
                    _asked.Add((name, type));
                return answers.GetOrAdd((name, type), _ => world.Answer(name, type));
            }
        );
        _anchors = TrustAnchors.Parse(world.Anchor);
        _warm = New();
        _record = true;
        if ((await _warm.FindAsync("b.example", false, CancellationToken.None)).Class != PeerClass.Usable)
            throw new InvalidOperationException("the peer is not usable");
        _record = false;
    }

    private Peers New()
    {
        var validator = new DnsValidator(new DnsExchange([_dns.EndPoint]), _anchors, TimeProvider.System);
        return new Peers(
            () => validator,
            new PeerMemory(null, null, TimeProvider.System),
            _ => null,
            TimeProvider.System
        );
    }

    [Benchmark]
    public async Task<string> Cached() => (await _warm.FindAsync("b.example", false, CancellationToken.None)).Domain;

    [Benchmark]
    public async Task<string> Cold() => (await New().FindAsync("b.example", false, CancellationToken.None)).Domain;

    [Benchmark(Baseline = true)]
    public async Task<int> SameQueriesUnvalidated()
    {
        var exchange = new DnsExchange([_dns.EndPoint]);
        var answers = 0;
        foreach (var (name, type) in _asked)
            answers += (await exchange.AskAsync(name, type, CancellationToken.None)).Answer.Count;
        return answers;
    }

    [GlobalCleanup]
    public async Task CleanupAsync() => await _dns.DisposeAsync();
}
