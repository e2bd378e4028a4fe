using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>What a verdict rests on, written down and checked again by somebody who asks nobody.</summary>
public sealed class ProofTests : IAsyncLifetime
{
    private readonly TestWorld _world = new();

    public ValueTask InitializeAsync()
    {
        var a = _world.AddZone("a.example");
        a.Add(Name("_pgptunnel.a.example"), RecordType.TXT, TestWorld.Txt("policy of a"));
        a.Add(Name("alias.a.example"), RecordType.CNAME, [.. Name("_pgptunnel.b.example").Wire]);
        a.Add(Name("dn.a.example"), RecordType.DNAME, [.. Name("b.example").Wire]);
        a.Add(Name("*.wild.a.example"), RecordType.TXT, TestWorld.Txt("wildcard"));
        a.Add(Name("x.ent.a.example"), RecordType.TXT, TestWorld.Txt("below an empty non-terminal"));
        _world.AddZone("b.example").Add(Name("_pgptunnel.b.example"), RecordType.TXT, TestWorld.Txt("policy of b"));
        _world
            .AddInsecureZone("ins.example")
            .Add(Name("_pgptunnel.ins.example"), RecordType.TXT, TestWorld.Txt("policy of ins"));
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static DomainName Name(string text) => DomainName.Parse(text);

    private sealed class Moment(DateTimeOffset at) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => at;
    }

    private async Task<DnsAnswer> CheckAsync(byte[] stream, DateTimeOffset at, TrustAnchors? anchors = null)
    {
        var (name, type, records) = DnsProof.Read(stream);
        return await new DnsValidator(
            new RecordedAnswers(records),
            anchors ?? _world.Anchors,
            new Moment(at)
        ).LookupAsync(name, type, TestContext.Current.CancellationToken, budget: new() { KeepsProof = true });
    }

    private Task<DnsAnswer> ProvedAsync(string name, ushort type) =>
        _world
            .Validator()
            .LookupAsync(Name(name), type, TestContext.Current.CancellationToken, budget: new() { KeepsProof = true });

    [Theory]
    [InlineData("_pgptunnel.a.example", RecordType.TXT)]
    [InlineData("alias.a.example", RecordType.TXT)]
    [InlineData("any.wild.a.example", RecordType.TXT)]
    [InlineData("nope.a.example", RecordType.TXT)]
    [InlineData("ent.a.example", RecordType.TXT)]
    [InlineData("a.example", RecordType.TXT)]
    [InlineData("nosuchzone.example", RecordType.TXT)]
    [InlineData("nosuchtld", RecordType.TXT)]
    [InlineData("example", RecordType.DS)]
    [InlineData("ins.example", RecordType.DS)]
    [InlineData("a.example", RecordType.DNSKEY)]
    [InlineData("_pgptunnel.ins.example", RecordType.TXT)]
    [InlineData("nope.ins.example", RecordType.TXT)]
    public async Task It_shows_offline_what_was_shown_online(string name, ushort type)
    {
        var answer = await ProvedAsync(name, type);
        var stream = answer.Proof!.ToStream();
        var again = await CheckAsync(stream, _world.Time.GetUtcNow());
        // That an unsigned zone has no such name, rather than no such record, cannot be shown.
        var outcome = name == "nope.ins.example" ? DnsOutcome.NoData : answer.Outcome;
        Assert.Equal(
            (answer.Name, answer.Type, answer.Security, outcome),
            (again.Name, again.Type, again.Security, again.Outcome)
        );
        Assert.Equal(answer.Data.Select(Convert.ToHexString), again.Data.Select(Convert.ToHexString));
        Assert.Equal(stream, again.Proof!.ToStream()); // nothing in it that is not needed
        Assert.Equal(answer.Proof.Window, again.Proof.Window);
    }

    /// <summary>Where an alias was made from a DNAME no set has the name that was asked for.</summary>
    [Fact]
    public async Task It_says_what_was_asked_where_no_set_tells()
    {
        var dname = _world.Zone("a.example").Answer(Name("dn.a.example"), RecordType.DNAME);
        _world.Forge = (name, _, answer) => name == Name("_pgptunnel.dn.a.example") ? dname : answer;
        var answer = await ProvedAsync("_pgptunnel.dn.a.example", RecordType.TXT);
        var again = await CheckAsync(answer.Proof!.ToStream(), _world.Time.GetUtcNow());
        Assert.Equal((answer.Name, DnsSecurity.Secure), (again.Name, again.Security));
        Assert.Equal(answer.Data.Select(Convert.ToHexString), again.Data.Select(Convert.ToHexString));
    }

    [Fact]
    public async Task It_holds_while_its_signatures_do_and_for_its_anchor_only()
    {
        var answer = await ProvedAsync("_pgptunnel.a.example", RecordType.TXT);
        var (stream, window) = (answer.Proof!.ToStream(), answer.Proof.Window!);
        async Task<DnsSecurity> AtAsync(DateTimeOffset moment) => (await CheckAsync(stream, moment)).Security;
        Assert.Equal(DnsSecurity.Secure, await AtAsync(window.From));
        Assert.Equal(DnsSecurity.Secure, await AtAsync(window.Until));
        Assert.Equal(DnsSecurity.Bogus, await AtAsync(window.From.AddSeconds(-1)));
        Assert.Equal(DnsSecurity.Bogus, await AtAsync(window.Until.AddSeconds(1)));
        await using var other = new TestWorld();
        Assert.Equal(DnsSecurity.Bogus, (await CheckAsync(stream, window.From, other.Anchors)).Security);
    }

    /// <summary>Any octet changed: it is no proof, or proves no other thing than before.</summary>
    [Theory]
    [InlineData("alias.a.example")]
    [InlineData("nope.a.example")]
    [InlineData("any.wild.a.example")]
    public async Task No_octet_of_it_can_be_changed(string name)
    {
        var answer = await ProvedAsync(name, RecordType.TXT);
        var (stream, random) = (answer.Proof!.ToStream(), new System.Random(1));
        var held = 0;
        for (var i = 0; i < 400; i++)
        {
            var changed = (byte[])stream.Clone();
            changed[random.Next(changed.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                var again = await CheckAsync(changed, _world.Time.GetUtcNow());
                if (again.Security > DnsSecurity.Insecure || again.Name != answer.Name || again.Type != answer.Type)
                    continue;
                held++; // a TTL, or what no signature covers and nobody needs
                Assert.Equal((answer.Security, answer.Outcome), (again.Security, again.Outcome));
                Assert.Equal(answer.Data.Select(Convert.ToHexString), again.Data.Select(Convert.ToHexString));
            }
            catch (DnsFormatException)
            {
                // no proof any more
            }
        }
        Assert.InRange(held, 0, 100);
    }

    [Fact]
    public async Task Records_left_out_or_exchanged_prove_nothing()
    {
        var a = (await ProvedAsync("_pgptunnel.a.example", RecordType.TXT)).Proof!;
        for (var i = 0; i < a.Sets.Count; i++)
        {
            var less = a with { Sets = [.. a.Sets.Where((_, at) => at != i)] };
            if (i < a.Sets.Count - 1)
                Assert.Equal(DnsSecurity.Bogus, (await CheckAsync(less.ToStream(), _world.Time.GetUtcNow())).Security);
        }
        // The denial of another name, and a proof of another domain's.
        var denial = (await ProvedAsync("zzz.a.example", RecordType.TXT)).Proof!;
        var replayed = denial with { Name = Name("_pgptunnel.a.example") };
        Assert.Equal(DnsSecurity.Bogus, (await CheckAsync(replayed.ToStream(), _world.Time.GetUtcNow())).Security);
        var b = (await ProvedAsync("_pgptunnel.b.example", RecordType.TXT)).Proof!;
        var crossed = a with { Sets = [.. a.Sets.SkipLast(1), b.Sets[^1]] };
        Assert.Equal(DnsSecurity.Bogus, (await CheckAsync(crossed.ToStream(), _world.Time.GetUtcNow())).Security);
    }

    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("0161000010000100000000FFFF")]
    [InlineData("C000001000010000000000000000")]
    public void Junk_is_no_proof(string hex) =>
        Assert.Throws<DnsFormatException>(() => DnsProof.Read(Convert.FromHexString(hex)));

    [Fact]
    public void Random_octets_throw_nothing_else()
    {
        var random = new System.Random(2);
        for (var i = 0; i < 20_000; i++)
        {
            var octets = new byte[random.Next(0, 200)];
            random.NextBytes(octets);
            try
            {
                DnsProof.Read(octets);
            }
            catch (DnsFormatException) { }
        }
    }
}
