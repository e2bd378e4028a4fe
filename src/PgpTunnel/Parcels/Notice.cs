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
/// Builds delivery reports (RFC 3464) about one message: multipart/report with the message's header fields, never its body.
/// </summary>
internal static class Notice
{
    private const int LongestHeader = 64 * 1024;

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
        var international = from.SmtpUtf8;
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
            human.Append($"  <{to.Mailbox}>\r\n    {Clean(reply.ToString())}\r\n");
        if (remark is not null)
            human.Append($"\r\n{remark}\r\n");
        var machine = Status(configuration, from, told, date, word, status);
        byte[] separator = Encoding.ASCII.GetBytes($"\r\n--{boundary}\r\n");
        // RFC 6533 where the sender can take it, else seven bits throughout.
        byte[][] parts = international
            ?
            [
                Global("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(human.ToString())),
                Global("message/global-delivery-status", Encoding.UTF8.GetBytes(machine)),
                Global("message/global-headers", headers),
            ]
            :
            [
                SevenBit.Part("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(human.ToString())),
                SevenBit.Part("message/delivery-status", Encoding.ASCII.GetBytes(SevenBitLines(machine))),
                SevenBit.Part("text/rfc822-headers", headers),
            ];
        return (byte[])
            [
                .. Encoding.UTF8.GetBytes(head.ToString()),
                .. parts.SelectMany(p => (byte[])[.. separator, .. p]),
                .. Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n"),
            ];
    }

    private static byte[] Global(string type, byte[] content) =>
        [.. Encoding.ASCII.GetBytes($"Content-Type: {type}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"), .. content];

    private static string SevenBitLines(string text) => string.Join("\r\n", text.Split("\r\n").Select(SevenBit.Escape));

    /// <summary>The fields for programs (RFC 3464 2.2, 2.3).</summary>
    private static string Status(
        GatewayConfiguration configuration,
        ReversePath from,
        List<(ForwardPath To, SmtpReply Reply)> told,
        string date,
        string word,
        string status
    )
    {
        var text = new StringBuilder($"Reporting-MTA: dns; {configuration.Hostname}\r\n");
        if (from.EnvId is not null)
            text.Append($"Original-Envelope-Id: {Decode(from.EnvId)}\r\n");
        text.Append($"Arrival-Date: {date}\r\n");
        foreach (var (to, reply) in told)
        {
            text.Append("\r\n");
            if (to.Orcpt is { } orcpt)
                text.Append(
                    $"Original-Recipient: {orcpt[..(orcpt.IndexOf(';') + 1)]} {Decode(orcpt[(orcpt.IndexOf(';') + 1)..])}\r\n"
                );
            text.Append(
                    $"Final-Recipient: {(to.Mailbox.IsInternational ? "utf-8" : "rfc822")}; {to.Mailbox}\r\nAction: {word}\r\n"
                )
                .Append(
                    $"Status: {(reply.Status.Length > 0 ? reply.Status : status)}\r\nDiagnostic-Code: smtp; {Clean(reply.ToString())}\r\n"
                );
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
        var length = HeaderFields.SectionLength(octets);
        // Cut at the last whole field when the section is longer than we quote.
        return length < octets.Length || length < LongestHeader
            ? octets[..length]
            : [.. octets.AsSpan(0, octets.AsSpan().LastIndexOf("\r\n"u8) + 2)];
    }

    private static string Clean(string text) => MessageText.OneLine(text, most: 500);

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
