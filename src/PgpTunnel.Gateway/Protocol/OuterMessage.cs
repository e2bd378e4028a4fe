using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using MimeKit;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What the hops see: a multipart/encrypted message of RFC 3156 4 from gateway mailbox to gateway mailbox, pure 7-bit.</summary>
internal static class OuterMessage
{
    private const int MaxDepth = 5,
        LongestAround = 64 * 1024;

    /// <param name="token">Names this parcel in the Message-ID; unrelated to the id inside.</param>
    /// <param name="mark">Header fields to put in front.</param>
    public static OutgoingMessage Build(
        string from,
        string to,
        string token,
        DateTimeOffset date,
        ReadOnlyMemory<byte> sealedOctets,
        ReadOnlyMemory<byte> mark = default
    )
    {
        var boundary = $"pgpt-{RandomNumberGenerator.GetHexString(24, true)}";
        var domain = GatewayAddress.DomainOf(from);
        var head = new StringBuilder()
            .Append($"Date: {MessageText.Date(date)}\r\n")
            .Append(Field("From", $"<{from}>"))
            .Append(Field("To", $"<{to}>"))
            .Append("Subject: Encrypted message\r\n")
            .Append(Field("Message-ID", $"<{token}@{domain}>"))
            .Append("Auto-Submitted: auto-generated\r\nPgpTunnel: v=1\r\nMIME-Version: 1.0\r\n")
            .Append(
                $"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n boundary=\"{boundary}\"\r\n\r\n"
            )
            .Append($"--{boundary}\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n")
            .Append($"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n");
        ReadOnlyMemory<byte> before = Encoding.ASCII.GetBytes(head.ToString()),
            after = Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n");
        return OutgoingMessage.Plain(
            mark.Length + before.Length + Armor.EncodedLength(Armor.Message, sealedOctets.Length) + after.Length,
            Armor.Pieces(Armor.Message, sealedOctets).Prepend(before).Prepend(mark).Append(after)
        );
    }

    /// <summary>Lines stay within 76 characters where the addresses let them.</summary>
    private static string Field(string name, string value) =>
        name.Length + 2 + value.Length <= 76 ? $"{name}: {value}\r\n" : $"{name}:\r\n {value}\r\n";

    private static readonly string Begin = $"-----BEGIN {Armor.Message}-----",
        End = $"-----END {Armor.Message}-----";

    /// <summary>What in a message could hide an armored block, or be mistaken for one: encodings, and messages within.</summary>
    private static readonly System.Buffers.SearchValues<string> Hiding = System.Buffers.SearchValues.Create(
        ["base64", "quoted-printable", "uue", "message/"],
        StringComparison.OrdinalIgnoreCase
    );

    /// <summary>
    /// The one armored message in a received message, after transfer decoding, whatever relays made of the rest; null when there is
    /// none, or more than one.
    /// </summary>
    public static ReadOnlyMemory<byte>? FindParcel(ReadOnlyMemory<byte> message) =>
        FindPlain(message) ?? (Parse(message) is { } parsed ? FindParcel(parsed) : null);

    /// <summary>
    /// The armored message where nothing hides it, which is how gateways write it: found without parsing. Null says nothing; then the
    /// message is parsed.
    /// </summary>
    private static ReadOnlyMemory<byte>? FindPlain(ReadOnlyMemory<byte> message)
    {
        var (start, stop) = (
            message.Span.IndexOf(Encoding.ASCII.GetBytes(Begin)),
            message.Span.LastIndexOf(Encoding.ASCII.GetBytes(End)) + End.Length
        );
        if (
            start < 0
            || stop < start
            || start > LongestAround
            || message.Length - stop > LongestAround
            || Armor.Count(Armor.Message, message.Span) != 1
        )
            return null;
        var (before, after) = (
            Encoding.Latin1.GetString(message.Span[..start]),
            Encoding.Latin1.GetString(message.Span[stop..])
        );
        var nested = before.Split("multipart/").Length - 1;
        return
            before.Contains("\r\n\r\n")
            && nested < MaxDepth
            && before.AsSpan().IndexOfAny(Hiding) < 0
            && after.AsSpan().IndexOfAny(Hiding) < 0
            ? message[start..stop]
            : (ReadOnlyMemory<byte>?)null;
    }

    /// <summary>By its Content-Type, a report (RFC 6522).</summary>
    public static bool IsReport(ReadOnlyMemory<byte> message) =>
        HeaderFields.Values(message.Span, "Content-Type") is [var type]
        && ContentType.TryParse(type, out var parsed)
        && parsed.IsMimeType("multipart", "report");

    /// <summary>The Date field; <see cref="DateTimeOffset.MinValue"/> where there is none.</summary>
    public static DateTimeOffset DateOf(ReadOnlyMemory<byte> message) =>
        HeaderFields.Values(message.Span, "Date").FirstOrDefault() is { } text
        && MimeKit.Utils.DateUtils.TryParse(text, out var date)
            ? date
            : DateTimeOffset.MinValue;

    private static ReadOnlyMemory<byte>? FindParcel(MimeMessage message)
    {
        byte[]? found = null;
        foreach (var part in Leaves(message.Body, 1))
        {
            if (part.Content is null)
                continue;
            using var stream = new MemoryStream();
            part.Content.DecodeTo(stream);
            var text = stream.GetBuffer().AsSpan(0, (int)stream.Length);
            var count = Armor.Count(Armor.Message, text);
            if (count == 0)
                continue;
            if (count > 1 || found is not null)
                return null;
            found = text.ToArray();
        }
        return found is null ? (ReadOnlyMemory<byte>?)null : found;
    }

    private static IEnumerable<MimePart> Leaves(MimeEntity? entity, int depth)
    {
        if (depth > MaxDepth || entity is null)
            yield break;
        switch (entity)
        {
            case MimePart part:
                yield return part;
                break;
            case Multipart multipart:
                foreach (var leaf in multipart.SelectMany(child => Leaves(child, depth + 1)))
                    yield return leaf;
                break;
        }
    }

    /// <summary>Parses a received message; null when MimeKit finds no message in it.</summary>
    public static MimeMessage? Parse(ReadOnlyMemory<byte> octets)
    {
        using var stream = new MemoryStream(octets.ToArray(), false);
        try
        {
            return new MimeParser(
                new ParserOptions { MaxMimeDepth = MaxDepth + 3 },
                stream,
                MimeFormat.Entity
            ).ParseMessage();
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
