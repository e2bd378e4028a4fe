using System.Text;
using System.Text.RegularExpressions;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;
using static PgpTunnel.Tests.TrustActs;

namespace PgpTunnel.Tests;

/// <summary>The servers of a gateway's domain, where not all that is said of them is proved.</summary>
public sealed partial class TrustInOddPlacesTests
{
    [Theory]
    [InlineData("loop", ParcelRoute.Gateway, "451 4.4.4")]
    [InlineData("loop", ParcelRoute.World, "554 5.4.6")]
    [InlineData("signed", ParcelRoute.Gateway, "550 5.1.2")]
    [InlineData("unsigned", ParcelRoute.Gateway, "451 4.4.4")]
    [InlineData("forged", ParcelRoute.Gateway, "451 4.4.3")]
    [InlineData("signed", ParcelRoute.World, "550 5.1.2")]
    [InlineData("unsigned", ParcelRoute.World, "550 5.1.2")]
    [InlineData("forged", ParcelRoute.World, "451 4.4.3")]
    public async Task That_a_gateways_domain_does_not_exist_is_final_only_when_it_is_proved(
        string how,
        ParcelRoute route,
        string expected
    )
    {
        await using var pair = await Pair.CreateAsync();
        var zone = pair.World.AddInsecureZone("unsigned.example");
        var own = DomainName.Parse(pair.A.Configuration.Hostname);
        zone.Add(DomainName.Parse("loop.unsigned.example"), RecordType.MX, [0, 0, .. own.Wire]);
        pair.World.Zone("a.example").Add(own, RecordType.A, [127, 0, 0, 1]);
        var before = pair.World.Forge!;
        pair.World.Forge = (name, type, answer) =>
            how == "forged" && type == RecordType.MX ? new(3, [], []) : before(name, type, answer);
        var names = new NameService(pair.A.Configuration, pair.World.Time);
        var hops = new NextHops(new Settings(pair.A.Configuration, KeyRing.Load(pair.A.Configuration)), names);
        var e = await Assert.ThrowsAsync<SmtpUnavailableException>(() =>
            hops.FindAsync(
                route,
                null,
                how == "unsigned" ? "gone.unsigned.example"
                    : how == "loop" ? "loop.unsigned.example"
                    : "gone.b.example",
                new WorkBudget(),
                CancellationToken.None
            )
        );
        Assert.StartsWith(expected, e.Reply.ToString());
    }

    /// <summary>A refusal by those that were found is no refusal by all.</summary>
    [Theory]
    [InlineData("well", false)]
    [InlineData("dead", true)]
    [InlineData("unsigned", true)]
    [InlineData("none", false)]
    public async Task Exchangers_that_cannot_be_found_are_missed(string other, bool incomplete)
    {
        await using var pair = await Pair.CreateAsync();
        pair.World.AddInsecureZone("unsigned.example");
        var zone = pair.World.Zone("b.example");
        DomainName Name(string host) => DomainName.Parse(host);
        var second = Name(other == "unsigned" ? "gone.unsigned.example" : $"{other}.b.example");
        zone.Add(Name("mail.b.example"), RecordType.MX, [0, 10, .. Name("one.b.example").Wire]);
        zone.Add(Name("mail.b.example"), RecordType.MX, [0, 20, .. second.Wire]);
        zone.Add(Name("one.b.example"), RecordType.A, [127, 0, 0, 1]);
        zone.Add(Name("well.b.example"), RecordType.A, [127, 0, 0, 1]);
        var before = pair.World.Forge!;
        pair.World.Forge = (name, type, answer) =>
            name == second && other == "dead" ? new(2, [], []) : before(name, type, answer);
        var names = new NameService(pair.A.Configuration, pair.World.Time);
        var hops = new NextHops(new Settings(pair.A.Configuration, KeyRing.Load(pair.A.Configuration)), names);
        var found = await hops.FindAsync(
            ParcelRoute.Gateway,
            null,
            "mail.b.example",
            new WorkBudget(),
            CancellationToken.None
        );
        Assert.Equal(incomplete, found.Incomplete);
        Assert.Equal("one.b.example", found.Targets[0].Host);
    }
}
