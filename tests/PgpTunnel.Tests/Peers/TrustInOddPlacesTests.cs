using System.Text;
using System.Text.RegularExpressions;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>
/// Trusted keys in unsigned zones, records that nearly are policies, keys that are listed no more, answers that cannot be had.
/// </summary>
public sealed partial class TrustInOddPlacesTests
{
    [Theory]
    [InlineData("m=enforce")]
    [InlineData("m=testing; xfp=FPR; sz=1; a=31557600")] // anybody may have written that
    [InlineData("m=none; fp=FPR")]
    public async Task A_trusted_key_in_an_unsigned_zone_is_used_and_nothing_else_is_believed(string tags)
    {
        await using var pair = await Pair.CreateAsync();
        var (world, key) = (
            pair.World,
            GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.c.example", pair.World.Time.GetUtcNow())
        );
        var zone = world.AddInsecureZone("c.example");
        zone.Add(
            DomainName.Parse("_pgptunnel.c.example"),
            RecordType.TXT,
            TestWorld.Txt(
                $"v=PGPT1; {tags.Replace("fp=FPR", $"fp={key.Fingerprint}", StringComparison.Ordinal)}"
                    + (tags.Contains(" fp=") ? "" : $"; fp={key.Fingerprint}")
            )
        );
        zone.Add(
            PolicyRecord.CertificateName("pgptunnel@pgptunnel.c.example"),
            RecordType.OPENPGPKEY,
            key.ExportCertificate()
        );
        Assert.Contains("in clear", await SendAsync(pair, "<carol@c.example>"));
        await VerifyAsync(pair, key.Fingerprint, "c.example");
        Assert.Contains(
            $"sealed for c.example key {key.Fingerprint} dnssec=insecure",
            await SendAsync(pair, "<carol@c.example>")
        );
        var record = (await RecordAsync(pair.A, "c.example"))!;
        Assert.True(
            record.EnforceUntil < world.Time.GetUtcNow()
                && record.Distrusted.Count == 0
                && record.Fingerprints.Count == 0
        );
        Assert.StartsWith("250", await DeliverAsync(pair, key)); // what it signs is opened
        var before = world.Forge;
        // What it says is read no further when its certificate cannot be looked up: what anybody may have distrusted bounces nothing.
        world.Forge = (name, type, answer) =>
            type == RecordType.OPENPGPKEY && name.IsWithin(zone.Name) ? new(2, [], []) : before!(name, type, answer);
        pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith("451 4.7.5", await DeliverAsync(pair, key));
        world.Forge = before;
        pair.World.Time.Advance(TimeSpan.FromMinutes(1));
        // Another key than the trusted one is not.
        await VerifyAsync(pair, new string('1', 40), "c.example");
        Assert.StartsWith("451 4.7.5", await SendAsync(pair, "<carol@c.example>"));
        Assert.Contains(
            $"c.example offers {key.Fingerprint}, but only {new string('1', 40)} is trusted for it",
            pair.A.Log.ToString()
        );
    }

    /// <summary>A parcel of c.example's; the reply to it.</summary>
    private static async Task<string> DeliverAsync(Pair pair, GatewayKey key)
    {
        var header = new InnerHeader
        {
            Id = ParcelLife.NewId(),
            Date = pair.World.Time.GetUtcNow(),
            Expires = pair.World.Time.GetUtcNow().AddDays(7),
            Sender = ("c.example", key.Fingerprint),
            Recipient = ("a.example", pair.A.Key.Fingerprint),
            MailFrom = ReversePath.Parse("<carol@c.example>").Path!,
            RcptTo = [ForwardPath.Parse("<alice@a.example>", false).Path!],
            Size = Message.Length,
        };
        var reader = Certificate
            .Read(pair.A.Key.ExportCertificate())
            .Judge(pair.A.Configuration.Gateway, pair.World.Time.GetUtcNow())
            .Key!;
        byte[] outer =
        [
            .. OuterMessage
                .Build(
                    "pgptunnel@pgptunnel.c.example",
                    pair.A.Configuration.Gateway,
                    "t",
                    pair.World.Time.GetUtcNow(),
                    MessageSealer
                        .Seal(
                            [Bodies.Write(header, [Encoding.ASCII.GetBytes(Message)])],
                            key,
                            reader,
                            pair.World.Time.GetUtcNow()
                        )
                        .Octets.ToArray()
                )
                .SelectMany(p => p.ToArray()),
        ];
        var replies = await Company.SendAsync(
            pair.A.Gateway.InboundServer!.EndPoint,
            "<>",
            [$"<{pair.A.Configuration.Gateway}>"],
            outer
        );
        return replies[0].ToString();
    }

    [Fact]
    public async Task A_remembered_partner_whose_zone_is_signed_no_more_is_sealed_for_its_trusted_key_with_an_alarm()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        await VerifyAsync(pair, pair.B.Key.Fingerprint, "b.example");
        var zone = DomainName.Parse("b.example");
        pair.World.Zone("example").Remove(zone, RecordType.DS);
        pair.World.Forge = (name, type, answer) =>
            name.IsWithin(zone) && !(type == RecordType.DS && name == zone) ? TestWorld.Unsigned(answer) : answer;
        pair.World.Time.Advance(TimeSpan.FromHours(2));
        Assert.Contains($"sealed for b.example key {pair.B.Key.Fingerprint} dnssec=insecure", await SendAsync(pair));
        Assert.Matches("event=sealed-with-doubt .*alarm=true", pair.A.Log.ToString());
    }

    [Fact]
    public async Task A_strangers_junk_replaces_no_good_answer_by_a_failed_one()
    {
        await using var pair = await Pair.CreateAsync();
        Assert.Contains("sealed", await SendAsync(pair));
        pair.World.Forge = (_, _, _) => new(2, [], []);
        var stranger = GatewayKey.Generate(
            GatewayAlgorithm.Ed25519,
            "pgptunnel@pgptunnel.b.example",
            pair.World.Time.GetUtcNow()
        );
        var header = pair.Header("<alice@a.example>", Message.Length) with
        {
            Sender = ("b.example", stranger.Fingerprint),
            Recipient = ("a.example", pair.A.Key.Fingerprint),
            MailFrom = ReversePath.Parse("<bob@b.example>").Path!,
        };
        var reader = Certificate
            .Read(pair.A.Key.ExportCertificate())
            .Judge(pair.A.Configuration.Gateway, pair.World.Time.GetUtcNow())
            .Key!;
        byte[] outer =
        [
            .. OuterMessage
                .Build(
                    "pgptunnel@pgptunnel.b.example",
                    pair.A.Configuration.Gateway,
                    "t",
                    pair.World.Time.GetUtcNow(),
                    MessageSealer
                        .Seal(
                            [Bodies.Write(header, [Encoding.ASCII.GetBytes(Message)])],
                            stranger,
                            reader,
                            pair.World.Time.GetUtcNow()
                        )
                        .Octets.ToArray()
                )
                .SelectMany(p => p.ToArray()),
        ];
        Assert.StartsWith(
            "451",
            (
                await Company.SendAsync(
                    pair.A.Gateway.InboundServer!.EndPoint,
                    "<>",
                    [$"<{pair.A.Configuration.Gateway}>"],
                    outer
                )
            )[0]
                .ToString()
        );
        Assert.Contains("sealed", await SendAsync(pair));
    }

    [Theory]
    [InlineData(174)]
    [InlineData(175)]
    [InlineData(190)]
    [InlineData(222)]
    [InlineData(223)]
    public async Task A_long_domain_without_gw_is_a_verdict_not_an_exception(int length)
    {
        await using var pair = await Pair.CreateAsync();
        var domain = "";
        while (domain.Length < length - "example".Length)
            domain += new string('d', Math.Min(50, length - "example".Length - 1 - domain.Length)) + ".";
        domain += "example";
        Assert.Equal(length, domain.Length);
        if (length <= 222)
            pair.World.Zone("example")
                .Add(
                    DomainName.Parse($"_pgptunnel.{domain}"),
                    RecordType.TXT,
                    TestWorld.Txt($"v=PGPT1; m=enforce; fp={pair.B.Key.Fingerprint}")
                );
        var reply = await SendAsync(pair, $"<x@{domain}>");
        Assert.DoesNotContain("internal error", reply);
        Assert.Contains(length <= 222 ? "451 4.7.5" : "in clear", reply);
    }

    [Theory]
    [InlineData(80, 0, "sealed")]
    [InlineData(95, 0, "451 4.7.5")] // listed no more for too long
    [InlineData(10, 5, "451 4.7.5")] // certified when it was listed no more
    public async Task A_key_that_is_listed_no_more_vouches_for_a_while_and_for_what_was_before(
        int days,
        int certifiedAfter,
        string expected
    )
    {
        await using var pair = await Pair.CreateAsync(days: 200);
        await VerifyAsync(pair, pair.B.Key.Fingerprint, "b.example");
        Assert.Contains("sealed", await SendAsync(pair));
        var next = GatewayKey.Generate(
            GatewayAlgorithm.Ed25519,
            pair.B.Configuration.Gateway,
            pair.World.Time.GetUtcNow()
        );
        var zone = pair.World.Zone("b.example");
        zone.Remove(PolicyB, RecordType.TXT); // the step with both keys is missed
        pair.World.Time.Advance(TimeSpan.FromDays(certifiedAfter));
        next = next.CertifiedBy(pair.B.Key, pair.World.Time.GetUtcNow());
        pair.World.Time.Advance(TimeSpan.FromDays(days - certifiedAfter));
        zone.SignAnew(pair.World.Time.GetUtcNow());
        var name = PolicyRecord.CertificateName(pair.B.Configuration.Gateway);
        zone.Remove(name, RecordType.OPENPGPKEY);
        zone.Add(name, RecordType.OPENPGPKEY, next.ExportCertificate());
        zone.Add(PolicyB, RecordType.TXT, TestWorld.Txt($"v=PGPT1; m=enforce; fp={next.Fingerprint}"));
        pair.World.Time.Advance(TimeSpan.FromHours(3)); // what the gateway itself has looked up meanwhile is old now
        Assert.Contains(expected, await SendAsync(pair));
    }
}
