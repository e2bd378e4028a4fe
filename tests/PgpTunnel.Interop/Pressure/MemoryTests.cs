using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace PgpTunnel.Interop;

/// <summary>
/// A hundred sessions with 25 MB each at once, against the default memory budget:
/// <code>  100 clients -> gateway A (process) -> relay that reads and forgets  </code>
/// </summary>
public sealed class MemoryTests
{
    private const string Line = "a line of sixty-two octets, as people write them to each other\r\n";

    private const int Sessions = 100,
        Size = 25 * 1024 * 1024;
    private const long Allowance = 150L * 1024 * 1024;

    [Fact]
    public async Task A_hundred_sessions_of_25_MB_stay_within_the_budget_and_150_MB()
    {
        await using var lab = await Lab.CreateAsync();
        await using var relay = new PlainServer();
        lab.Change(c =>
        {
            c["deliver"]!["relay"] = relay.EndPoint.ToString();
            c["limits"] = new JsonObject { ["connections"] = 200 };
        });
        await using var gateway = await lab.StartAsync();
        var line = Encoding.ASCII.GetBytes(new string('x', 76) + "\r\n");
        var chunk = Enumerable.Repeat(line, 800).SelectMany(l => l).ToArray();
        var again = 0;
        await Task.WhenAll(
            Enumerable
                .Range(0, Sessions)
                .Select(n =>
                    Task.Run(async () =>
                    {
                        while (!await SendAsync(Lab.Outbound(gateway), n, chunk))
                        {
                            Interlocked.Increment(ref again);
                            await Task.Delay(500);
                        }
                    })
                )
        );
        var peak = Peak(gateway.Id);
        Assert.True(
            peak < 268435456 + Allowance,
            $"{peak / 1048576} MB at most, {again} times told to come again\n{gateway.Log}"
        );
        await Wait.UntilAsync(
            () => relay.Taken == Sessions,
            () => $"{relay.Taken} of {Sessions} relayed\n{gateway.Log}"
        );
        peak = Peak(gateway.Id);
        Assert.True(peak < 268435456 + Allowance, $"{peak / 1048576} MB at most, while delivering");
        TestContext.Current.SendDiagnosticMessage($"peak {peak / 1048576} MB, {again} times told to come again");
    }

    /// <summary>What strangers send and nobody keeps: parcels that do not open, and small ones in much white space.</summary>
    [Fact]
    public async Task Two_gigabytes_of_junk_stay_within_them_too()
    {
        await using var lab = await Lab.CreateAsync();
        lab.Change(c => c["limits"] = new JsonObject { ["connections"] = 200, ["connectionsPerAddress"] = 100 });
        await using var gateway = await lab.StartAsync();
        var large = lab.SealForA($"Subject: x\r\n\r\n{string.Concat(Enumerable.Repeat(Line, 20_000_000 / 64))}");
        var middle = large.Length / 2;
        large[middle] = (byte)(large[middle] == 'A' ? 'B' : 'A');
        var small = Encoding
            .ASCII.GetString(lab.SealForA("Subject: x\r\n\r\nsmall\r\n"))
            .Replace("\r\n-----END", $"{string.Concat(Enumerable.Repeat("\r\n", 4_000_000))}\r\n-----END");
        var answers = new System.Collections.Concurrent.ConcurrentBag<string>();
        var progress = Environment.TickCount64; // when the last one got its verdict: the others wait for room until then
        await Parallel.ForAsync(
            0,
            100,
            new ParallelOptions { MaxDegreeOfParallelism = 10 },
            async (n, cancel) =>
            {
                var reply = "";
                for (
                    ;
                    !reply.StartsWith('5')
                        && !reply.StartsWith('2')
                        && Environment.TickCount64 - Volatile.Read(ref progress) < Wait.Bound.TotalMilliseconds;
                    await Task.Delay(50, cancel)
                )
                    reply =
                        (
                            await Lab.HandInAsync(
                                Lab.Inbound(gateway),
                                n % 4 > 0 ? large : Encoding.ASCII.GetBytes(small)
                            )
                        )?.ToString() ?? "hung up";
                answers.Add(reply);
                Volatile.Write(ref progress, Environment.TickCount64);
            }
        );
        var peak = Peak(gateway.Id);
        Assert.True(
            peak < 268435456 + Allowance,
            $"{peak / 1048576} MB at most\n{string.Join("\n", answers.Distinct())}\n{gateway.Log}"
        );
        Assert.Equal(
            (75, 25),
            (
                answers.Count(a => a.StartsWith("550 5.7.5", StringComparison.Ordinal)),
                answers.Count(a => a.StartsWith("250 2.0.0", StringComparison.Ordinal))
            )
        );
        TestContext.Current.SendDiagnosticMessage(
            $"peak {peak / 1048576} MB: "
                + string.Join(
                    ", ",
                    answers
                        .GroupBy(a => a.Split('\n')[0][..Math.Min(9, a.Length)])
                        .Select(g => $"{g.Count()} times {g.Key}")
                )
        );
    }

    private static long Peak(int pid) =>
        long.Parse(
            File.ReadLines($"/proc/{pid}/status")
                .First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal))
                .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture
        ) * 1024;

    private static async Task<bool> SendAsync(IPEndPoint server, int number, byte[] chunk)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server);
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.ASCII);
        async Task<string> ReplyAsync()
        {
            while (true)
            {
                var line = await reader.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(3)) ?? "";
                if (line.Length < 4 || line[3] != '-')
                    return line;
            }
        }
        await ReplyAsync();
        foreach (
            var command in new[]
            {
                "EHLO client.example",
                $"MAIL FROM:<alice{number}@a.example> SIZE={Size}",
                "RCPT TO:<bob@b.example>",
                "DATA",
            }
        )
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes(command + "\r\n"));
            var reply = await ReplyAsync();
            if (reply.StartsWith("452", StringComparison.Ordinal))
                return false;
            Assert.Matches("^(250|354)", reply);
        }
        await stream.WriteAsync("Subject: large\r\n\r\n"u8.ToArray());
        for (var sent = 0; sent + chunk.Length < Size; sent += chunk.Length)
            await stream.WriteAsync(chunk);
        await stream.WriteAsync(".\r\n"u8.ToArray());
        var answer = await ReplyAsync();
        Assert.Matches("^(250|452)", answer);
        return answer.StartsWith("250", StringComparison.Ordinal);
    }
}
