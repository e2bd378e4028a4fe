using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The Action field of a delivery report (RFC 3464 2.3.3).</summary>
internal enum NoticeAction
{
    Failed,
    Delayed,

    /// <summary>Taken by a server that sends no reports (RFC 3461 5.2.2).</summary>
    Relayed,
}

/// <summary>
/// Builds delivery reports (RFC 3464) about one message: multipart/report with the message's header fields, never its body. MimeKit's
/// MessageDeliveryStatus does not write them: it turns a recipient of more than 70 octets, and any that is not ASCII, into encoded words,
/// which have no place there (RFC 3464 2.1.1), has no message/global-delivery-status (RFC 6533), and its TextRfc822Headers writes the
/// quoted fields anew.
/// </summary>
internal static class Notice
{
    private const int LongestHeader = 64 * 1024;
    private const int LongestReply = 500;

    /// <param name="outcomes">Recipients and what was answered for them; those who asked for silence are left out (RFC 3461 4.1).</param>
    /// <param name="message">The message or its header section.</param>
    /// <param name="arrival">When we took the message.</param>
    /// <param name="remark">A sentence more for the reader.</param>
    /// <returns>The report, or null when nobody may be told: a report is never made about a report (RFC 5321 6.1).</returns>
    public static ReadOnlyMemory<byte>? Build(
        GatewayConfiguration configuration,
        NoticeAction action,
        ReversePath from,
        IReadOnlyList<(ForwardPath To, SmtpReply Reply)> outcomes,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        DateTimeOffset arrival,
        string? remark
    )
    {
        var told = outcomes
            .Where(o =>
                action switch
                {
                    NoticeAction.Failed => o.To.NotifiesFailure,
                    NoticeAction.Delayed => o.To.Notify is null
                        || o.To.Notify.Contains("DELAY", StringComparison.Ordinal),
                    _ => o.To.Notify?.Contains("SUCCESS", StringComparison.Ordinal) ?? false,
                }
            )
            .ToList();
        if (from.Mailbox is null || told.Count == 0)
            return null;
        var headers = HeaderSection(message);
        var international = IsInternational(from);
        var boundary = $"pgpt-{RandomNumberGenerator.GetHexString(24, true)}";
        var date = MessageText.Date(arrival);
        var (subject, opening, word, status) = action switch
        {
            NoticeAction.Failed => ("Undelivered mail", "Your message could not be delivered to:", "failed", "5.0.0"),
            NoticeAction.Delayed => (
                "Delayed mail (still being retried)",
                "Your message has not been delivered yet. It will be tried again; you need not send it anew.",
                "delayed",
                "4.0.0"
            ),
            _ => (
                "Delivered mail (relayed)",
                "Your message has been taken by a mail server that sends no reports of its own:",
                "relayed",
                "2.0.0"
            ),
        };
        var head = new StringBuilder()
            .Append($"From: Encryption gateway <{configuration.Postmaster}>\r\nTo: <{from.Mailbox}>\r\n")
            .Append($"Subject: {subject}\r\nDate: {date}\r\n")
            .Append(
                $"Message-ID: <{ParcelLife.NewId()}@{configuration.GatewayDomain}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
            )
            .Append(
                $"Content-Type: multipart/report; "
                    + $"report-type={(international ? "global-delivery-status" : "delivery-status")};\r\n boundary=\"{boundary}\"\r\n"
            );
        var human = new StringBuilder(
            $"This is the encryption gateway {configuration.Hostname}.\r\n\r\n{opening}\r\n\r\n"
        );
        foreach (var (to, reply) in told)
            human.Append($"  <{to.Mailbox}>\r\n    {MessageText.OneLine(reply.ToString(), LongestReply)}\r\n");
        if (remark is not null)
            human.Append($"\r\n{remark}\r\n");
        Func<string, string> written = international ? Plain : SevenBit.Escape;
        var machine = Status(configuration, from, told, date, word, status, written);
        byte[] separator = Encoding.ASCII.GetBytes($"\r\n--{boundary}\r\n");
        byte[][] parts = international
            ?
            [
                SevenBit.OrEight("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(human.ToString())),
                SevenBit.OrEight("message/global-delivery-status", Encoding.UTF8.GetBytes(machine)),
                SevenBit.OrEight("message/global-headers", headers),
            ]
            :
            [
                SevenBit.Part("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(human.ToString())),
                SevenBit.Part("message/delivery-status", Encoding.ASCII.GetBytes(machine)),
                SevenBit.Part("text/rfc822-headers", headers),
            ];
        return (byte[])
            [
                .. Encoding.UTF8.GetBytes(head.ToString()),
                .. parts.SelectMany(p => (byte[])[.. separator, .. p]),
                .. Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n"),
            ];
    }

    /// <summary>
    /// A report for this sender needs SMTPUTF8 (RFC 6533): only where its own address does. To anyone else it goes in seven bits, since the
    /// servers on its way may take no others.
    /// </summary>
    public static bool IsInternational(ReversePath from) => from.Mailbox?.IsInternational ?? false;

    private static string Plain(string text) => MessageText.OneLine(text, text.Length);

    /// <summary>The fields for programs (RFC 3464 2.2, 2.3).</summary>
    /// <param name="written">How what others said is written there.</param>
    private static string Status(
        GatewayConfiguration configuration,
        ReversePath from,
        List<(ForwardPath To, SmtpReply Reply)> told,
        string date,
        string word,
        string status,
        Func<string, string> written
    )
    {
        var text = new StringBuilder();
        void Field(string name, string value) =>
            text.Append($"{name}: {MessageText.Folded(written(value), name.Length)}\r\n");
        Field("Reporting-MTA", $"dns; {configuration.Hostname}");
        if (from.EnvId is not null)
            Field("Original-Envelope-Id", Decode(from.EnvId));
        Field("Arrival-Date", date);
        foreach (var (to, reply) in told)
        {
            text.Append("\r\n");
            if (to.Orcpt is { } orcpt)
                Field(
                    "Original-Recipient",
                    $"{orcpt[..(orcpt.IndexOf(';') + 1)]} {Decode(orcpt[(orcpt.IndexOf(';') + 1)..])}"
                );
            Field("Final-Recipient", $"{(to.Mailbox.IsInternational ? "utf-8" : "rfc822")}; {to.Mailbox}");
            Field("Action", word);
            Field("Status", reply.Status.Length > 0 ? reply.Status : status);
            Field("Diagnostic-Code", $"smtp; {MessageText.OneLine(reply.ToString(), LongestReply)}");
        }
        return text.ToString();
    }

    private static byte[] HeaderSection(IReadOnlyList<ReadOnlyMemory<byte>> message)
    {
        var start = new List<byte>();
        foreach (var part in message)
        {
            start.AddRange(part.Span[..Math.Min(part.Length, LongestHeader - start.Count)]);
            if (start.Count == LongestHeader)
                break;
        }
        var octets = start.ToArray();
        var length = MessageContent.HeaderLength(octets);
        // Cut at the last whole field when the section is longer than we quote.
        return length < octets.Length || length < LongestHeader
            ? octets[..length]
            : [.. octets.AsSpan(0, octets.AsSpan().LastIndexOf("\r\n"u8) + 2)];
    }

    /// <summary>RFC 3461 4: xtext back to characters, unless what comes out could not stand in a header field.</summary>
    private static string Decode(string xtext)
    {
        var text = System.Text.RegularExpressions.Regex.Replace(
            xtext,
            @"\+([0-9A-F]{2})",
            m => ((char)Convert.ToByte(m.Groups[1].Value, 16)).ToString()
        );
        return text.Any(c => c is < ' ' or (char)0x7F) ? xtext : text;
    }
}
