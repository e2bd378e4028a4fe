using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What the sender's DNS says of the signer.</summary>
public sealed partial class InboundTests
{
    [Fact]
    public async Task An_unlisted_signer_is_looked_up_again_and_waits_two_days()
    {
        await _pair.B.Gateway.Arming.CheckAsync(CancellationToken.None);
        Assert.StartsWith("250", await DeliverAsync(Header())); // a.example is cached now
        var next = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        InnerHeader Signed(TimeSpan age) =>
            Header() with
            {
                Sender = ("a.example", next.Fingerprint),
                Date = Now - age,
                Expires = Now.AddDays(7) - age,
            };
        Assert.StartsWith("451 4.7.5", await DeliverAsync(Outer(Seal(Signed(TimeSpan.Zero), next))));
        Assert.Equal(Uniform, await DeliverAsync(Outer(Seal(Signed(TimeSpan.FromHours(49)), next))));
        // Published meanwhile: found though the old answer's TTL still runs.
        _pair.World.Time.Advance(TimeSpan.FromSeconds(31)); // a domain that strangers name is asked afresh twice a minute at most
        Republish($"v=PGPT1; m=enforce; fp={_pair.A.Key.Fingerprint},{next.Fingerprint}");
        _pair
            .World.Zone("a.example")
            .Add(
                PolicyRecord.CertificateName("pgptunnel@pgptunnel.a.example"),
                RecordType.OPENPGPKEY,
                next.ExportCertificate()
            );
        Assert.StartsWith("250", await DeliverAsync(Outer(Seal(Signed(TimeSpan.Zero), next))));
    }

    /// <summary>Puts another policy, or none, in the place of A's.</summary>
    private void Republish(string? text)
    {
        var (zone, name) = (_pair.World.Zone("a.example"), DomainName.Parse("_pgptunnel.a.example"));
        zone.Remove(name, RecordType.TXT);
        if (text is not null)
            zone.Add(name, RecordType.TXT, TestWorld.Txt(text));
    }

    [Fact]
    public async Task Where_a_fingerprint_is_trusted_no_other_key_signs_in_any_class()
    {
        await _pair.B.StopAsync();
        File.WriteAllText(
            _pair.B.File,
            File.ReadAllText(_pair.B.File)
                .Replace(
                    "\"domains\"",
                    $"\"policy\": {{ \"partners\": {{ \"a.example\": {{ \"fingerprint\": "
                        + $"\"{_pair.A.Key.Fingerprint}\" }} }} }}, \"domains\""
                )
        );
        await _pair.B.StartAsync();
        Assert.StartsWith("250", await DeliverAsync(Header()));
        // Whoever took over the DNS lists a key of his own: usable, or expired so that only its signatures count.
        var thief = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        Republish($"v=PGPT1; m=enforce; fp={thief.Fingerprint}");
        _pair
            .World.Zone("a.example")
            .Add(
                PolicyRecord.CertificateName("pgptunnel@pgptunnel.a.example"),
                RecordType.OPENPGPKEY,
                thief.ExportCertificate()
            );
        _pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith(
            "451 4.7.5",
            await DeliverAsync(Outer(Seal(Header() with { Sender = ("a.example", thief.Fingerprint) }, thief)))
        );
        Republish(null);
        _pair.World.Time.Advance(TimeSpan.FromHours(1));
        Assert.StartsWith("451 4.7.5", await DeliverAsync(Header()));
        _pair.World.Time.Advance(TimeSpan.FromHours(50));
        Assert.StartsWith(
            "451 4.7.5",
            await DeliverAsync(Header() with { Date = Now.AddHours(-49), Expires = Now.AddDays(1) })
        );
        Assert.Contains("alarm=true", _pair.B.Log.ToString());
    }

    [Fact]
    public async Task A_distrusted_signer_is_refused()
    {
        Republish($"v=PGPT1; m=enforce; fp={_pair.A.Key.Fingerprint}; xfp={_pair.A.Key.Fingerprint}");
        Assert.Equal(Uniform, await DeliverAsync(Header()));
    }

    [Theory]
    [InlineData("none", "451 4.7.1", "550 5.7.1")]
    [InlineData("insecure", "451 4.7.1", "550 5.7.1")]
    [InlineData("temporary", "451 4.7.5", "451 4.7.5")]
    [InlineData("unusable", "451 4.7.5", "451 4.7.5")]
    public async Task The_senders_dns(string state, string young, string old)
    {
        var domain = $"{state}.example";
        if (state == "insecure")
            _pair.World.AddInsecureZone(domain);
        else
            _pair.World.AddZone(domain);
        if (state == "unusable")
            _pair
                .World.Zone(domain)
                .Add(DomainName.Parse($"_pgptunnel.{domain}"), RecordType.TXT, TestWorld.Txt("v=PGPT1; m=enforce"));
        var before = _pair.World.Forge;
        _pair.World.Forge = (name, type, answer) =>
            name.ToString() == "_pgptunnel.temporary.example"
                ? new(2, [], [])
                : before?.Invoke(name, type, answer) ?? answer;
        InnerHeader From(TimeSpan age) =>
            Header() with
            {
                Sender = (domain, _pair.A.Key.Fingerprint),
                Date = Now - age,
                Expires = Now.AddDays(6) - age,
            };
        Assert.StartsWith(young, await DeliverAsync(From(TimeSpan.Zero)));
        Assert.StartsWith(old, await DeliverAsync(From(TimeSpan.FromHours(49))));
    }

    [Fact]
    public async Task A_sender_whose_records_vanish_while_enforce_is_remembered_is_deferred_with_alarm()
    {
        Assert.StartsWith("250", await DeliverAsync(Header()));
        _pair.World.Time.Advance(TimeSpan.FromHours(2));
        Republish(null);
        Assert.StartsWith("451 4.7.5", await DeliverAsync(Header()));
        Assert.Contains("alarm=true", _pair.B.Log.ToString());
    }
}
