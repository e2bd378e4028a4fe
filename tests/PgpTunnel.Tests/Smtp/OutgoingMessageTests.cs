using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>What is known of a message before its first octet leaves, however it is cut into parts.</summary>
public sealed class OutgoingMessageTests
{
    [Theory]
    [InlineData("Subject: s|\r\n\r\n\xE9\r\n", false)]
    [InlineData("Subject: s\r|\n\r\n\xE9\r\n", false)]
    [InlineData("Subject: s\r\n\r|\n\xE9\r\n", false)]
    [InlineData("Subject: s\r\n|\r\n\xE9\r\n", false)] // the last field before the empty line was taken out
    [InlineData("|\r\n\xE9\r\n", false)]
    [InlineData("\r\n\xE9\r\n", false)] // no header at all
    [InlineData("\r\n\r\n\xE9\r\n", false)]
    [InlineData("Received: x\r\n|\r\n\xE9\r\n", false)]
    [InlineData("Subject: \xE9|\r\n\r\nx\r\n", true)]
    [InlineData("Subject: s\r\n|To: \xE9\r\n\r\nx\r\n", true)]
    [InlineData("Subject: s\r\n\xE9", true)]
    [InlineData("Subject: s\r\nx", false)]
    public void The_header_is_before_the_first_empty_line(string parts, bool eightBit)
    {
        ReadOnlyMemory<byte>[] octets =
        [
            .. parts.Split('|').Select(p => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(p)),
        ];
        Assert.Equal(eightBit, OutgoingMessage.Of(octets).HasEightBitHeader);
    }

    [Theory]
    [InlineData("Subject: s\r\n\r\n\0\r\n", true)]
    [InlineData("\r\n\0\r\n", true)]
    [InlineData("\r\n\0\r\n\r\n", true)]
    [InlineData("\r\n", true)]
    [InlineData("Subject: \0\r\n\r\n", false)]
    [InlineData("Subject: \0", false)]
    public void A_NUL_is_refused_in_the_header_only(string message, bool carried) =>
        Assert.Equal(carried, MessageContent.Refusal(Encoding.Latin1.GetBytes(message)) is null);
}
