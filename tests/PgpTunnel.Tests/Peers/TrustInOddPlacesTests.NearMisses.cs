using System.Text;
using System.Text.RegularExpressions;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>What was meant as a policy, and is none.</summary>
public sealed partial class TrustInOddPlacesTests
{
    public static TheoryData<string> NearMisses => Vectors.Lines("near-misses.txt");

    private static byte[] Octets(string text) =>
        Encoding.Latin1.GetBytes(
            Regex.Replace(
                text.Replace(@"\\", @"\092"),
                @"\\(\d{3})",
                m => ((char)int.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)).ToString()
            )
        );

    [Theory, MemberData(nameof(NearMisses))]
    public void The_octet_that_is_wrong_is_named(string line)
    {
        var expected = Vectors.Split(line).Right;
        var text = Octets(line[..line.LastIndexOf(" =>", StringComparison.Ordinal)]);
        var miss = PolicyRecord.NearMiss([
            [(byte)text.Length, .. text],
        ]);
        if (expected == "none")
            Assert.Null(miss);
        else
            Assert.StartsWith(expected, miss);
    }

    [Fact]
    public async Task It_is_named_of_a_trusted_partner_whose_zone_is_not_signed()
    {
        await using var pair = await Pair.CreateAsync();
        pair.World.AddInsecureZone("c.example")
            .Add(DomainName.Parse("_pgptunnel.c.example"), RecordType.TXT, TestWorld.Txt("v=PGPT1\\; m=enforce; fp=0"));
        await VerifyAsync(pair, new string('1', 40), "c.example");
        Assert.StartsWith("451 4.7.5", await SendAsync(pair, "<carol@c.example>"));
        Assert.Contains("something that was meant as a policy: octet 8", pair.A.Log.ToString());
    }

    [Fact]
    public async Task A_near_miss_is_no_policy_and_no_withdrawal_either()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        var zone = pair.World.Zone("b.example");
        zone.Remove(PolicyB, RecordType.TXT);
        zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt($"\"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}\""));
        for (var day = 0; day < 5; day++)
        {
            pair.World.Time.Advance(TimeSpan.FromDays(1));
            zone.SignAnew(pair.World.Time.GetUtcNow());
            Assert.StartsWith("451 4.7.5", await SendAsync(pair));
        }
        Assert.Contains("octet 1 is 0x22", pair.A.Log.ToString());
    }
}
