using System.Globalization;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>A parcel's inside does not follow PROTOCOL.md 5; the message says where, for the log only.</summary>
internal sealed class MalformedParcelException(string message) : Exception(message);

/// <summary>
/// The header block inside a parcel (PROTOCOL.md 5): identity, lifetime, the two gateways, and the SMTP envelope, in front of the
/// message itself.
/// </summary>
internal sealed partial record InnerHeader
{
    public const int MaxRecipients = 100;

    /// <summary>Octets of a reverse-path or forward-path with its parameters that a line can hold.</summary>
    public const int LongestPath = LongestLine - 19; // behind "PgpTunnel-Rcpt-To: "

    private const int LongestLine = 1000,
        LongestBlock = 256 * 1024;
    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss'Z'",
        Requested = "requested";

    public ParcelKind Kind { get; init; } = ParcelKind.Message;
    public required string Id { get; init; }
    public required DateTimeOffset Date { get; init; }
    public required DateTimeOffset Expires { get; init; }

    /// <summary>Domain and primary fingerprint of the sending gateway.</summary>
    public required (string Domain, string Fingerprint) Sender { get; init; }

    /// <summary>Domain and primary fingerprint of the gateway this parcel is bound to.</summary>
    public required (string Domain, string Fingerprint) Recipient { get; init; }
    public required ReversePath MailFrom { get; init; }
    public required IReadOnlyList<ForwardPath> RcptTo { get; init; }

    /// <summary>Of an answer: the id of the echo it answers.</summary>
    public string? EchoOf { get; init; }

    /// <summary>Its sender asks for a receipt (PROTOCOL.md 11).</summary>
    public bool AsksReceipt { get; init; }

    /// <summary>The head of the sender's log about the recipient; null = not told.</summary>
    public LogFields.Signed? Checkpoint { get; init; }

    /// <summary>How far the sender holds the recipient's log about it; null = not told.</summary>
    public LogFields.Held? Seen { get; init; }

    /// <summary>Octets of the block as it was read, with its empty line.</summary>
    public int Length { get; private init; }

    /// <summary>Octets of the message behind the block.</summary>
    public required int Size { get; init; }

    /// <summary>A field, kind or version that must be understood and is not; said only to a verified sender. Null = none.</summary>
    public string? NotUnderstood { get; private init; }

    public byte[] Write()
    {
        var text = new StringBuilder()
            .Append(
                $"Content-Type: {(MailFrom.SmtpUtf8 ? "message/global" : "message/rfc822")}\r\nContent-Transfer-Encoding: binary\r\n"
            )
            .Append($"PgpTunnel-Version: 1\r\nPgpTunnel-Kind: {Word(Kind)}\r\nPgpTunnel-Id: {Id}\r\n")
            .Append($"PgpTunnel-Date: {Time(Date)}\r\nPgpTunnel-Expires: {Time(Expires)}\r\n")
            .Append(
                $"PgpTunnel-Sender: {Sender.Domain}; {Sender.Fingerprint}\r\nPgpTunnel-Recipient: {Recipient.Domain}; "
                    + $"{Recipient.Fingerprint}\r\n"
            )
            .Append($"PgpTunnel-Mail-From: {MailFrom}\r\n");
        foreach (var recipient in RcptTo)
            text.Append($"PgpTunnel-Rcpt-To: {recipient}\r\n");
        if (AsksReceipt)
            text.Append($"PgpTunnel-Receipt: {Requested}\r\n");
        if (EchoOf is not null)
            text.Append($"PgpTunnel-Echo-Of: {EchoOf}\r\n");
        if (Checkpoint is not null)
            text.Append($"PgpTunnel-Checkpoint: {Checkpoint}\r\n");
        if (Seen is not null)
            text.Append($"PgpTunnel-Seen: {Seen}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"PgpTunnel-Size: {Size}\r\n\r\n");
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    public static string Time(DateTimeOffset time) =>
        time.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture);

    /// <summary>Reads the block at the start of a literal body.</summary>
    /// <param name="length">Octets of the block with its empty line.</param>
    /// <exception cref="MalformedParcelException">Missing, doubled, disordered or unparsable fields.</exception>
    /// <param name="ours">A parcel of our own spool, whose envelope may hold address literals.</param>
    public static InnerHeader Parse(ReadOnlySpan<byte> body, bool ours, out int length)
    {
        var end = body[..Math.Min(body.Length, LongestBlock)].IndexOf("\r\n\r\n"u8);
        if (end < 0)
            throw new MalformedParcelException("the header block does not end");
        length = end + 4;
        var fields = new FieldCursor(Lines(body[..end]));
        var type = fields.Next("Content-Type");
        if (!Same(type, "message/rfc822") && !Same(type, "message/global"))
            throw new MalformedParcelException("Content-Type is neither message/rfc822 nor message/global");
        if (!Same(fields.Next("Content-Transfer-Encoding"), "binary"))
            throw new MalformedParcelException("Content-Transfer-Encoding is not binary");
        var (version, kind) = (fields.Next("PgpTunnel-Version"), fields.Next("PgpTunnel-Kind"));
        var id = ReadId(fields.Next("PgpTunnel-Id"));
        var (date, expires) = (ReadTime(fields.Next("PgpTunnel-Date")), ReadTime(fields.Next("PgpTunnel-Expires")));
        var (sender, recipient) = (
            ReadParty(fields.Next("PgpTunnel-Sender")),
            ReadParty(fields.Next("PgpTunnel-Recipient"))
        );
        var from = ReadMailFrom(fields.Next("PgpTunnel-Mail-From"), ours);
        var to = new List<ForwardPath> { ReadRcptTo(fields.Next("PgpTunnel-Rcpt-To"), from.SmtpUtf8, ours) };
        while (fields.TryNext("PgpTunnel-Rcpt-To") is { } next)
            to.Add(
                to.Count < MaxRecipients
                    ? ReadRcptTo(next, from.SmtpUtf8, ours)
                    : throw new MalformedParcelException($"more than {MaxRecipients} recipients")
            );
        var asks = fields.TryNext("PgpTunnel-Receipt") == Requested;
        var echoOf = fields.TryNext("PgpTunnel-Echo-Of") is { } answered ? ReadId(answered) : null;
        var size = fields.Next("PgpTunnel-Size");
        if (
            size.Length is 0 or > 10
            || (size[0] == '0' && size.Length > 1)
            || !int.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var octets)
            || octets > body.Length - length
        )
            throw new MalformedParcelException("PgpTunnel-Size is not a size that fits");
        fields.ExpectEnd();
        return new InnerHeader
        {
            Kind = KindOf(kind) ?? ParcelKind.Message,
            Id = id,
            Date = date,
            Expires = expires,
            Sender = sender,
            Recipient = recipient,
            MailFrom = from,
            RcptTo = to,
            AsksReceipt = asks,
            EchoOf = echoOf,
            Checkpoint = LogFields.Signed.Read(fields.Only("PgpTunnel-Checkpoint")),
            Seen = LogFields.Held.Read(fields.Only("PgpTunnel-Seen")),
            Length = length,
            Size = octets,
            NotUnderstood =
                fields.Critical
                ?? (
                    version != "1" ? $"version {version}"
                    : KindOf(kind) is null ? $"kind {kind}"
                    : null
                ),
        };
    }

    private static string Word(ParcelKind kind) => kind.ToString().ToLowerInvariant();

    private static ParcelKind? KindOf(string word) =>
        Enum.GetValues<ParcelKind>().Where(k => Word(k) == word).Select(k => (ParcelKind?)k).FirstOrDefault();

    /// <summary>False of a checkpoint whose signature is too long for a line.</summary>
    public static bool Fits(LogFields.Signed checkpoint) =>
        "PgpTunnel-Checkpoint: ".Length + checkpoint.ToString().Length <= LongestLine;
}
