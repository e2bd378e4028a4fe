using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>A gateway that starts while clients knock already, as after every restart of a busy one.</summary>
public sealed class StartUnderLoadTests
{
    private const int Clients = 8;

    [Fact]
    public async Task Nobody_is_answered_before_it_is_ready_nothing_is_put_off_and_names_are_not_asked_once_a_client()
    {
        await using var pair = await Pair.CreateAsync();
        await pair.A.StopAsync();
        var endPoint = new IPEndPoint(IPAddress.Loopback, FreePort());
        var text = await File.ReadAllTextAsync(pair.A.File);
        await File.WriteAllTextAsync(
            pair.A.File,
            text.Replace(
                "\"outbound\": { \"address\": \"127.0.0.1:0\" }",
                $"\"outbound\": {{ \"address\": \"{endPoint}\" }}"
            )
        );
        var asked = new ConcurrentBag<(DomainName Name, ushort Type)>();
        pair.World.Forge = (name, type, answer) =>
        {
            asked.Add((name, type));
            Thread.Sleep(10); // a resolver that has to ask others: the clients come together
            return answer;
        };

        var ready = false;
        using var limit = new CancellationTokenSource(Wait.Bound);
        var clients = Enumerable
            .Range(0, Clients)
            .Select(async i =>
            {
                Assert.True(
                    await GreetedAsync(endPoint, () => Volatile.Read(ref ready), limit.Token),
                    "a client was greeted before the gateway was ready"
                );
                return (
                    await Company.SendAsync(
                        endPoint,
                        "<alice@a.example>",
                        [$"<bob{i}@b.example>"],
                        "Subject: s\r\n\r\nx\r\n"u8.ToArray()
                    )
                )[0]
                    .ToString();
            })
            .ToList();
        await using var gateway = await Gateway.StartAsync(
            ConfigurationReader.Read(pair.A.File),
            new EventLog(pair.A.Log, false, pair.World.Time),
            pair.World.Time,
            _ => Volatile.Write(ref ready, true)
        );
        Assert.All(await Task.WhenAll(clients), reply => Assert.StartsWith("250 2.0.0", reply));
        await pair.B.WaitAsync(Clients);

        var most = asked.Where(a => a.Name.IsWithin(DomainName.Parse("b.example"))).CountBy(a => a).MaxBy(a => a.Value);
        Assert.True(most.Value < Clients / 2, $"{most.Key} was asked {most.Value} times");
    }

    /// <summary>Knocks until somebody is there, and says whether <paramref name="ready"/> held at the greeting.</summary>
    private static async Task<bool> GreetedAsync(IPEndPoint server, Func<bool> ready, CancellationToken cancel)
    {
        while (true)
        {
            using var client = new TcpClient();
            try
            {
                await client.ConnectAsync(server, cancel);
            }
            catch (SocketException)
            {
                await Task.Delay(1, cancel);
                continue;
            }
            await client.GetStream().ReadExactlyAsync(new byte[3], cancel);
            return ready();
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
