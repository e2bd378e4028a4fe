using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>How long a uniform refusal takes tells nothing of the step that refused (PROTOCOL.md 7).</summary>
public sealed class RefusalTimingTests(ITestOutputHelper output) : InboundSetting
{
    /// <summary>Of each kind. The area is then known to 0.02 (one standard error), so one of 0.6 is no accident.</summary>
    private const int Samples = 400;

    private const int Connections = 12;

    [Fact]
    public async Task The_step_that_refused_cannot_be_told_by_the_time_of_the_reply()
    {
        var good = Seal(Header());
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        byte[] Flipped(Index at) => [.. good[..at], (byte)(good[at] ^ 1), .. good[(at.GetOffset(good.Length) + 1)..]];
        var kinds = new Dictionary<string, byte[]>
        {
            ["shape"] = Outer([1, 2, 3]),
            ["session key"] = Outer(Flipped(60)),
            ["integrity"] = Outer(Flipped(^30)),
            ["header"] = Outer(Seal("no header block at all"u8.ToArray())),
            ["signature"] = Outer(Seal(Header(), stranger)),
        };
        Assert.StartsWith("250", await DeliverAsync(Header())); // a.example is cached from now on: DNS has a time of its own
        foreach (var outer in kinds.Values)
            Assert.Equal(Uniform, await DeliverAsync(outer));

        var random = new Random(1);
        var order = kinds.Keys.SelectMany(kind => Enumerable.Repeat(kind, Samples)).ToArray();
        random.Shuffle(order);
        var times = order.Zip(new TimeSpan[order.Length]).ToArray();
        await Parallel.ForAsync(
            0,
            order.Length,
            new ParallelOptions { MaxDegreeOfParallelism = Connections },
            async (i, _) => times[i] = (order[i], await TimeAsync(kinds[order[i]]))
        );
        var byKind = times.ToLookup(t => t.First, t => t.Second);
        foreach (
            var (one, other) in kinds.Keys.SelectMany(a =>
                kinds.Keys.Where(b => string.CompareOrdinal(a, b) < 0).Select(b => (a, b))
            )
        )
        {
            var area = Area([.. byKind[one]], [.. byKind[other]]);
            output.WriteLine($"{one} and {other}: {area:0.000}");
            Assert.True(Math.Abs(area - 0.5) <= 0.1, $"{one} and {other} can be told apart: AUC {area:0.000}");
        }
    }

    /// <summary>The probability that one of the first takes longer than one of the second: the area under the ROC curve.</summary>
    private static double Area(TimeSpan[] first, TimeSpan[] second) =>
        first.Average(a =>
            second.Average(b =>
                a > b ? 1.0
                : a == b ? 0.5
                : 0
            )
        );

    /// <summary>From the end of the data to the reply.</summary>
    private async Task<TimeSpan> TimeAsync(byte[] outer)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(_pair.B.Gateway.InboundServer!.EndPoint);
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.ASCII);
        async Task ExpectAsync(string code)
        {
            string line;
            do line = await reader.ReadLineAsync().WaitAsync(Wait.Bound) ?? throw new IOException("closed");
            while (line[3] == '-');
            Assert.StartsWith(code, line);
        }
        await ExpectAsync("220");
        foreach (
            var (command, code) in new[]
            {
                ("EHLO hop.example", "250"),
                ("MAIL FROM:<pgptunnel+0@pgptunnel.a.example>", "250"),
                ("RCPT TO:<pgptunnel@pgptunnel.b.example>", "250"),
                ("DATA", "354"),
            }
        )
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes(command + "\r\n"));
            await ExpectAsync(code);
        }
        await stream.WriteAsync((byte[])[.. outer, .. ".\r\n"u8]);
        var began = Stopwatch.GetTimestamp();
        await ExpectAsync("550");
        var took = Stopwatch.GetElapsedTime(began);
        await stream.WriteAsync("QUIT\r\n"u8.ToArray()); // else it would not know yet that this connection is over, and count it
        await ExpectAsync("221");
        return took;
    }
}
