using PgpTunnel.Demo;
using PgpTunnel.Dns;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>
/// An attacker on the path recorded the signed proof that a domain had no policy, and plays it back after one was published.
/// </summary>
public class ReplayedDenialTests
{
    /// <summary>What signers write as inception: the moment, an hour back, or the same all week.</summary>
    public static TheoryData<string, string> Signers =>
        new(
            from signer in new[] { "now", "hour", "week" }
            from denial in new[] { "nothing there", "no such type", "m=none" }
            select (signer, denial)
        );

    private static void Sign(Pair pair, string signer)
    {
        if (signer != "week")
            pair.World.Zone("b.example").SignAnew(pair.World.Time.GetUtcNow().AddHours(signer == "hour" ? -1 : 0));
    }

    private static async Task<string> SendAsync(Pair pair, TimeSpan later)
    {
        pair.World.Time.Advance(later);
        return await TrustActs.SendAsync(pair);
    }

    private static WorldAnswer Record(Pair pair, string denial)
    {
        var zone = pair.World.Zone("b.example");
        if (denial == "no such type")
            zone.Add(PolicyB, RecordType.A, [127, 0, 0, 1]);
        else if (denial == "m=none")
            zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt("v=PGPT1; m=none"));
        var recorded = zone.Answer(PolicyB, RecordType.TXT);
        if (denial != "nothing there")
            zone.Remove(PolicyB, denial == "m=none" ? RecordType.TXT : RecordType.A);
        return recorded;
    }

    private static async Task<(Pair Pair, WorldAnswer Recorded)> PublishedAsync(
        string signer,
        string denial,
        string moreA,
        string policy
    )
    {
        var pair = await Pair.CreateAsync(moreA, publishB: false);
        Sign(pair, signer);
        var recorded = Record(pair, denial);
        pair.World.Time.Advance(TimeSpan.FromHours(2));
        Sign(pair, signer);
        pair.B.Publish(policy);
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromHours(1)));
        return (pair, recorded);
    }

    [Theory, MemberData(nameof(Signers))]
    public async Task A_denial_from_before_the_policy_never_brings_clear_text(string signer, string denial)
    {
        var (pair, recorded) = await PublishedAsync(signer, denial, "", "v=PGPT1; m=enforce; fp=FPR; a=31557600");
        await using var ended = pair;
        pair.World.Forge = (name, type, answer) => name == PolicyB && type == RecordType.TXT ? recorded : answer;
        for (var hours = 0; hours < 100; hours += 10)
            Assert.StartsWith("451 4.7.5", await SendAsync(pair, TimeSpan.FromHours(10)));
        Assert.Contains("alarm=true", pair.A.Log.ToString());
        pair.World.Forge = null;
        Sign(pair, signer);
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromHours(1)));
    }

    [Theory, MemberData(nameof(Signers))]
    public async Task Nor_is_mail_refused_for_good_on_it(string signer, string denial)
    {
        var (pair, recorded) = await PublishedAsync(
            signer,
            denial,
            "\"policy\": { \"default\": \"require\" }",
            "v=PGPT1; m=testing; fp=FPR"
        );
        await using var ended = pair;
        pair.World.Forge = (name, type, answer) => name == PolicyB && type == RecordType.TXT ? recorded : answer;
        Assert.StartsWith("451 4.7.5", await SendAsync(pair, TimeSpan.FromHours(2)));
    }

    /// <summary>A wildcard is signed today; that the name itself does not exist was signed before there was a policy.</summary>
    [Theory]
    [InlineData("text")]
    [InlineData("alias")]
    [InlineData("m=none")]
    public async Task Nor_does_a_wildcard_of_today_with_the_old_proof_that_the_name_does_not_exist(string wildcard)
    {
        await using var pair = await Pair.CreateAsync(publishB: false);
        var (zone, any) = (pair.World.Zone("b.example"), DomainName.Parse("*.b.example"));
        zone.Add(DomainName.Parse("www.b.example"), RecordType.A, [127, 0, 0, 1]);
        if (wildcard == "alias")
            zone.Add(any, RecordType.CNAME, DomainName.Parse("www.b.example").Wire.ToArray());
        else
            zone.Add(any, RecordType.TXT, TestWorld.Txt(wildcard == "text" ? "v=spf1 -all" : "v=PGPT1; m=none"));
        Sign(pair, "now");
        var recorded = zone.Answer(PolicyB, RecordType.TXT);
        Assert.NotEmpty(recorded.Answer);
        pair.World.Time.Advance(TimeSpan.FromHours(2));
        Sign(pair, "now");
        pair.B.Publish("v=PGPT1; m=enforce; fp=FPR; a=31557600");
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromHours(1)));
        pair.World.Forge = (name, type, answer) =>
        {
            if (name != PolicyB || type != RecordType.TXT)
                return answer;
            var fresh = zone.Answer(DomainName.Parse("_another.b.example"), RecordType.TXT);
            return new(0, [.. fresh.Answer.Select(r => r with { Name = PolicyB })], recorded.Authority);
        };
        for (var hours = 0; hours < 100; hours += 10)
        {
            Sign(pair, "now");
            Assert.StartsWith("451 4.7.5", await SendAsync(pair, TimeSpan.FromHours(10)));
        }
        // Withdrawn in earnest, the name's own denial is new too.
        pair.World.Forge = null;
        zone.Remove(PolicyB, RecordType.TXT);
        var reply = "";
        for (var hours = 0; hours < 80 && !reply.Contains("in clear"); hours += 10)
        {
            Sign(pair, "now");
            reply = await SendAsync(pair, TimeSpan.FromHours(10));
        }
        Assert.Contains("in clear", reply);
    }

    /// <summary>One name of ours, played back, would take the gateway out of service for all partners.</summary>
    [Fact]
    public async Task Nor_does_the_old_denial_of_our_own_records_disarm_the_gateway()
    {
        await using var pair = await Pair.CreateAsync(publishA: false);
        var policyA = DomainName.Parse("_pgptunnel.a.example");
        var recorded = pair.World.Zone("a.example").Answer(policyA, RecordType.TXT);
        pair.World.Time.Advance(TimeSpan.FromHours(2));
        pair.World.Zone("a.example").SignAnew(pair.World.Time.GetUtcNow());
        pair.A.Publish("v=PGPT1; m=enforce; fp=FPR; a=31557600");
        await Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromMinutes(2)); // it looks every minute
                return pair.A.Gateway.Arming.Armed;
            },
            () => pair.A.Log.ToString()
        );
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await Wait.UntilAsync(() => spool.FindPeer("a.example")?.Signed is not null, () => "nothing is remembered");
        pair.World.Forge = (name, type, answer) => name == policyA && type == RecordType.TXT ? recorded : answer;
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await pair.A.Gateway.Arming.CheckAsync(CancellationToken.None);
        Assert.True(pair.A.Gateway.Arming.Armed, pair.A.Log.ToString());
        Assert.Contains("event=own-records-in-doubt", pair.A.Log.ToString());
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromMinutes(1)));
    }

    /// <summary>Strangers may name any domain, and as often as they like: what is denied then is counted by nobody.</summary>
    [Fact]
    public async Task Nor_do_denials_count_that_a_stranger_made_us_ask_for()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await TrustActs.SendAsync(pair));
        pair.World.Zone("b.example").Remove(PolicyB, RecordType.TXT);
        pair.World.Time.Advance(TimeSpan.FromHours(2));
        Sign(pair, "now");
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        var names = new NameService(pair.A.Configuration, pair.World.Time);
        var peers = new Peers(
            () => names.Validator,
            new PeerMemory(spool, null, pair.World.Time),
            _ => null,
            pair.World.Time
        );
        async Task<DateTimeOffset?> CountedAsync(Asker asker)
        {
            // What a stranger's look-up left in the cache does not answer ours.
            var fresh = asker == Asker.Stranger;
            await peers.AskAsync("b.example", fresh, new WorkBudget { Asker = asker }, CancellationToken.None);
            return spool.FindPeer("b.example")!.ContrarySince;
        }
        Assert.Null(await CountedAsync(Asker.Stranger));
        Assert.NotNull(await CountedAsync(Asker.Ours));
    }

    [Theory]
    [InlineData("now")]
    [InlineData("hour")]
    [InlineData("week")]
    public async Task A_policy_that_was_withdrawn_is_forgotten_whatever_the_signer_writes(string signer)
    {
        var (pair, _) = await PublishedAsync(signer, "nothing there", "", "v=PGPT1; m=enforce; fp=FPR; a=31557600");
        await using var ended = pair;
        pair.World.Zone("b.example").Remove(PolicyB, RecordType.TXT);
        async Task WaitsAsync()
        {
            for (var hours = 0; hours < 50; hours += 10)
            {
                Sign(pair, signer);
                Assert.StartsWith("451 4.7.5", await SendAsync(pair, TimeSpan.FromHours(10)));
            }
        }
        await WaitsAsync();
        if (signer == "week")
        {
            await WaitsAsync(); // nothing tells it from a replay until the zone is signed anew
            Sign(pair, "now");
            await WaitsAsync();
        }
        Sign(pair, signer);
        Assert.Contains("in clear", await SendAsync(pair, TimeSpan.FromHours(10)));
    }

    [Fact]
    public async Task A_secondary_that_lags_behind_is_used_and_nothing_of_it_remembered()
    {
        var (pair, _) = await PublishedAsync(
            "now",
            "nothing there",
            "",
            "v=PGPT1; m=enforce; fp=FPR; a=100000; sz=5000"
        );
        await using var ended = pair;
        var zone = pair.World.Zone("b.example");
        var lagging = zone.Answer(PolicyB, RecordType.TXT);
        zone.Remove(PolicyB, RecordType.TXT);
        zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}; a=200000"));
        Sign(pair, "now");
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromHours(1)));
        var before = (await RecallAsync(pair)).EnforceUntil;
        pair.World.Forge = (name, type, answer) => name == PolicyB && type == RecordType.TXT ? lagging : answer;
        Assert.Contains("sealed for b.example", await SendAsync(pair, TimeSpan.FromHours(20)));
        Assert.Equal(before, (await RecallAsync(pair)).EnforceUntil);
        Assert.Contains("event=older-answer", pair.A.Log.ToString());
    }

    private static async Task<PeerRecord> RecallAsync(Pair pair)
    {
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        return spool.FindPeer("b.example")!;
    }
}
