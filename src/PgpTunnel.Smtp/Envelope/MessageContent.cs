using System.Numerics;

namespace PgpTunnel.Smtp;

/// <summary>What a message must be like to be carried without anyone reading it differently.</summary>
public static class MessageContent
{
    /// <summary>The reply that refuses these octets as a message, or null.</summary>
    public static SmtpReply? Refusal(ReadOnlySpan<byte> message)
    {
        if (HasBareNewline(message))
            return new SmtpReply(
                550,
                "5.6.11",
                "the message has a CR or LF on its own; lines must end in CRLF (RFC 5321 2.3.8)"
            );
        // A first line that begins with a blank would become part of whatever field a server puts in front.
        if (message.Length > 0 && message[0] is (byte)' ' or (byte)'\t')
            return new SmtpReply(550, "5.6.0", "the message begins with a continuation line");
        // RFC 5322 2.1: NUL has no place in a header; what follows the header is left alone.
        return message[..HeaderLength(message)].Contains((byte)0)
            ? new SmtpReply(554, "5.6.0", "the message header contains a NUL")
            : null;
    }

    /// <summary>Octets of the header section with the empty line that ends it; all of the message where none does (RFC 5322 2.1).</summary>
    public static int HeaderLength(ReadOnlySpan<byte> message)
    {
        if (message.StartsWith("\r\n"u8))
            return 2;
        var end = message.IndexOf("\r\n\r\n"u8);
        return end < 0 ? message.Length : end + 4;
    }

    /// <summary>True when a CR or LF stands without the other.</summary>
    public static bool HasBareNewline(ReadOnlySpan<byte> octets)
    {
        if (octets.IsEmpty)
            return false;
        if (octets[0] == '\n' || octets[^1] == '\r')
            return true;
        // Every CR has a LF behind it and every LF a CR before it exactly where the one's places, moved by one, are the other's.
        var before = octets[..^1];
        var behind = octets[1..];
        var at = 0;
        var (cr, lf) = (new Vector<byte>((byte)'\r'), new Vector<byte>((byte)'\n'));
        for (; at + Vector<byte>.Count <= before.Length; at += Vector<byte>.Count)
            if (Vector.Equals(new Vector<byte>(before[at..]), cr) != Vector.Equals(new Vector<byte>(behind[at..]), lf))
                return true;
        for (; at < before.Length; at++)
            if ((before[at] == '\r') != (behind[at] == '\n'))
                return true;
        return false;
    }
}
