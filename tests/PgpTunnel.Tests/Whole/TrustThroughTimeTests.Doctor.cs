using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>The self-check.</summary>
public partial class TrustThroughTimeTests
{
    [Fact]
    public async Task The_doctor_sees_what_is_wrong_and_what_is_about_to_be()
    {
        await using var pair = await Pair.CreateAsync();
        var settings = new Settings(pair.A.Configuration, KeyRing.Load(pair.A.Configuration));
        async Task<List<Finding>> ExamineAsync(string domain)
        {
            var names = new NameService(pair.A.Configuration, pair.World.Time);
            return
            [
                .. await new Doctor(
                    settings,
                    new Peers(
                        () => names.Validator,
                        new PeerMemory(null, null, pair.World.Time),
                        _ => null,
                        pair.World.Time
                    ),
                    names,
                    pair.World.Time
                ).ExamineAsync(domain, Stage.Unseen, CancellationToken.None),
            ];
        }
        void Says(List<Finding> findings, FindingLevel level, string what) =>
            Assert.True(
                findings.Exists(f => f.Level == level && f.What.Contains(what)),
                $"not said: {what}\n{string.Join('\n', findings)}"
            );
        var good = await ExamineAsync("a.example");
        Says(good, FindingLevel.Ok, "a.example is signed (ECDSAP256SHA256), signatures until");
        Says(good, FindingLevel.Ok, $"keys {pair.A.Key.Fingerprint}");
        Says(good, FindingLevel.Ok, $"{pair.A.Key.Fingerprint} is usable");
        Says(good, FindingLevel.Wrong, "pgptunnel.a.example has no mail exchanger with an address");
        pair.World.Time.Advance(TimeSpan.FromDays(27)); // of the 30 for which the zones are signed
        Says(
            await ExamineAsync("a.example"),
            FindingLevel.Warning,
            "a.example is signed (ECDSAP256SHA256), but its signatures expire at"
        );
        pair.World.Time.Advance(TimeSpan.FromDays(4));
        Says(await ExamineAsync("a.example"), FindingLevel.Wrong, "expired at");
    }

    [Fact]
    public async Task The_doctor_compares_our_records_with_what_we_hold()
    {
        await using var pair = await Pair.CreateAsync();
        var names = new NameService(pair.B.Configuration, pair.World.Time);
        async Task<string> SaysAsync()
        {
            var settings = new Settings(pair.B.Configuration, KeyRing.Load(pair.B.Configuration));
            names.Replace(pair.B.Configuration);
            var findings = await new Doctor(
                settings,
                new Peers(
                    () => names.Validator,
                    new PeerMemory(null, null, pair.World.Time),
                    _ => null,
                    pair.World.Time
                ),
                names,
                pair.World.Time
            ).ExamineAsync("b.example", Stage.Unseen, CancellationToken.None);
            return string.Join(
                '\n',
                findings.Where(f => f.Level != FindingLevel.Ok && f.Check is "policy" or "certificate")
            );
        }
        var (ours, other) = (pair.B.Key, NewKey(pair));
        Publish(pair, $"v=PGPT1; m=enforce; fp={other.Fingerprint}", other.ExportCertificate());
        Assert.Contains($"not our key {ours.Fingerprint}", await SaysAsync());
        Publish(
            pair,
            $"v=PGPT1; m=enforce; fp={ours.Fingerprint},{other.Fingerprint}; sz=99999999999",
            ours.ExportCertificate(),
            other.ExportCertificate()
        );
        var both = await SaysAsync();
        Assert.Contains("this gateway would publish", both);
        Assert.Contains("limits.messageSize allows", both);
        KeyRing.Replace(pair.B.Configuration, ours.WithNewEncryption(pair.World.Time.GetUtcNow()));
        Assert.Contains("lacks our newest encryption subkey", await SaysAsync());
        Publish(pair, "v=PGPT1; m=none");
        Assert.Contains("b.example is None: the policy says m=none", await SaysAsync());
    }
}
