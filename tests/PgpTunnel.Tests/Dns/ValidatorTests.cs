using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>Verdicts over a signed world, honest and attacked. The world signs as RFC 4034 says; the attacker stands on the path.</summary>
public sealed partial class ValidatorTests : IAsyncLifetime
{
    private readonly TestWorld _world = new();

    public ValueTask InitializeAsync()
    {
        var a = _world.AddZone("a.example");
        a.Add(Name("_pgptunnel.a.example"), RecordType.TXT, TestWorld.Txt("policy of a"));
        a.Add(Name("alias.a.example"), RecordType.CNAME, [.. Name("_pgptunnel.b.example").Wire]);
        a.Add(Name("loop1.a.example"), RecordType.CNAME, [.. Name("loop2.a.example").Wire]);
        a.Add(Name("loop2.a.example"), RecordType.CNAME, [.. Name("loop1.a.example").Wire]);
        a.Add(Name("toins.a.example"), RecordType.CNAME, [.. Name("_pgptunnel.ins.example").Wire]);
        a.Add(Name("dn.a.example"), RecordType.DNAME, [.. Name("b.example").Wire]);
        a.Add(Name("*.wild.a.example"), RecordType.TXT, TestWorld.Txt("wildcard"));
        a.Add(Name("x.ent.a.example"), RecordType.TXT, TestWorld.Txt("below an empty non-terminal"));
        var b = _world.AddZone("b.example");
        b.Add(Name("_pgptunnel.b.example"), RecordType.TXT, TestWorld.Txt("policy of b"));
        _world
            .AddInsecureZone("ins.example")
            .Add(Name("_pgptunnel.ins.example"), RecordType.TXT, TestWorld.Txt("policy of ins"));
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static DomainName Name(string text) => DomainName.Parse(text);

    [Theory]
    [InlineData("_pgptunnel.a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.Answer)]
    [InlineData("_PGPTUNNEL.A.Example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.Answer)]
    [InlineData("a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NoData)]
    [InlineData("nope.a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NxDomain)]
    [InlineData("ent.a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NoData)]
    [InlineData("any.wild.a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.Answer)]
    [InlineData("alias.a.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.Answer)]
    [InlineData("loop1.a.example", RecordType.TXT, DnsSecurity.Bogus, DnsOutcome.Failure)]
    [InlineData("toins.a.example", RecordType.TXT, DnsSecurity.Insecure, DnsOutcome.Answer)]
    [InlineData("_pgptunnel.ins.example", RecordType.TXT, DnsSecurity.Insecure, DnsOutcome.Answer)]
    [InlineData("nope.ins.example", RecordType.TXT, DnsSecurity.Insecure, DnsOutcome.NxDomain)]
    [InlineData("example", RecordType.DS, DnsSecurity.Secure, DnsOutcome.Answer)]
    [InlineData("ins.example", RecordType.DS, DnsSecurity.Secure, DnsOutcome.NoData)]
    [InlineData("nosuchzone.example", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NxDomain)]
    [InlineData("nosuchtld", RecordType.TXT, DnsSecurity.Secure, DnsOutcome.NxDomain)]
    public async Task Honest_answers_have_their_verdict(
        string name,
        ushort type,
        DnsSecurity security,
        DnsOutcome outcome
    )
    {
        var answer = await _world.LookupAsync(name, type);
        Assert.True(
            (security, outcome) == (answer.Security, answer.Outcome),
            $"{answer.Security} {answer.Outcome}: {answer.Why}"
        );
    }

    [Fact]
    public async Task Expired_and_future_signatures_are_bogus_and_name_the_time()
    {
        _world.Time.Advance(TimeSpan.FromDays(31));
        var answer = await _world.LookupAsync("_pgptunnel.a.example", RecordType.TXT);
        Assert.Equal(DnsSecurity.Bogus, answer.Security);
        Assert.Contains("expired", answer.Why);
    }

    [Fact]
    public async Task A_resolver_that_strips_dnssec_is_named()
    {
        _world.Forge = (_, _, answer) => TestWorld.Unsigned(answer);
        var answer = await _world.LookupAsync("_pgptunnel.a.example", RecordType.TXT);
        Assert.Equal(DnsSecurity.Indeterminate, answer.Security);
        Assert.Contains("strips DNSSEC", answer.Why);
        Assert.Contains(_world.Dns.EndPoint.ToString(), answer.Why);
    }

    [Fact]
    public async Task A_failing_resolver_is_indeterminate_and_soon_asked_again()
    {
        _world.Forge = (_, _, _) => new WorldAnswer(2, [], []);
        var validator = _world.Validator();
        Assert.Equal(
            DnsSecurity.Indeterminate,
            (await validator.LookupAsync(Name("_pgptunnel.a.example"), RecordType.TXT, CancellationToken.None)).Security
        );
        _world.Forge = null;
        _world.Time.Advance(TimeSpan.FromSeconds(31));
        Assert.Equal(
            DnsSecurity.Secure,
            (await validator.LookupAsync(Name("_pgptunnel.a.example"), RecordType.TXT, CancellationToken.None)).Security
        );
    }

    [Fact]
    public async Task A_wrong_anchor_is_not_secure_and_says_so()
    {
        var stranger = new SignedZone(".", _world.Time.GetUtcNow());
        var answer = await new DnsValidator(
            new DnsExchange([_world.Dns.EndPoint]),
            TrustAnchors.Parse(stranger.AnchorLine),
            _world.Time
        ).LookupAsync(Name("_pgptunnel.a.example"), RecordType.TXT, CancellationToken.None);
        Assert.Equal(DnsSecurity.Bogus, answer.Security);
        Assert.Contains("trust anchor", answer.Why);
    }

    [Fact]
    public async Task Work_is_bounded_when_every_signature_is_garbage()
    {
        // KeyTrap in small: many garbage signatures that claim the zone's own key.
        var asked = 0;
        _world.Forge = (name, type, answer) =>
        {
            asked++;
            return type != RecordType.TXT
                ? answer
                : answer with
                {
                    Answer =
                    [
                        .. answer.Answer.Where(r => r.Type != RecordType.RRSIG),
                        .. Enumerable
                            .Range(0, 100)
                            .SelectMany(i =>
                                answer
                                    .Answer.Where(r => r.Type == RecordType.RRSIG)
                                    .Select(r => r with { Rdata = [.. r.Rdata[..^4], 0, 0, 0, (byte)i] })
                            ),
                    ],
                };
        };
        await Bogus("_pgptunnel.a.example");
        Assert.InRange(asked, 1, 59);
    }

    [Fact]
    public async Task An_unsigned_zone_above_cannot_make_an_island_insecure()
    {
        // example is proved unsigned, b.example has an anchor of its own; junk signed "by example" must not make b.example insecure.
        await using var world = new TestWorld();
        world.AddInsecureZone("plain.example");
        var island = world.AddZone("b.plain.example");
        island.Add(Name("_pgptunnel.b.plain.example"), RecordType.TXT, TestWorld.Txt("policy"));
        var insecure = world.Forge!;
        var validator = new DnsValidator(
            new DnsExchange([world.Dns.EndPoint]),
            TrustAnchors.Parse($"{TestAnchor(world)}\n{island.AnchorLine}"),
            world.Time
        );
        world.Forge = (name, type, answer) => name.IsWithin(island.Name) ? answer : insecure(name, type, answer);
        Assert.Equal(
            DnsSecurity.Secure,
            (
                await validator.LookupAsync(Name("_pgptunnel.b.plain.example"), RecordType.TXT, CancellationToken.None)
            ).Security
        );
        var liar = new SignedZone("plain.example", world.Time.GetUtcNow());
        liar.Add(Name("x.b.plain.example"), RecordType.TXT, TestWorld.Txt("evil"));
        world.Forge = (name, type, answer) =>
            name == Name("x.b.plain.example") ? liar.Answer(name, type)
            : name.IsWithin(island.Name) ? answer
            : insecure(name, type, answer);
        var forged = await validator.LookupAsync(Name("x.b.plain.example"), RecordType.TXT, CancellationToken.None);
        Assert.True(forged.Security == DnsSecurity.Bogus, $"{forged.Security}: {forged.Why}");
    }

    private static string TestAnchor(TestWorld world) => world.Zone(".").AnchorLine;

    [Fact]
    public async Task Work_that_one_domain_used_up_is_not_held_against_another()
    {
        // An alias chain through a deep name spends the queries, and ends at b.example.
        var deep = Name(string.Join('.', Enumerable.Repeat("d", 52)) + ".a.example");
        var a = _world.Zone("a.example");
        a.Add(Name("evil.a.example"), RecordType.CNAME, [.. deep.Wire]);
        a.Add(deep, RecordType.CNAME, [.. Name("_pgptunnel.b.example").Wire]);
        var validator = _world.Validator();
        var spent = await validator.LookupAsync(Name("evil.a.example"), RecordType.TXT, CancellationToken.None);
        Assert.True(spent.Security is DnsSecurity.Bogus or DnsSecurity.Secure, spent.Why);
        Assert.Equal(
            DnsSecurity.Secure,
            (await validator.LookupAsync(Name("_pgptunnel.b.example"), RecordType.TXT, CancellationToken.None)).Security
        );
    }

    [Fact]
    public async Task A_dname_at_an_apex_leaves_the_names_below_where_they_are()
    {
        _world.AddZone("d.example").Add(Name("d.example"), RecordType.DNAME, [.. Name("b.example").Wire]);
        var dname = _world.Zone("d.example").Answer(Name("d.example"), RecordType.DNAME);
        _world.Forge = (name, type, answer) => name.IsBelow(Name("d.example")) ? dname : answer;
        var answer = await _world.LookupAsync("_pgptunnel.d.example", RecordType.TXT);
        Assert.True(
            answer.Security == DnsSecurity.Secure && answer.Data.Count == 1,
            $"{answer.Security}: {answer.Why}"
        );
        Assert.Equal(
            DnsSecurity.Secure,
            (await _world.Validator().SettleAsync(Name("sub.d.example"), CancellationToken.None)).Security
        );
    }

    [Fact]
    public async Task Answers_are_cached_to_their_ttl_and_no_longer()
    {
        var (validator, asked) = (_world.Validator(), 0);
        _world.Forge = (name, type, answer) =>
        {
            asked += type == RecordType.TXT ? 1 : 0;
            return answer;
        };
        for (var i = 0; i < 3; i++)
            Assert.Equal(
                DnsSecurity.Secure,
                (
                    await validator.LookupAsync(Name("_pgptunnel.a.example"), RecordType.TXT, CancellationToken.None)
                ).Security
            );
        Assert.Equal(1, asked);
        _world.Time.Advance(TimeSpan.FromSeconds(301));
        await validator.LookupAsync(Name("_pgptunnel.a.example"), RecordType.TXT, CancellationToken.None);
        Assert.Equal(2, asked);
    }

    /// <summary>Neither who asks believes it, nor who is given the same as a file years later.</summary>
    private async Task Bogus(string name)
    {
        _world.Arrived.Clear();
        var answer = await _world.LookupAsync(name, RecordType.TXT);
        Assert.True(
            answer.Security == DnsSecurity.Bogus && answer.Data.Count == 0,
            $"{answer.Security} {answer.Outcome}: {answer.Why}"
        );
        var offline = await Interop.OfflineReplay.CheckAsync(
            Name(name),
            RecordType.TXT,
            [.. _world.Arrived],
            _world.Anchors,
            _world.Time
        );
        var forge = _world.Forge;
        _world.Forge = null;
        var genuine = await _world.LookupAsync(name, RecordType.TXT);
        _world.Forge = forge;
        Assert.Null(Interop.OfflineReplay.Wrongly(offline, genuine));
    }

    private Task<WorldAnswer> DenialAsync(string name, ushort type = RecordType.TXT) =>
        Task.FromResult(
            type == RecordType.DS
                ? _world.Zone("example").Answer(Name(name), type)
                : _world.Zone("a.example").Answer(Name(name), type)
        );
}
