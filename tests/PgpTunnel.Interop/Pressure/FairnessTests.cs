using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>
/// Dead partners do not delay living ones:
/// <code>  test -> gateway A (process) -> MX of 20 live domains (127.0.61.n:25) and of dead ones (127.0.62.n:25), which accept and say nothing  </code>
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
        using var stop = new CancellationTokenSource();
        var (taken, serving) = (new ConcurrentDictionary<string, int>(), new List<Task>());
        for (var i = 1; i <= 20 + dead; i++)
        {
            var (alive, number) = (i <= 20, i <= 20 ? i : i - 20);
            var address = IPAddress.Parse($"127.0.6{(alive ? 1 : 2)}.{number}");
            var name = $"{(alive ? "live" : "dead")}{number}.example";
            lab.Publish("example", name, RecordType.MX, [0, 10, .. DomainName.Parse($"mx.{name}").Wire]);
            lab.Publish("example", $"mx.{name}", RecordType.A, address.GetAddressBytes());
            var listener = new TcpListener(address, 25);
            listener.Start();
            serving.Add(ServeAsync(listener, alive, name, taken, stop.Token));
        }
        lab.Change(c => c["deliver"]!["relay"] = null);
        await using var gateway = await lab.StartAsync();
        var server = Lab.Outbound(gateway);
        // The dead first, ten messages each, so that they fill whatever places there are.
        foreach (var n in Enumerable.Range(1, dead))
            foreach (var _ in Enumerable.Range(0, 10))
                Assert.Equal(250, (await Lab.SendAsync(server, $"<x@dead{n}.example>", "Subject: x\r\n\r\nbody\r\n"))!.Code);
        await Task.Delay(500);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var n in Enumerable.Range(1, 20))
            foreach (var _ in Enumerable.Range(0, 5))
                Assert.Equal(250, (await Lab.SendAsync(server, $"<x@live{n}.example>", "Subject: x\r\n\r\nbody\r\n"))!.Code);
        await Wait.UntilAsync(() => taken.Values.Sum() >= 100, () => $"{taken.Values.Sum()} of 100 within {clock.Elapsed}\n{gateway.Log}", 15);
        Assert.Equal(20, taken.Count);
        await stop.CancelAsync();
        await Task.WhenAll(serving);
    }

    private static async Task ServeAsync(TcpListener listener, bool alive, string name, ConcurrentDictionary<string, int> taken, CancellationToken stop)
    {
        var held = new List<TcpClient>();
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync(stop);
                held.Add(client);
                if (alive)
                    _ = TakeAsync(client, () => taken.AddOrUpdate(name, 1, (_, n) => n + 1), stop);
            }
        }
        catch (OperationCanceledException)
        {
            listener.Stop();
            held.ForEach(c => c.Dispose());
        }
    }

    private static async Task TakeAsync(TcpClient client, Action taken, CancellationToken stop)
    {
        try
        {
            var stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.Latin1);
            async Task SayAsync(string line) => await stream.WriteAsync(Encoding.ASCII.GetBytes(line + "\r\n"), stop);
            await SayAsync("220 live");
            while (await reader.ReadLineAsync(stop) is { } line)
            {
                await SayAsync(line == "DATA" ? "354 go on" : "250 ok");
                while (line == "DATA" && await reader.ReadLineAsync(stop) is { } data && data != ".")
                {
                }
                if (line != "DATA")
                    continue;
                taken();
                await SayAsync("250 taken");
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException)
        {
        }
    }
}
