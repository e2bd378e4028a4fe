using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public class MessageBufferTests
{
    private static readonly LargeArrays Arrays = new(4_000_000);

    /// <summary>The end is found, whatever the pieces, and whether or not the message can be kept.</summary>
    [Theory]
    [InlineData(1000, null, null)]
    [InlineData(10, null, "552 5.3.4")]
    [InlineData(1_000_000, 20_000L, "452 4.3.1")]
    public async Task The_end_is_found_in_any_pieces(int limit, long? memory, string? refusal)
    {
        var random = new System.Random(5);
        var body = memory is null
            ? "Subject: x\r\n\r\n.dot\r\n..\r\n"
            : $"Subject: x\r\n\r\n{string.Concat(Enumerable.Repeat("a line of text\r\n", 3000))}";
        var wire = Encoding.ASCII.GetBytes($"{body.Replace("\r\n.", "\r\n..")}.\r\nNOOP\r\n");
        for (var round = 0; round < 200; round++)
        {
            using var buffer = new MessageBuffer(limit, false, 0, await ShareAsync(memory), Arrays);
            var (at, ended) = (0, false);
            while (!ended)
            {
                var size = Math.Min(random.Next(1, memory is null ? 8 : 5000), wire.Length - at);
                at += buffer.AppendData(wire.AsSpan(at, size), out ended);
            }
            Assert.Equal("NOOP\r\n", Encoding.ASCII.GetString(wire, at, wire.Length - at));
            var (message, refused) = buffer.Finish();
            if (refusal is null)
                Assert.Equal(body, Encoding.ASCII.GetString(message.Span));
            else
                Assert.StartsWith(refusal, refused!.ToString());
        }
    }

    /// <summary>
    /// Sizes on both sides of the borders between pieces, where the size was not stated, stated too small, rightly, and too large.
    /// </summary>
    [Fact]
    public void Messages_larger_than_a_piece_come_out_as_they_went_in()
    {
        var random = new System.Random(6);
        foreach (
            var size in Enumerable.Range(65_520, 20).Concat(Enumerable.Range(131_056, 20)).Concat([300_000, 1_100_000])
        )
        foreach (var declared in new[] { 0, size / 2, size, 2 * size })
        {
            var body =
                string.Concat(
                        Enumerable.Range(0, size / 32 + 1).Select(i => i % 5 == 0 ? $".{i, 29}\r\n" : $"{i, 30}\r\n")
                    )[..(size - 2)]
                    .TrimEnd('\r') + "\r\n";
            var wire = Encoding.ASCII.GetBytes(
                $"{body.Replace("\r\n.", "\r\n..").Insert(0, body[0] == '.' ? "." : "")}.\r\nNOOP\r\n"
            );
            using var buffer = new MessageBuffer(10_000_000, false, declared, null, Arrays);
            var (at, ended) = (0, false);
            while (!ended)
                at += buffer.AppendData(wire.AsSpan(at, Math.Min(random.Next(1, 70_000), wire.Length - at)), out ended);
            var (message, refusal) = buffer.Finish();
            Assert.Null(refusal);
            Assert.Equal(6, wire.Length - at);
            Assert.True(message.Span.SequenceEqual(Encoding.ASCII.GetBytes(body)), $"{size} octets, {declared} stated");
        }
    }

    /// <summary>Against the definition, octet by octet, wherever in a vector a line may end.</summary>
    [Fact]
    public void A_bare_newline_is_found_wherever_it_stands()
    {
        static bool Bare(ReadOnlySpan<byte> octets)
        {
            for (var i = 0; i < octets.Length; i++)
                if (
                    (octets[i] == '\n' && (i == 0 || octets[i - 1] != '\r'))
                    || (octets[i] == '\r' && (i + 1 == octets.Length || octets[i + 1] != '\n'))
                )
                    return true;
            return false;
        }
        var random = new System.Random(7);
        for (var round = 0; round < 200_000; round++)
        {
            var text = new byte[random.Next(0, 140)];
            text.AsSpan().Fill((byte)'x');
            for (var i = 0; i + 1 < text.Length; i++)
                if (random.Next(9) == 0)
                    "\r\n"u8.CopyTo(text.AsSpan(i++));
            if (text.Length > 0 && round % 2 == 0)
                text[random.Next(text.Length)] = random.Next(2) == 0 ? (byte)'\r' : (byte)'\n';
            Assert.Equal(Bare(text), MessageContent.HasBareNewline(text));
        }
    }

    /// <summary>A share of a budget in which somebody else has begun already, so that it can end.</summary>
    private static async Task<MemoryShare?> ShareAsync(long? octets)
    {
        if (octets is null)
            return null;
        var budget = new MemoryBudget(MessageBuffer.Cost * octets.Value);
        await budget.TakeAsync(1, null, TimeSpan.Zero, CancellationToken.None);
        return await budget.TakeAsync(1, null, TimeSpan.Zero, CancellationToken.None);
    }

    [Fact]
    public async Task Who_waits_for_memory_is_served_in_order_and_one_alone_may_have_more_than_there_is()
    {
        var memory = new MemoryBudget(100);
        var first = await memory.TakeAsync(500, null, TimeSpan.Zero, CancellationToken.None);
        Assert.NotNull(first);
        Assert.Null(await memory.TakeAsync(1, null, TimeSpan.FromMilliseconds(20), CancellationToken.None));
        var (second, third) = (
            memory.TakeAsync(90, null, Wait.Bound, CancellationToken.None),
            memory.TakeAsync(20, null, Wait.Bound, CancellationToken.None)
        );
        Assert.False(second.IsCompleted);
        first.Dispose();
        var share = await second;
        Assert.False(third.IsCompleted);
        Assert.True(share!.TryHave(100));
        Assert.True(share.TryHave(1000)); // nobody else has any
        share.Dispose();
        (await third)!.Dispose();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            using var all = await memory.TakeAsync(100, null, TimeSpan.Zero, CancellationToken.None);
            using var stop = new CancellationTokenSource(20);
            await memory.TakeAsync(1, null, Wait.Bound, stop.Token);
        });
    }

    [Fact]
    public async Task Memory_is_given_back()
    {
        var memory = new MemoryBudget(1_000_000);
        for (var i = 0; i < 100; i++)
        {
            using var buffer = new MessageBuffer(
                10_000_000,
                false,
                0,
                await memory.TakeAsync(1, null, TimeSpan.Zero, CancellationToken.None),
                Arrays
            );
            buffer.AppendChunk(Encoding.ASCII.GetBytes(new string('a', 300_000)));
            Assert.Null(buffer.Finish().Refusal);
        }
        using var one = await memory.TakeAsync(1, null, TimeSpan.Zero, CancellationToken.None);
        Assert.NotNull(await memory.TakeAsync(999_999, null, TimeSpan.Zero, CancellationToken.None));
    }

    [Fact]
    public async Task One_client_leaves_a_quarter_to_those_who_hold_little()
    {
        var memory = new MemoryBudget(100);
        Task<MemoryShare?> Ask(long octets, string? holder) =>
            memory.TakeAsync(octets, holder, TimeSpan.Zero, CancellationToken.None);
        var (first, second) = (await Ask(20, "greedy"), await Ask(50, "greedy"));
        Assert.Null(await Ask(10, "greedy"));
        Assert.False(first!.TryHave(26));
        using var small = await Ask(20, "modest");
        Assert.NotNull(small);
        Assert.False(small.TryHave(31));
        using var ours = await Ask(10, null);
        Assert.NotNull(ours);
        second!.Dispose();
        Assert.True(first.TryHave(26));
        first.Dispose();
        Assert.NotNull(await Ask(45, "greedy"));
    }
}
