using System.Buffers.Binary;
using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>
/// Resolvers that cut answers short, know no EDNS, strip signatures, close, or say nothing: alone, and beside one that is well.
/// </summary>
public sealed partial class OddResolverTests : IAsyncLifetime
{
    private static readonly DomainName Policy = DomainName.Parse("_pgptunnel.b.example");
    private readonly TestWorld _world = new();

    public ValueTask InitializeAsync()
    {
        _world.AddZone("b.example").Add(Policy, RecordType.TXT, TestWorld.Txt("v=PGPT1; m=none"));
        _world.Zone("b.example").Add(Policy, RecordType.OPENPGPKEY, new byte[5000]);
        _world
            .AddInsecureZone("unsigned.example")
            .Add(DomainName.Parse("x.unsigned.example"), RecordType.TXT, TestWorld.Txt("x"));
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    public static TheoryData<string> Names => [.. Oddities.Keys];

    /// <summary>Short only where nothing will come: elsewhere a busy machine must not look like a silent resolver.</summary>
    private static DnsPatience Patience(string oddity) =>
        oddity.Contains("silent") || oddity.Contains("only strays")
            ? new(TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(5))
            : new(TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1));

    private static DnsExchange Exchange(IPEndPoint resolver, string oddity) => new([resolver], null, Patience(oddity));

    private static Task<DnsAnswer> AskAsync(DnsValidator validator, DomainName name, ushort type) =>
        validator.LookupAsync(name, type, CancellationToken.None);

    [Theory, MemberData(nameof(Names))]
    public async Task Alone_it_serves_or_is_named_and_nothing_is_bogus(string oddity)
    {
        await using var odd = new OddDns(_world.Dns.EndPoint, Oddities[oddity].Oddity);
        var validator = new DnsValidator(Exchange(odd.EndPoint, oddity), _world.Anchors, _world.Time);
        var answer = await AskAsync(validator, Policy, RecordType.TXT);
        var names = Oddities[oddity].Names;
        Assert.True(
            answer.Security == (names.Length == 0 ? DnsSecurity.Secure : DnsSecurity.Indeterminate),
            $"{answer.Security}: {answer.Why}"
        );
        if (names.Length > 0)
        {
            Assert.Contains(names, answer.Why);
            Assert.Contains(odd.EndPoint.ToString(), answer.Why);
        }
    }

    [Theory, MemberData(nameof(Names))]
    public async Task Beside_one_that_is_well_every_answer_is_right_and_it_alone_is_named(string oddity)
    {
        await using var odd = new OddDns(_world.Dns.EndPoint, Oddities[oddity].Oddity);
        var aside = new List<(IPEndPoint, string)>();
        var exchange = new DnsExchange(
            [odd.EndPoint, _world.Dns.EndPoint],
            (resolver, why) => aside.Add((resolver, why)),
            Patience(oddity)
        );
        // Zones that strangers name may answer as they like: that says nothing of a resolver.
        await new DnsValidator(exchange, _world.Anchors, _world.Time).LookupAsync(
            Policy,
            RecordType.TXT,
            CancellationToken.None,
            fresh: true,
            new WorkBudget { Asker = Asker.Stranger }
        );
        Assert.Empty(aside);
        var validator = new DnsValidator(exchange, _world.Anchors, _world.Time);
        async Task IsAsync(string name, ushort type, DnsSecurity security, DnsOutcome outcome)
        {
            var answer = await AskAsync(validator, DomainName.Parse(name), type);
            Assert.True(
                (security, outcome) == (answer.Security, answer.Outcome),
                $"{name}: {answer.Security} {answer.Outcome}: {answer.Why}"
            );
        }
        await IsAsync(Policy.ToString(), RecordType.TXT, DnsSecurity.Secure, DnsOutcome.Answer);
        await IsAsync(Policy.ToString(), RecordType.OPENPGPKEY, DnsSecurity.Secure, DnsOutcome.Answer);
        await IsAsync("nobody.b.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NxDomain);
        await IsAsync("x.unsigned.example", RecordType.TXT, DnsSecurity.Insecure, DnsOutcome.Answer);
        Assert.All(aside, a => Assert.Equal(odd.EndPoint, a.Item1));
        if (Oddities[oddity].Names is { Length: > 0 } names && names != "SERVFAIL" && names != "without a question")
            Assert.Contains(names, Assert.Single(aside).Item2);
        // Set aside, it is not asked while the other answers.
        if (aside.Count > 0)
        {
            var asked = odd.Asked;
            await IsAsync("nobody2.b.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NxDomain);
            Assert.Equal(asked, odd.Asked);
        }
    }

    [Fact]
    public async Task When_both_strip_both_are_named()
    {
        await using var one = new OddDns(_world.Dns.EndPoint, Oddities["strips signatures"].Oddity);
        await using var two = new OddDns(_world.Dns.EndPoint, Oddities["FORMERR as a bare header"].Oddity);
        var answer = await AskAsync(
            new DnsValidator(new DnsExchange([one.EndPoint, two.EndPoint]), _world.Anchors, _world.Time),
            Policy,
            RecordType.TXT
        );
        Assert.Equal(DnsSecurity.Indeterminate, answer.Security);
        Assert.Contains($"{one.EndPoint}: strips DNSSEC signatures", answer.Why);
        Assert.Contains($"{two.EndPoint}: answers FORMERR", answer.Why);
    }

    /// <summary>
    /// A resolver whose every TTL is 0, and one whose TTLs end while it is asked: the work grows by the zone cut, not by the power of
    /// two.
    /// </summary>
    [Fact]
    public async Task Ttl_0_serves_the_look_up_in_progress()
    {
        var name = "example";
        var asked = 0;
        var queries = new List<int>();
        _world.Forge = (_, _, answer) =>
        {
            Interlocked.Increment(ref asked);
            DnsRecord Zero(DnsRecord r) => r with { Ttl = 0 };
            return answer with
            {
                Answer = [.. answer.Answer.Select(Zero)],
                Authority = [.. answer.Authority.Select(Zero)],
            };
        };
        for (var depth = 1; depth <= 9; depth++)
        {
            name = $"d{depth}.{name}";
            var policy = DomainName.Parse($"_pgptunnel.{name}");
            _world.AddZone(name).Add(policy, RecordType.TXT, TestWorld.Txt("v=PGPT1; m=none"));
            asked = 0;
            var answer = await AskAsync(_world.Validator(), policy, RecordType.TXT);
            Assert.True(answer.Security == DnsSecurity.Secure, $"depth {depth}: {answer.Why}");
            queries.Add(asked);
        }
        Assert.All(queries.Zip(queries.Skip(1)), q => Assert.InRange(q.Second - q.First, 0, 3));
    }

    [Fact]
    public async Task Many_who_ask_the_same_at_once_are_one_question()
    {
        var asked = new System.Collections.Concurrent.ConcurrentBag<(DomainName, ushort)>();
        _world.Forge = (name, type, answer) =>
        {
            asked.Add((name, type));
            Thread.Sleep(20);
            return answer;
        };
        var validator = _world.Validator();
        var answers = await Task.WhenAll(
            Enumerable.Range(0, 60).Select(_ => AskAsync(validator, Policy, RecordType.OPENPGPKEY))
        );
        Assert.All(answers, a => Assert.Equal(DnsSecurity.Secure, a.Security));
        // who comes between an answer and its proof asks again
        Assert.InRange(asked.Count, asked.Distinct().Count(), asked.Distinct().Count() + 10);
    }

    [Fact]
    public async Task Questions_over_tcp_share_a_connection_and_are_asked_again_when_it_closes()
    {
        var (connections, open) = (0, new System.Collections.Concurrent.ConcurrentDictionary<int, int>());
        await using var odd = new OddDns(
            _world.Dns.EndPoint,
            (_, answer, tcp, count) => tcp && count % 7 == 6 ? null : [answer]
        );
        for (var i = 0; i < 40; i++)
            _world.Zone("b.example").Add(DomainName.Parse($"k{i}.b.example"), RecordType.OPENPGPKEY, new byte[3000]);
        var validator = new DnsValidator(Exchange(odd.EndPoint, "closes every seventh"), _world.Anchors, _world.Time);
        var answers = await Task.WhenAll(
            Enumerable
                .Range(0, 40)
                .Select(i => AskAsync(validator, DomainName.Parse($"k{i}.b.example"), RecordType.OPENPGPKEY))
        );
        Assert.All(answers, a => Assert.True(a.Security == DnsSecurity.Secure, a.Why));
    }

    /// <summary>1,200 DS and 1,200 keys of one tag are over a million digests; a chain of such zones as many times more.</summary>
    [Fact]
    public async Task Digests_are_paid_for()
    {
        var zone = DomainName.Parse("burn.example");
        var burn = _world.AddZone("burn.example");
        burn.Add(DomainName.Parse("_pgptunnel.burn.example"), RecordType.TXT, TestWorld.Txt("v=PGPT1; m=none"));
        // Octets moved between even places leave the sum, and so the tag, as it is.
        var keys = Enumerable
            .Range(0, 250)
            .Select(i => (byte[])[1, 1, 3, 13, (byte)(i + 1), 0, (byte)(250 - i), .. new byte[61]])
            .ToList();
        Assert.Single(keys.Select(k => DnsKey.Read(k)!.Tag).Distinct());
        foreach (var key in keys)
            burn.Add(zone, RecordType.DNSKEY, key);
        var tag = DnsKey.Read(keys[0])!.Tag;
        for (var i = 0; i < 200; i++)
            _world
                .Zone("example")
                .Add(
                    zone,
                    RecordType.DS,
                    [(byte)(tag >> 8), (byte)tag, 13, 2, .. System.Security.Cryptography.SHA256.HashData([(byte)i])]
                );
        var answer = await AskAsync(_world.Validator(), DomainName.Parse("_pgptunnel.burn.example"), RecordType.TXT);
        Assert.Equal(DnsSecurity.Indeterminate, answer.Security);
        Assert.Contains("64 DS digests", answer.Why);
    }

    [Fact]
    public void What_strangers_ask_for_pushes_out_nothing_of_ours()
    {
        var cache = new WeighedCache<int, string>(_world.Time, () => 1000, _ => 100);
        for (var i = 0; i < 5; i++)
            cache.Put(i, "ours", TimeSpan.FromMinutes(1), Asker.Ours);
        for (var i = 100; i < 1100; i++)
            cache.Put(i, "strangers'", TimeSpan.FromDays(1), Asker.Stranger);
        Assert.All(Enumerable.Range(0, 5), i => Assert.NotNull(cache.Get(i, Asker.Ours)));
        Assert.InRange(cache.Octets, 500, 1000);
        for (var i = 5; i < 30; i++)
            cache.Put(i, "ours", TimeSpan.FromMinutes(i), Asker.Ours);
        Assert.InRange(cache.Octets, 500, 1000);
        Assert.NotNull(cache.Get(29, Asker.Ours));
        Assert.Null(cache.Get(1099, Asker.Stranger));
        cache.Put(2000, "strangers'", TimeSpan.FromDays(1), Asker.Stranger);
        Assert.NotNull(cache.Get(29, Asker.Ours));
    }

    [Fact]
    public void The_resolvers_of_resolv_conf_are_found_by_themselves()
    {
        var file = Path.Combine(_world.Directory, "resolv.conf");
        File.WriteAllText(
            file,
            "# comment\nsearch example\nnameserver 127.0.0.53\n nameserver\t::1 \nnameserver nonsense\noptions edns0\n"
        );
        Assert.Equal(["127.0.0.53:53", "[::1]:53"], DnsExchange.OfResolvConf(file).Select(r => r.ToString()));
    }
}
