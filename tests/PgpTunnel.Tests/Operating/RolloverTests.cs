using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public class RolloverTests
{
    private const string Message = "From: x@a.example\r\nSubject: s\r\n\r\nbody\r\n";

    private static void Republish(Pair pair)
    {
        var (zone, b) = (pair.World.Zone("b.example"), pair.B.Configuration);
        zone.Remove(DomainName.Parse("_pgptunnel.b.example"), RecordType.TXT);
        zone.Remove(PolicyRecord.CertificateName(b.Gateway), RecordType.OPENPGPKEY);
        foreach (
            var record in PublishedRecords
                .For(b, KeyRing.Load(b), asTxt: false)
                .Where(r =>
                    r.Type is RecordType.OPENPGPKEY
                    || r.Name.ToString().StartsWith("_pgptunnel.", StringComparison.Ordinal)
                )
        )
            zone.Add(record.Name, record.Type, record.Rdata);
    }

    /// <summary>Mail both ways arrives at once: nothing is deferred, refused, or sent in clear.</summary>
    private static async Task ExchangeAsync(Pair pair)
    {
        var (a, b) = (pair.A.Received.Count, pair.B.Received.Count);
        foreach (
            var (from, to, company) in new[]
            {
                ("<alice@a.example>", "<bob@b.example>", pair.A),
                ("<bob@b.example>", "<alice@a.example>", pair.B),
            }
        )
            Assert.Contains(" sealed for ", (await company.SendAsync(from, [to], Message))[0].ToString());
        await pair.A.WaitAsync(a + 1);
        await pair.B.WaitAsync(b + 1);
        await ReceiptsAsync(pair);
    }

    /// <summary>Waits until each side has the other's receipt, whatever key that is signed by.</summary>
    private static async Task ReceiptsAsync(Pair pair)
    {
        await pair.A.SettledAsync();
        await pair.B.SettledAsync();
        pair.World.Time.Advance(TimeSpan.FromSeconds(61));
        foreach (var company in new[] { pair.A, pair.B })
        {
            await using var spool = Spool.Open(company.Configuration.SpoolFile, running: false);
            await Wait.UntilAsync(() => spool.Awaited().Count == 0, () => $"A:\n{pair.A.Log}\nB:\n{pair.B.Log}");
        }
    }

    /// <summary>No secret is destroyed because a clock says that its time is over.</summary>
    [Fact]
    public async Task A_clock_that_jumped_destroys_no_key()
    {
        await using var pair = await Pair.CreateAsync();
        var old = pair.B.Key.Fingerprint;
        Assert.Null(await StepAsync(pair));
        for (var step = 2; step <= 3; step++)
        {
            pair.World.Time.Advance(TimeSpan.FromDays(15));
            Assert.Null(await StepAsync(pair));
        }
        var file = Path.Combine(pair.B.Configuration.Keys.Directory, $"{old}.key");
        await pair.B.StopAsync(); // else the gateway itself notes that it runs, and at what time
        await using var spool = Spool.Open(pair.B.Configuration.SpoolFile, running: false);
        var b = pair.B.Configuration;
        string? Step() =>
            KeyRollover.TakeStep(b, KeyRing.Load(b), GatewayAlgorithm.P256, spool, pair.World.Time.GetUtcNow()).NotYet;
        await spool.UsedAsync(pair.World.Time.GetUtcNow());
        pair.World.Time.Advance(TimeSpan.FromDays(40));
        Assert.Contains("the clock does not follow", Step());
        Assert.True(File.Exists(file));
        await spool.UsedAsync(pair.World.Time.GetUtcNow());
        Assert.Null(Step());
        Assert.False(File.Exists(file));
    }

    private static async Task<string?> StepAsync(Pair pair)
    {
        var b = pair.B.Configuration;
        await using var spool = Spool.Open(b.SpoolFile, running: false);
        var (_, notYet) = KeyRollover.TakeStep(
            b,
            KeyRing.Load(b),
            GatewayAlgorithm.P256,
            spool,
            pair.World.Time.GetUtcNow()
        );
        if (notYet is not null)
            return notYet;
        Republish(pair);
        await pair.B.Gateway.ReloadAsync();
        return null;
    }

    [Fact]
    public async Task A_whole_rollover_delays_no_mail_and_a_partner_who_verified_the_old_key_follows()
    {
        await using var pair = await Pair.CreateAsync();
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(spool, "b.example", r => r with { Verified = [pair.B.Key.Fingerprint] });
        await ExchangeAsync(pair);
        var old = pair.B.Key.Fingerprint;
        foreach (var pause in new[] { KeyPlan.TwoTtls, ParcelLife.Longest + KeyPlan.TwoTtls, TimeSpan.FromDays(13.5) })
        {
            Assert.Null(await StepAsync(pair));
            await ExchangeAsync(pair); // with caches still full of the old answer
            Assert.Contains("is due from", await StepAsync(pair));
            for (var part = 0; part < 4; part++)
            {
                pair.World.Time.Advance(pause / 4 + TimeSpan.FromSeconds(1));
                await ExchangeAsync(pair);
            }
        }
        var ring = KeyRing.Load(pair.B.Configuration);
        Assert.NotEqual(old, ring.Active.Fingerprint);
        Assert.Equal((2, 1, "P-256"), (ring.Keys.Count, ring.Published.Count, ring.Active.Algorithm));
        Assert.Contains("event=key-succeeded", pair.A.Log.ToString());
        Assert.Contains("is due from", await StepAsync(pair)); // the last step waits for the longest life of a parcel
        foreach (var log in new[] { pair.A.Log.ToString(), pair.B.Log.ToString() })
        {
            Assert.DoesNotContain("deferred", log);
            Assert.True(!log.Contains("refused"), log);
            Assert.DoesNotContain("alarm", log);
        }
    }

    [Fact]
    public async Task A_key_that_the_verified_one_does_not_certify_is_deferred_with_alarm()
    {
        await using var pair = await Pair.CreateAsync();
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(spool, "b.example", r => r with { Verified = [pair.B.Key.Fingerprint] });
        await ExchangeAsync(pair);
        var thief = GatewayKey.Generate(
            GatewayAlgorithm.Ed25519,
            pair.B.Configuration.Gateway,
            pair.World.Time.GetUtcNow()
        );
        var (zone, name) = (pair.World.Zone("b.example"), DomainName.Parse("_pgptunnel.b.example"));
        zone.Remove(name, RecordType.TXT);
        zone.Add(name, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={thief.Fingerprint}"));
        zone.Add(
            PolicyRecord.CertificateName(pair.B.Configuration.Gateway),
            RecordType.OPENPGPKEY,
            thief.ExportCertificate()
        );
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith(
            "451 4.7.5",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
        Assert.Contains("alarm=true", pair.A.Log.ToString());
        await using (var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false))
            await PeerMemory.ChangeAsync(spool, "b.example", r => r with { Verified = [thief.Fingerprint] });
        Assert.Contains(
            "sealed for",
            (await pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], Message))[0].ToString()
        );
    }

    [Fact]
    public async Task A_revoked_key_is_published_as_such_and_trusted_by_nobody()
    {
        await using var pair = await Pair.CreateAsync();
        await ExchangeAsync(pair);
        var (b, now) = (pair.B.Configuration, pair.World.Time.GetUtcNow());
        var next = GatewayKey.Generate(GatewayAlgorithm.Ed25519, b.Gateway, now.AddSeconds(1));
        KeyRing.Write(b.Keys.Directory, next, null, now);
        new KeyPlan
        {
            Published = [next.Fingerprint],
            Revoked = new Dictionary<string, DateTimeOffset> { [pair.B.Key.Fingerprint] = now },
        }.Save(b.Keys.Directory);
        Republish(pair);
        var certificate = PublishedRecords
            .For(b, KeyRing.Load(b), asTxt: false)
            .Where(r => r.Type == RecordType.OPENPGPKEY)
            .Select(r => Certificate.Read(r.Rdata))
            .Single(c => c.Fingerprint == pair.B.Key.Fingerprint);
        Assert.Contains("revoked", certificate.Judge(b.Gateway, now).Refusal);
        await pair.B.Gateway.ReloadAsync();
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        await ExchangeAsync(pair);
        await using var memory = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        Assert.Contains(
            pair.B.Key.Fingerprint,
            new PeerMemory(memory, null, pair.World.Time).Recall("b.example").Distrusted.Keys
        );
    }

    [Fact]
    public void Successors_are_certified_by_the_very_key_and_survive_their_file()
    {
        var now = new DateTimeOffset(2026, 9, 1, 0, 0, 0, TimeSpan.Zero);
        const string gateway = "pgptunnel@pgptunnel.b.example";
        var (old, other) = (
            GatewayKey.Generate(GatewayAlgorithm.Ed25519, gateway, now),
            GatewayKey.Generate(GatewayAlgorithm.Ed25519, gateway, now)
        );
        var next = GatewayKey.ReadSecret(
            GatewayKey.Generate(GatewayAlgorithm.Rsa3072, gateway, now).CertifiedBy(old, now).ExportSecret(null),
            null
        );
        Certificate Read(GatewayKey key, DateTimeOffset? revoked = null) =>
            Certificate.Read(key.ExportCertificate(revoked));
        Assert.NotNull(Read(next).Judge(gateway, now).Key);
        Assert.True(Read(next).IsSuccessorOf(Read(old), gateway, DateTimeOffset.MaxValue));
        Assert.False(Read(next).IsSuccessorOf(Read(other), gateway, DateTimeOffset.MaxValue));
        Assert.False(Read(old).IsSuccessorOf(Read(next), gateway, DateTimeOffset.MaxValue));
        Assert.False(Read(next).IsSuccessorOf(Read(old, now), gateway, DateTimeOffset.MaxValue)); // a revoked key certifies nothing
        Assert.False(Read(next).IsSuccessorOf(Read(old), "pgptunnel@pgptunnel.c.example", DateTimeOffset.MaxValue));
    }
}
