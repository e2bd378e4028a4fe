using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>Alarms, kept certificates, revocation, subkeys, refreshing, reloading: trust that must hold while the world changes.</summary>
public partial class TrustThroughTimeTests
{
    [Fact]
    public async Task An_alarm_tells_the_postmaster_once_a_day_and_ends_when_the_records_are_right_again()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        var zone = pair.World.Zone("b.example");
        zone.Remove(PolicyB, RecordType.TXT);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        for (var i = 0; i < 3; i++)
            Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        List<string> Notices() =>
            [
                .. pair
                    .A.Received.Select(r => Encoding.UTF8.GetString(r.Message))
                    .Where(m => m.Contains("Subject: Mail to or from b.example waits")),
            ];
        await pair.A.WaitAsync(1);
        var notice = Assert.Single(Notices());
        Assert.Contains("partner show b.example", notice);
        Assert.Contains("b.example asked for encryption", (await RecordAsync(pair)).Alarm);
        pair.World.Time.Advance(TimeSpan.FromHours(25));
        Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        await Wait.UntilAsync(() => Notices().Count >= 2, () => pair.A.Log.ToString());
        zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}"));
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains("sealed", await SendAsync(pair));
        Assert.Null((await RecordAsync(pair)).Alarm);
        Assert.Equal(2, Notices().Count);
    }

    [Fact]
    public async Task A_stranger_raises_no_alarm_for_a_domain_nobody_knows()
    {
        await using var pair = await Pair.CreateAsync(publishB: false);
        Assert.Contains("in clear", await SendAsync(pair));
        Assert.Null((await RecordAsync(pair)).Alarm);
        Assert.Empty(pair.A.Received);
    }

    [Fact]
    public async Task Memory_about_to_end_is_refreshed_without_any_mail()
    {
        await using var pair = await Pair.CreateAsync(policyB: "v=PGPT1; m=enforce; fp=FPR; a=172800");
        Assert.Contains("sealed", await SendAsync(pair));
        for (var day = 0; day < 20; day++)
        {
            var before = (await RecordAsync(pair)).EnforceUntil;
            pair.World.Time.Advance(TimeSpan.FromHours(25));
            if (before - pair.World.Time.GetUtcNow() < TimeSpan.FromDays(1))
                await Wait.UntilAsync(
                    () =>
                    {
                        pair.World.Time.Advance(TimeSpan.FromSeconds(11)); // the gateway may have been at work when the clock jumped
                        return RecordAsync(pair).Result.EnforceUntil > before;
                    },
                    () => $"day {day}: not refreshed\n{pair.A.Log}"
                );
        }
        Assert.True((await RecordAsync(pair)).EnforceUntil > pair.World.Time.GetUtcNow());
    }

    [Fact]
    public async Task Nothing_is_refused_for_good_on_an_old_answer()
    {
        await using var pair = await Pair.CreateAsync("\"policy\": { \"default\": \"require\" }", publishB: false);
        Assert.StartsWith("550 5.7.10", await SendAsync(pair));
        pair.B.Publish(null);
        Assert.Contains("sealed", await SendAsync(pair)); // the negative answer's TTL still runs
    }

    [Fact]
    public async Task A_new_encryption_subkey_takes_over_without_delay_and_the_old_secret_is_destroyed()
    {
        await using var pair = await Pair.CreateAsync(
            moreB: "\"keys\": { \"encryptionLifetime\": \"60.00:00:00\" }",
            days: 200
        );
        Assert.Contains("sealed", await SendAsync(pair));
        await pair.B.WaitAsync(1);
        var (file, first) = (
            Directory.EnumerateFiles(pair.B.Configuration.Keys.Directory, "*.key").Single(),
            pair.B.Key
        );
        var sealedForFirst = Encoding.ASCII.GetString(pair.HopSaw[0].Message);
        GatewayKey Now() => GatewayKey.ReadSecret(File.ReadAllBytes(file), null);
        var count = 1;
        async Task MailAsync()
        {
            Assert.Contains("sealed", await SendAsync(pair));
            await pair.B.WaitAsync(++count);
        }
        async Task DaysAsync(int days, string log)
        {
            for (var i = 0; i < days; i++)
                pair.World.Time.Advance(TimeSpan.FromDays(1) + TimeSpan.FromSeconds(1));
            if (log.Length > 0)
                await pair.B.WaitForLogAsync(log);
            await Wait.UntilAsync(
                () =>
                    log.Length == 0
                    || pair.B.Log.ToString().LastIndexOf("event=reloaded", StringComparison.Ordinal)
                        > pair.B.Log.ToString().LastIndexOf(log, StringComparison.Ordinal),
                () => pair.B.Log.ToString()
            );
            await MailAsync(); // whatever the caches hold
        }
        await DaysAsync(59, "");
        Assert.False(Now().HasOldEncryption);
        await DaysAsync(2, "made the encryption subkey");
        Assert.True(Now().HasOldEncryption);
        Assert.NotEqual(first.EncryptionFingerprint, Now().EncryptionFingerprint);
        await DaysAsync(20, ""); // as long as it is not published the old one is kept
        Assert.True(Now().HasOldEncryption);
        Publish(pair, $"v=PGPT1; m=enforce; fp={first.Fingerprint}", Now().ExportCertificate());
        pair.World.Time.Advance(TimeSpan.FromMinutes(10));
        await MailAsync();
        await DaysAsync(1, "the new encryption subkey is published");
        await DaysAsync(13, "");
        Assert.True(Now().HasOldEncryption);
        await DaysAsync(3, "destroyed the old encryption subkey");
        Assert.False(Now().HasOldEncryption);
        Assert.Throws<NoKeyException>(() =>
            MessageOpener.Decrypt(Armor.Decode(Armor.Message, Encoding.ASCII.GetBytes(sealedForFirst)), [Now()])
        );
        MessageOpener.Decrypt(Armor.Decode(Armor.Message, Encoding.ASCII.GetBytes(sealedForFirst)), [first]); // what a backup still could
        await MailAsync();
        Assert.DoesNotContain("deferred", pair.A.Log.ToString());
    }

    /// <summary>Files are looked at every few seconds of the gateway's clock.</summary>
    private static Task LookedAtAgainAsync(Pair pair, string text) =>
        Wait.UntilAsync(
            () =>
            {
                pair.World.Time.Advance(TimeSpan.FromSeconds(11));
                return pair.A.Log.ToString().Contains(text);
            },
            () => $"no {text}\n{pair.A.Log}"
        );

    [Fact]
    public async Task Changed_files_are_taken_over_and_a_broken_one_is_named()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        var text = File.ReadAllText(pair.A.File);
        File.WriteAllText(
            pair.A.File,
            text.Insert(
                text.LastIndexOf('}'),
                ", \"policy\": { \"partners\": { \"b.example\": { \"policy\": \"never\" } } }"
            )
        );
        await LookedAtAgainAsync(pair, "event=reloaded");
        Assert.Contains("in clear", await SendAsync(pair));
        File.WriteAllText(Path.Combine(pair.World.Directory, "root.ds"), "this is no anchor");
        await LookedAtAgainAsync(pair, "event=reload-refused");
        Assert.Contains("dns.trustAnchors", pair.A.Log.ToString());
    }

    [Fact]
    public async Task A_new_root_key_in_the_anchor_file_is_taken_over_and_an_unknown_one_is_an_error_that_says_so()
    {
        await using var pair = await Pair.CreateAsync();
        var anchors = Path.Combine(pair.World.Directory, "root.ds");
        var right = File.ReadAllText(anchors);
        File.WriteAllText(
            anchors,
            ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
        );
        await pair.A.Gateway.ReloadAsync();
        Assert.StartsWith("451 4.4.3", await SendAsync(pair));
        Assert.Contains(
            "no DNSKEY matches the trust anchor (is dns.trustAnchors the right file?)",
            pair.A.Log.ToString()
        );
        File.WriteAllText(anchors, right);
        await pair.A.Gateway.ReloadAsync();
        Assert.Contains("sealed", await SendAsync(pair));
    }

    [Theory]
    [InlineData(true, "answered by ")]
    [InlineData(false, "failed: 550 5.7.1 b.example answers no echo of a.example")]
    public async Task An_echo_comes_back_from_a_partner_who_allows_it(bool allowed, string outcome)
    {
        await using var pair = await Pair.CreateAsync(
            moreB: allowed ? "\"policy\": { \"partners\": { \"a.example\": { \"echo\": true } } }" : ""
        );
        await using var spool = Spool.Open(pair.A.Configuration.SpoolFile, running: false);
        var (settings, time) = (
            new Settings(pair.A.Configuration, KeyRing.Load(pair.A.Configuration)),
            pair.World.Time
        );
        var memory = new PeerMemory(spool, null, time);
        var peers = new Peers(pair.World.Validator, memory, _ => null, time);
        var echoes = new Echoes(
            new Site(settings, spool, new EventLog(TextWriter.Null, false, time), time),
            peers,
            new Parcels(settings, time)
        );
        var asking = echoes.AskAsync(
            await peers.FindAsync("b.example", false, CancellationToken.None),
            TimeSpan.FromMinutes(1),
            CancellationToken.None
        );
        await Wait.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(0.3));
                return asking.IsCompleted;
            },
            () => $"{pair.A.Log}\n{pair.B.Log}"
        );
        Assert.StartsWith(outcome, await asking);
        Assert.Empty(pair.A.Received.Concat(pair.B.Received));
        Assert.DoesNotContain(
            "Is there anybody",
            string.Concat(pair.HopSaw.Select(s => Encoding.ASCII.GetString(s.Message)))
        );
    }
}
