using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>Keys that vouch for keys: missed steps, revocations, distrust, and what is forgiven.</summary>
public sealed class SuccessorTests
{
    /// <summary>B, whose key A has verified, publishes only a new one that the old certifies: the step with both was missed.</summary>
    private static async Task<GatewayKey> MissedStepAsync(Pair pair, string more)
    {
        await VerifyAsync(pair, pair.B.Key.Fingerprint);
        Assert.Contains("sealed", await SendAsync(pair));
        var next = NewKey(pair).CertifiedBy(pair.B.Key, pair.World.Time.GetUtcNow());
        Publish(pair, $"v=PGPT1; m=enforce; fp={next.Fingerprint}{more}", next.ExportCertificate());
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        return next;
    }

    [Fact]
    public async Task A_successor_is_known_by_the_kept_certificate_of_a_key_published_no_more()
    {
        await using var pair = await Pair.CreateAsync();
        var next = await MissedStepAsync(pair, "");
        Assert.Contains($"key {next.Fingerprint}", await SendAsync(pair));
        Assert.Contains("event=key-succeeded", pair.A.Log.ToString());
        Assert.Contains(next.Fingerprint, (await RecordAsync(pair)).Verified);
    }

    [Fact]
    public async Task A_kept_certificate_of_a_distrusted_key_vouches_for_nobody()
    {
        await using var pair = await Pair.CreateAsync();
        await MissedStepAsync(pair, $"; xfp={pair.B.Key.Fingerprint}");
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        Assert.Contains("alarm=true", pair.A.Log.ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_key_that_revoked_itself_is_distrusted_for_ever_wherever_its_revocation_stands(bool fallback)
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        var (old, next) = (pair.B.Key, NewKey(pair));
        var revoked = old.ExportCertificate(pair.World.Time.GetUtcNow());
        Publish(
            pair,
            $"v=PGPT1; m=enforce; fp={next.Fingerprint}; xfp={old.Fingerprint}; a=60",
            fallback ? [next.ExportCertificate()] : [next.ExportCertificate(), revoked]
        );
        if (fallback)
            pair.World.Zone("b.example")
                .Add(
                    PolicyRecord.FallbackName(old.Fingerprint, pair.B.Configuration.Gateway),
                    RecordType.TXT,
                    TestWorld.Txt($"v=PGPK1; p={Convert.ToBase64String(revoked)}")
                );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains("sealed", await SendAsync(pair));
        Assert.Contains("event=key-revoked", pair.A.Log.ToString());
        // The thief of the old key publishes it again, long after xfp is gone, without its revocation.
        Publish(pair, $"v=PGPT1; m=enforce; fp={old.Fingerprint}", old.ExportCertificate());
        pair.World.Time.Advance(TimeSpan.FromDays(20));
        await pair.B.Gateway.ReloadAsync();
        await pair.A.Gateway.Arming.CheckAsync(CancellationToken.None);
        Assert.DoesNotContain("sealed for", await SendAsync(pair));
        Assert.Equal(9999, (await RecordAsync(pair)).Distrusted[old.Fingerprint].Year);
    }

    /// <summary>It vouches no more, though its policy neither lists nor distrusts it.</summary>
    [Fact]
    public async Task A_verified_key_that_revoked_itself_vouches_for_nobody()
    {
        await using var pair = await Pair.CreateAsync();
        var next = await MissedStepAsync(pair, "");
        var revoked = pair.B.Key.ExportCertificate(pair.World.Time.GetUtcNow());
        Publish(pair, $"v=PGPT1; m=enforce; fp={next.Fingerprint}", next.ExportCertificate(), revoked);
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        Assert.Equal(9999, (await RecordAsync(pair)).Distrusted[pair.B.Key.Fingerprint].Year);
    }

    /// <summary>However often the gateway is started anew: the day is counted from the last time.</summary>
    [Fact]
    public async Task Verified_partners_are_looked_up_daily()
    {
        await using var pair = await Pair.CreateAsync();
        await VerifyAsync(pair, pair.B.Key.Fingerprint);
        await pair.A.StopAsync();
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        await spool.PartnersSeenAsync(pair.World.Time.GetUtcNow().AddHours(-25));
        await pair.A.StartAsync();
        var now = pair.World.Time.GetUtcNow().ToUnixTimeSeconds();
        await Wait.UntilAsync(() => spool.PartnersSeen?.ToUnixTimeSeconds() == now, () => pair.A.Log.ToString());
        Assert.NotEmpty(spool.Certificates("b.example"));
    }

    [Fact]
    public async Task Whom_only_a_revoked_key_vouched_for_falls_with_it()
    {
        await using var pair = await Pair.CreateAsync();
        var old = pair.B.Key;
        await VerifyAsync(pair, old.Fingerprint);
        Assert.Contains("sealed", await SendAsync(pair));
        // The thief of the old key has its zone for an hour.
        var thief = NewKey(pair).CertifiedBy(old, pair.World.Time.GetUtcNow());
        Publish(
            pair,
            $"v=PGPT1; m=enforce; fp={thief.Fingerprint},{old.Fingerprint}",
            thief.ExportCertificate(),
            old.ExportCertificate()
        );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains($"key {thief.Fingerprint}", await SendAsync(pair));
        Assert.Contains(thief.Fingerprint, (await RecordAsync(pair)).Verified);
        // The owner revokes.
        var next = NewKey(pair);
        Publish(
            pair,
            $"v=PGPT1; m=enforce; fp={next.Fingerprint}; xfp={old.Fingerprint}",
            next.ExportCertificate(),
            old.ExportCertificate(pair.World.Time.GetUtcNow())
        );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        Assert.Contains("event=key-disowned", pair.A.Log.ToString());
        Assert.Equal([old.Fingerprint], (await RecordAsync(pair)).Verified);
        Publish(pair, $"v=PGPT1; m=enforce; fp={thief.Fingerprint}", thief.ExportCertificate());
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
    }

    [Fact]
    public async Task A_successor_falls_in_the_very_answer_that_revokes_its_certifier_unless_it_was_compared_by_hand()
    {
        await using var pair = await Pair.CreateAsync();
        var next = await MissedStepAsync(pair, "");
        Assert.Contains($"key {next.Fingerprint}", await SendAsync(pair));
        var revoked = pair.B.Key.ExportCertificate(pair.World.Time.GetUtcNow());
        Publish(
            pair,
            $"v=PGPT1; m=enforce; fp={next.Fingerprint}; xfp={pair.B.Key.Fingerprint}",
            next.ExportCertificate(),
            revoked
        );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(spool, "b.example", r => r.VerifiedByHand(next.Fingerprint));
        Assert.Contains($"key {next.Fingerprint}", await SendAsync(pair));
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains($"key {next.Fingerprint}", await SendAsync(pair));
    }

    [Fact]
    public async Task A_distrusted_key_without_its_own_revocation_is_forgiven_when_the_memory_ends()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        var (old, next) = (pair.B.Key, NewKey(pair));
        Publish(
            pair,
            $"v=PGPT1; m=testing; fp={next.Fingerprint}; xfp={old.Fingerprint}; a=60",
            next.ExportCertificate()
        );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains("sealed", await SendAsync(pair));
        Publish(pair, $"v=PGPT1; m=enforce; fp={old.Fingerprint}", old.ExportCertificate());
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains($"key {old.Fingerprint}", await SendAsync(pair));
    }
}
