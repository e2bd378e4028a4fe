using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>
/// Next servers that hang up, drip, babble or say nothing: mail waits, the gateway stops when told to, and nothing is lost.
/// </summary>
public sealed class NextHopTests
{
    private const string Message = "Subject: x\r\n\r\nbody\r\n";

    [Fact]
    public async Task However_badly_the_next_server_behaves_mail_waits_for_a_better_one() =>
        await Task.WhenAll(Enum.GetValues<Conduct>().Except([Conduct.Takes]).Select(WaitsAsync));

    private static async Task WaitsAsync(Conduct conduct)
    {
        await using var lab = await Lab.CreateAsync();
        JsonNode good = "";
        await using (var bad = new PlainServer(conduct: conduct))
        {
            lab.Change(c =>
            {
                good = c["deliver"]!["relay"]!.DeepClone();
                c["deliver"]!["relay"] = bad.EndPoint.ToString();
            });
            await using var gateway = await lab.StartAsync();
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
            await Wait.UntilAsync(() => bad.Connections > 0, () => $"{conduct}: it was not tried\n{gateway.Log}");
            if (conduct is not (Conduct.Silent or Conduct.Drips)) // those have minutes, by RFC 5321 4.5.3.2
                await gateway.WaitForAsync("event=delivery-deferred");
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", Message))!.Code);
            Assert.Equal(0, await gateway.StopAsync());
            Assert.Equal(0, bad.Taken);
        }
        lab.Change(c => c["deliver"]!["relay"] = good);
        await using var again = await lab.StartAsync();
        await Wait.UntilAsync(
            () => lab.Relayed.Count >= 2,
            () => $"{conduct}: {lab.Relayed.Count} arrived\n{again.Log}"
        );
        Assert.Equal([Message, Message], lab.OpenRelayed());
        Assert.Equal(0, await again.StopAsync());
    }
}
