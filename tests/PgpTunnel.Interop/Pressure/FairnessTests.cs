using System.Net;
using System.Text.Json.Nodes;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>
/// Dead partners do not delay living ones:
/// <code>  test -> gateway A (process) -> MX of 20 live domains (127.0.61.n:25) and of dead ones (127.0.62.n:25), which accept and say
/// nothing  </code>
/// </summary>
public sealed class FairnessTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(30)]
    public async Task Dead_destinations_do_not_delay_twenty_live_ones(int dead)
    {
        Need.Root(); // port 25
        await using var lab = await Lab.CreateAsync();
        var (live, silent) = (new List<PlainServer>(), new List<PlainServer>());
        for (var i = 1; i <= 20 + dead; i++)
        {
            var (alive, number) = (i <= 20, i <= 20 ? i : i - 20);
            var address = IPAddress.Parse($"127.0.6{(alive ? 1 : 2)}.{number}");
            var name = $"{(alive ? "live" : "dead")}{number}.example";
            lab.Publish("example", name, RecordType.MX, [0, 10, .. DomainName.Parse($"mx.{name}").Wire]);
            lab.Publish("example", $"mx.{name}", RecordType.A, address.GetAddressBytes());
            (alive ? live : silent).Add(
                new PlainServer(new IPEndPoint(address, 25), alive ? Conduct.Takes : Conduct.Silent)
            );
        }
        lab.Change(c => c["deliver"]!["relay"] = null);
        await using var gateway = await lab.StartAsync();
        var server = Lab.Outbound(gateway);
        // The dead first, ten messages each, so that they fill whatever places there are.
        foreach (var n in Enumerable.Range(1, dead))
        foreach (var _ in Enumerable.Range(0, 10))
            Assert.Equal(
                250,
                (await Lab.SendAsync(server, $"<x@dead{n}.example>", "Subject: x\r\n\r\nbody\r\n"))!.Code
            );
        await Task.Delay(500);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var n in Enumerable.Range(1, 20))
        foreach (var _ in Enumerable.Range(0, 5))
            Assert.Equal(
                250,
                (await Lab.SendAsync(server, $"<x@live{n}.example>", "Subject: x\r\n\r\nbody\r\n"))!.Code
            );
        await Wait.UntilAsync(
            () => live.TrueForAll(l => l.Taken == 5),
            () => $"{live.Sum(l => l.Taken)} of 100 within {clock.Elapsed}\n{gateway.Log}"
        );
        foreach (var part in live.Concat(silent))
            await part.DisposeAsync();
    }
}
