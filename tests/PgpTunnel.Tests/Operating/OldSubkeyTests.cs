using System.Text;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>
/// Who keeps an old encryption subkey alive: partners do, for a while; strangers do not; what lies in our own spool is sealed anew.
/// </summary>
public sealed class OldSubkeyTests : InboundSetting
{
    /// <summary>B has made a new encryption subkey by hand, and the test holds the certificate of before.</summary>
    private async Task<PeerKey> RotatedAsync()
    {
        var before = PeerB();
        Assert.Contains(
            "made the encryption subkey",
            SubkeyRotation.TakeStep(_pair.B.Configuration, null, null, Now, byHand: true)
        );
        await _pair.B.Gateway.ReloadAsync();
        return before;
    }

    private async Task<DateTimeOffset?> UsedAsync()
    {
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        return spool.OldSubkeyUsed;
    }

    private async Task DeliverToAsync(PeerKey reader) =>
        Assert.StartsWith(
            "250",
            await DeliverAsync(
                Outer(
                    MessageSealer
                        .Seal([Bodies.Write(Header(), [Encoding.ASCII.GetBytes(Message)])], _pair.A.Key, reader, Now)
                        .Octets.ToArray()
                )
            )
        );

    [Fact]
    public async Task A_stranger_s_parcel_is_opened_and_prolongs_nothing()
    {
        var before = await RotatedAsync();
        await DeliverToAsync(before);
        Assert.Null(await UsedAsync());
    }

    [Theory]
    [InlineData("written to", true)]
    [InlineData("written to 89 days ago", true)]
    [InlineData("written to 91 days ago", false)]
    [InlineData("verified", true)]
    [InlineData("configured", true)]
    public async Task A_partner_s_parcel_prolongs_it(string how, bool prolongs)
    {
        switch (how)
        {
            case "configured":
                await _pair.B.StopAsync();
                File.WriteAllText(
                    _pair.B.File,
                    File.ReadAllText(_pair.B.File)
                        .Replace(
                            "\"domains\"",
                            "\"policy\": { \"partners\": { \"a.example\": { \"policy\": \"require\" } } }, \"domains\""
                        )
                );
                await _pair.B.StartAsync();
                break;
            case "verified":
                await RememberAsync(r => r with { Verified = [_pair.A.Key.Fingerprint] });
                break;
            case "written to":
                Assert.Contains(
                    "sealed",
                    (await _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example>"], "Subject: s\r\n\r\nbody\r\n"))[0]
                        .ToString()
                );
                await _pair.A.WaitAsync(1);
                break;
            default:
                await RememberAsync(r =>
                    r with
                    {
                        Sealed = Now.AddDays(
                            -int.Parse(how.Split(' ')[2], System.Globalization.CultureInfo.InvariantCulture)
                        ),
                    }
                );
                break;
        }
        var before = await RotatedAsync();
        await DeliverToAsync(before);
        Assert.Equal(prolongs, await UsedAsync() is not null);
    }

    private async Task RememberAsync(Func<PeerRecord, PeerRecord> change)
    {
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        await PeerMemory.ChangeAsync(spool, "a.example", change);
    }

    [Fact]
    public async Task It_is_put_off_by_fourteen_days_at_most()
    {
        await RotatedAsync();
        var configuration = _pair.B.Configuration;
        var published = KeyRing.Load(configuration).Active.EncryptionFingerprint;
        var since = Now;
        await using var spool = Spool.Open(configuration.SpoolFile, running: false);
        Assert.Contains(
            "the new encryption subkey is published",
            SubkeyRotation.TakeStep(configuration, spool, published, since)
        );
        var due = since + KeyPlan.TwoTtls + ParcelLife.Longest;
        Assert.Null(SubkeyRotation.TakeStep(configuration, spool, published, due.AddSeconds(-1)));
        for (var day = 0; day < 14; day++) // a parcel each day, as of one who would never let it die
        {
            await spool.CommitAsync(
                new()
                {
                    Facts = new Dictionary<string, string>([Spool.OldSubkeyUsedNow(due.AddDays(day).AddHours(-1))]),
                }
            );
            Assert.Null(SubkeyRotation.TakeStep(configuration, spool, published, due.AddDays(day)));
        }
        await spool.CommitAsync(
            new() { Facts = new Dictionary<string, string>([Spool.OldSubkeyUsedNow(due.AddDays(14).AddHours(-1))]) }
        );
        Assert.Contains(
            "destroyed the old encryption subkey",
            SubkeyRotation.TakeStep(configuration, spool, published, due.AddDays(14))
        );
    }

    /// <summary>
    /// What waits for our own mail server is sealed anew, for the spool's own subkey, and is there after the old one is gone.
    /// </summary>
    [Fact]
    public async Task What_waits_in_our_spool_is_sealed_anew_and_outlives_it()
    {
        _pair.B.LocalAnswer = _ => new SmtpReply(451, "4.2.0", "later");
        await DeliverToAsync(PeerB());
        await _pair.B.WaitForLogAsync("event=delivery-deferred");
        await RotatedAsync();
        var configuration = _pair.B.Configuration;
        await using (var spool = Spool.Open(configuration.SpoolFile, running: false))
        {
            var ring = KeyRing.Load(configuration);
            var waiting = Assert.Single(spool.List());
            Assert.True(ring.Active.NeedsOldEncryption(spool.Load(waiting.Id)!.Value.Content.Body.Span));
            await SubkeyRotation.SealAnewAsync(ring, spool);
            Assert.False(ring.Active.NeedsOldEncryption(spool.Load(waiting.Id)!.Value.Content.Body.Span));
            Assert.Contains(
                "is published",
                SubkeyRotation.TakeStep(configuration, spool, ring.Active.EncryptionFingerprint, Now)
            );
            Assert.Contains(
                "destroyed",
                SubkeyRotation.TakeStep(configuration, spool, ring.Active.EncryptionFingerprint, Now.AddDays(40))
            );
        }
        await _pair.B.Gateway.ReloadAsync();
        _pair.B.LocalAnswer = _ => null;
        _pair.World.Time.Advance(TimeSpan.FromMinutes(10));
        Assert.EndsWith(Message, Encoding.ASCII.GetString((await _pair.B.WaitAsync(1))[0].Message));
    }
}
