using System.Net;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed class ConfigurationTests : IDisposable
{
    private readonly string _file = Path.Combine(
        Directory.CreateTempSubdirectory("pgptunnel-config-").FullName,
        "pgptunnel.json"
    );

    private GatewayConfiguration Read(string json)
    {
        File.WriteAllText(_file, json);
        return ConfigurationReader.Read(_file);
    }

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_file)!, true);

    [Fact]
    public void The_domain_alone_is_enough()
    {
        var c = Read("""{ "domains": ["A.Example."] }""");
        Assert.Equal(["a.example"], c.Domains);
        Assert.Equal(("pgptunnel@pgptunnel.a.example", "postmaster@a.example"), (c.Gateway, c.Postmaster.ToString()));
        Assert.Equal(
            (IPEndPoint.Parse("127.0.0.1:10025"), IPEndPoint.Parse("0.0.0.0:25")),
            (c.Listen.Outbound!.Address, c.Listen.Inbound!.Address)
        );
        Assert.Equal(
            ("127.0.0.1", 10026, null as Endpoint),
            (c.Deliver.Local.Host, c.Deliver.Local.Port, c.Deliver.Relay)
        );
        Assert.Equal(
            (LocalPolicy.Prefer, 52428800L, 268435456L),
            (c.Policy.Default, c.Limits.MessageSize, c.Limits.Memory)
        );
        Assert.Equal(Path.Combine(Path.GetDirectoryName(_file)!, "spool.db"), c.SpoolFile);
        Assert.Equal(TimeSpan.FromDays(5), c.Retry.GiveUp);
        Assert.NotNull(c.Listen.Inbound.Tls);
    }

    [Fact]
    public void The_whole_of_the_documented_form_is_read()
    {
        File.WriteAllText(Path.Combine(Path.GetDirectoryName(_file)!, "pw"), "secret");
        var c = Read(
            """
            {
              "domains": ["a.example", "a2.example"], // comments are allowed
              "gateway": "seal@gw.a.example", "hostname": "gw.a.example", "postmaster": "pm@a.example",
              "listen": { "outbound": { "address": "[::1]:10025", "networks": ["192.0.2.0/24"],
                "senders": ["a2.example"], "bareNewline": "normalise", "tls": null },
                          "inbound": null },
              "deliver": { "local": { "host": "mail.a.example:26", "tls": "verify", "login": { "user": "u", "passwordFile": "pw" },
                "mark": { "X-Opened": "yes" } },
                           "relay": "relay.a.example" },
              "dns": { "resolvers": ["127.0.0.1", "[::1]:5353"], "trustAnchors": "root.ds" },
              "keys": { "directory": "k", "passphraseFile": "pw" },
              "spool": "sqlite:/tmp/x.db",
              "policy": { "default": "require", "partners": { "B.example": { "policy": "require-verified",
                "fingerprint": "AAAA AAAA AAAA AAAA AAAA AAAA AAAA AAAA AAAA AAAA", "certificate": null, "gateway": null } } },
              "limits": { "messageSize": 1000000, "memory": 4000000, "connections": 5, "connectionsPerAddress": 2 },
              "retry": { "first": "00:00:10", "longest": "00:10:00", "giveUp": "2.00:00:00", "delayNotice": "01:00:00" },
              "trace": { "token": "t", "authenticationResults": true },
            }
            """
        );
        Assert.Null(c.Listen.Inbound);
        Assert.True(c.Listen.Outbound!.Normalise);
        Assert.Equal(["a2.example"], c.Listen.Outbound.Senders);
        Assert.Equal(
            ("mail.a.example", 26, TlsMode.Verify, "u"),
            (c.Deliver.Local.Host, c.Deliver.Local.Port, c.Deliver.Local.Tls, c.Deliver.Local.User)
        );
        Assert.Equal("X-Opened", Assert.Single(c.Deliver.Local.Mark).Key);
        Assert.Equal(("relay.a.example", 25), (c.Deliver.Relay!.Host, c.Deliver.Relay.Port));
        Assert.Equal([IPEndPoint.Parse("127.0.0.1:53"), IPEndPoint.Parse("[::1]:5353")], c.Dns.Resolvers);
        Assert.Equal(LocalPolicy.RequireVerified, c.PolicyFor("b.example"));
        Assert.Equal([new string('a', 40)], c.Policy.Partners["b.example"].Fingerprints);
        Assert.Equal((5, "t", true), (c.Limits.Connections, c.Trace.Token, c.Trace.AuthenticationResults));
    }

    /// <summary>Of what fits a domain, the most exact entry that says something.</summary>
    [Theory]
    [InlineData("x.group.example", LocalPolicy.Require, true, true)]
    [InlineData("deep.down.group.example", LocalPolicy.Require, true, true)]
    [InlineData("group.example", LocalPolicy.Prefer, false, false)] // it is not below itself
    [InlineData("xgroup.example", LocalPolicy.Prefer, false, false)]
    [InlineData("example", LocalPolicy.Prefer, false, false)]
    [InlineData("y.sub.group.example", LocalPolicy.Never, true, true)]
    [InlineData("sub.group.example", LocalPolicy.Require, true, true)]
    [InlineData("own.group.example", LocalPolicy.RequireVerified, false, true)]
    [InlineData("known.group.example", LocalPolicy.Require, true, true)] // has a fingerprint, and says nothing else
    [InlineData("z.xn--bcher-kva.example", LocalPolicy.Never, false, true)]
    public void A_group_is_all_domains_below_one(string domain, LocalPolicy policy, bool echo, bool named)
    {
        var c = Read(
            """
            { "domains": ["a.example"], "policy": { "partners": {
                "own.group.example": { "policy": "require-verified", "echo": false },
                "*.Group.example": { "policy": "require", "echo": true },
                "known.group.example": { "fingerprint": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
                "*.sub.group.example": { "policy": "never" },
                "*.bücher.example": { "policy": "never" } } } }
            """
        );
        Assert.Equal((policy, echo, named), (c.PolicyFor(domain), c.Policy.AllowsEcho(domain), c.Policy.Names(domain)));
    }

    [Theory]
    [InlineData("""{ "domains": ["a.example"], "policy": { "partners": { "*": {} } } }""", "policy.partners.*")]
    [InlineData("""{ "domains": ["a.example"], "policy": { "partners": { "*.": {} } } }""", "policy.partners.*.")]
    [InlineData("""{ "domains": ["a.example"], "policy": { "partners": { "a.*.b": {} } } }""", "policy.partners.a.*.b")]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "*.b.example": {}, "*.B.example": {} } } }""",
        "stands twice"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "*.b.example": { "gateway": "x@b.example" } } } }""",
        "belongs to one domain"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "*.b.example": { "fingerprint": "aa" } } } }""",
        "belongs to one domain"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "*.b.example": { "polcy": "never" } } } }""",
        "did you mean"
    )]
    public void What_is_no_group_is_refused(string json, string mistake) =>
        Assert.Contains(mistake, Assert.Throws<ConfigurationException>(() => Read(json)).Message);

    [Theory]
    [InlineData("""{ }""", "domains")]
    [InlineData("""{ "domains": ["a b"] }""", "domains: 'a b'")]
    [InlineData("""{ "domains": ["a.example"], "gatway": "x" }""", "gatway: unknown key; did you mean gateway?")]
    [InlineData("""{ "domains": ["a.example"], "deliver": { "locl": "x" } }""", "did you mean deliver.local?")]
    [InlineData("""{ "domains": ["a.example"], "gateway": "nobody" }""", "gateway: 'nobody'")]
    [InlineData(
        """{ "domains": ["a.example"], "listen": { "outbound": { "address": "127.0.0.1" } } }""",
        "listen.outbound.address"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "listen": { "outbound": { "networks": ["everyone"] } } }""",
        "listen.outbound.networks"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "listen": { "outbound": { "senders": ["b.example"] } } }""",
        "listen.outbound.senders"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "listen": { "inbound": { "tls": { "certificate": "nope.pem", "key": "nope.key" } } } }""",
        "nope.pem does not exist"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "Domains": ["b.example"] }""",
        "domains: stands twice, as domains and Domains"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "default": "prefer" }, "Policy": { "default": "require" } }""",
        "policy: stands twice, as policy and Policy"
    )]
    [InlineData("""{ "domains": ["a.example"], "domains": ["b.example"] }""", "Duplicate property 'domains'")]
    [InlineData("""{ "domains": ["a.example"], "deliver": { "local": "host:notaport" } }""", "deliver.local")]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "relay": { "host": "r:25", "tls": "maybe" } } }""",
        "deliver.relay.tls: 'maybe' is none of none, opportunistic, require, verify"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "relay": { "host": "r:25", "login": { "user": "u" } } } }""",
        "deliver.relay.login.passwordFile"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "relay": { "host": "r:25", "without": ["BDAT"] } } }""",
        "deliver.relay.without: 'BDAT' is none of"
    )]
    [InlineData("""{ "domains": ["a.example"], "dns": { "resolvers": ["dns.example"] } }""", "dns.resolvers")]
    [InlineData("""{ "domains": ["a.example"], "dns": { "resolvers": [] } }""", "dns.resolvers")]
    [InlineData("""{ "domains": ["a.example"], "spool": "postgres:x" }""", "spool: must be sqlite:")]
    [InlineData("""{ "domains": ["a.example"], "policy": { "default": "yes" } }""", "policy.default")]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "b.example": { "certificate": "nope" } } } }""",
        "policy.partners.b.example.certificate"
    )]
    [InlineData("""{ "domains": ["a.example"], "limits": { "messageSize": 1 } }""", "limits.messageSize")]
    [InlineData("""{ "domains": ["a.example"], "retry": { "first": "soon" } }""", "retry.first: 'soon'")]
    [InlineData(
        """{ "domains": ["a.example"], "trace": { "authenticationResults": "yes" } }""",
        "trace.authenticationResults: must be true or false"
    )]
    [InlineData("""{ "domains": "a.example" }""", "domains: must be a list of strings")]
    [InlineData("""[ ]""", "must be one object")]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "x*.example": { "policy": "require" } } } }""",
        "policy.partners.x*.example: is not a domain, nor *. before one"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "policy": { "partners": { "b.example": {}, "B.Example.": {} } } }""",
        "stands twice"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "gateway": "gate@a.example" }""",
        "gateway: a.example is one of domains"
    )]
    [InlineData("""{ "domains": ["a.example"], "listen": { "outbound": null, "inbound": null } }""", "nothing to do")]
    [InlineData(
        """
            { "domains": ["a.example"], "listen": { "outbound": { "address": "127.0.0.1:25" },
              "inbound": { "address": "127.0.0.1:25" } } }
            """,
        "the same address"
    )]
    [InlineData("""{ "domains": ["a.example"], "retry": { "first": "02:00:00" } }""", "retry.first: is longer")]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "local": "127.0.0.1" } }""",
        "deliver.local: 127.0.0.1:25 is listen.inbound"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "local": "localhost:10025" } }""",
        "deliver.local: localhost:10025 is listen.outbound"
    )]
    [InlineData(
        """{ "domains": ["a.example"], "deliver": { "relay": { "host": "127.0.0.1:25" } } }""",
        "deliver.relay: 127.0.0.1:25 is listen.inbound"
    )]
    public void Mistakes_are_named_with_their_key(string json, string expected) =>
        Assert.Contains(expected, Assert.Throws<ConfigurationException>(() => Read(json)).Message);

    [Fact]
    public void Another_server_at_our_port_is_none_of_ours()
    {
        File.WriteAllText(
            _file,
            """
            { "domains": ["a.example"], "listen": { "inbound": { "address": "192.0.2.1:25" } }, "deliver": { "local": "127.0.0.1:25" } }
            """
        );
        Assert.Equal(25, ConfigurationReader.Read(_file).Deliver.Local.Port);
    }

    [Fact]
    public void The_environment_overrides_the_file()
    {
        try
        {
            Environment.SetEnvironmentVariable("PGPTUNNEL__DELIVER__LOCAL", "192.0.2.7:26");
            Environment.SetEnvironmentVariable("PGPTUNNEL__LIMITS__CONNECTIONS", "7");
            Environment.SetEnvironmentVariable("PGPTUNNEL__POLICY__DEFAULT", "require");
            var c = Read("""{ "domains": ["a.example"], "deliver": { "local": "127.0.0.1:1" } }""");
            Assert.Equal(
                ("192.0.2.7", 26, 7, LocalPolicy.Require),
                (c.Deliver.Local.Host, c.Deliver.Local.Port, c.Limits.Connections, c.Policy.Default)
            );
        }
        finally
        {
            foreach (var name in new[] { "DELIVER__LOCAL", "LIMITS__CONNECTIONS", "POLICY__DEFAULT" })
                Environment.SetEnvironmentVariable($"PGPTUNNEL__{name}", null);
        }
    }
}
