using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed class GatewayAddressTests
{
    [Theory]
    [InlineData("pgptunnel@gw.example", "pgptunnel@gw.example", "")]
    [InlineData("pgptunnel@gw.example", "PgpTunnel@GW.example", "")]
    [InlineData("pgptunnel@gw.example", "pgptunnel+abc@gw.example", "abc")]
    [InlineData("pgptunnel@gw.example", "pgptunnel+a+b@gw.example", "a+b")]
    [InlineData("pgptunnel@gw.example", "pgptunnel+@gw.example", null)]
    [InlineData("pgptunnel@gw.example", "pgptunnelx@gw.example", null)]
    [InlineData("pgptunnel@gw.example", "pgp@gw.example", null)]
    [InlineData("pgptunnel@gw.example", "pgptunnel@other.example", null)]
    [InlineData("in+gw@gw.example", "in+gw@gw.example", "")]
    [InlineData("in+gw@gw.example", "in+gw+abc@gw.example", "abc")]
    [InlineData("in+gw@gw.example", "in+abc@gw.example", null)]
    [InlineData("in+gw@gw.example", "in@gw.example", null)]
    public void A_mailbox_is_the_gateways_with_or_without_a_token(string gateway, string mailbox, string? token)
    {
        Assert.True(Mailbox.TryParse(mailbox, false, out var parsed));
        Assert.Equal(token is not null, GatewayAddress.Matches(gateway, parsed, out var found));
        Assert.Equal(token ?? "", found);
        if (token is { Length: > 0 })
            Assert.Equal(mailbox, GatewayAddress.WithToken(gateway, token).ToString());
    }
}
