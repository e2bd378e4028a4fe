using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public class MessageBufferTests
{
    /// <summary>The end is found, whatever the pieces, and whether or not the message can be kept.</summary>
    [Theory]
    [InlineData(1000, null, null)]
    [InlineData(10, null, "552 5.3.4")]
    [InlineData(1_000_000, 20_000L, "452 4.3.1")]
    public void The_end_is_found_in_any_pieces(int limit, long? memory, string? refusal)
    {
        var random = new System.Random(5);
        var body = memory is null ? "Subject: x\r\n\r\n.dot\r\n..\r\n" : $"Subject: x\r\n\r\n{string.Concat(Enumerable.Repeat("a line of text\r\n", 3000))}";
        var wire = Encoding.ASCII.GetBytes($"{body.Replace("\r\n.", "\r\n..")}.\r\nNOOP\r\n");
        for (var round = 0; round < 200; round++)
        {
            using var buffer = new MessageBuffer(limit, false, memory is { } m ? new MemoryBudget(m) : null);
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

    [Fact]
    public void Memory_is_given_back()
    {
        var memory = new MemoryBudget(1_000_000);
        for (var i = 0; i < 100; i++)
        {
            using var buffer = new MessageBuffer(10_000_000, false, memory);
            buffer.AppendChunk(Encoding.ASCII.GetBytes(new string('a', 300_000)));
            Assert.Null(buffer.Finish().Refusal);
        }
        Assert.True(memory.TryTake(1_000_000));
    }
}
