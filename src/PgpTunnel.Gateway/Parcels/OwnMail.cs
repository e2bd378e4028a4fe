using System.Globalization;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Mail that the gateway writes itself: reports to senders and notices to the postmaster. It goes by way of our own mail server where its
/// reader is in one of our domains, else out like any other mail, since our own server takes mail for our own domains only.
/// </summary>
internal sealed class OwnMail(Settings settings, Parcels parcels, TimeProvider time)
{
    public Mailbox Postmaster => settings.Configuration.Postmaster;

    /// <summary>A delivery report to the sender of a message.</summary>
    /// <param name="senderDomain">Which of our domains it comes from.</param>
    /// <param name="about">The sender of what it is about.</param>
    /// <param name="leaving">Of a message that was never to leave in clear the report, which has its header, is not either.</param>
    public (Parcel Parcel, ParcelContent Content) Report(
        string senderDomain,
        ReversePath about,
        ReadOnlyMemory<byte> report,
        Leaving leaving
    )
    {
        var international = Notice.IsInternational(about);
        var (parcel, content) = Keep(
            senderDomain,
            new ReversePath((Mailbox?)null, SmtpUtf8: international, Body: international ? "8BITMIME" : null),
            about.Mailbox!,
            [report],
            leaving
        );
        return (parcel with { IsNotice = true }, content);
    }

    /// <summary>A notice to the postmaster.</summary>
    public (Parcel Parcel, ParcelContent Content) ToPostmaster(string subject, string text)
    {
        var configuration = settings.Configuration;
        var head = $"""
            From: Encryption gateway <{configuration.Postmaster}>
            To: <{configuration.Postmaster}>
            Subject: {subject}
            Date: {MessageText.Date(time.GetUtcNow())}
            Message-ID: <{ParcelLife.NewId()}@{configuration.GatewayDomain}>
            Auto-Submitted: auto-generated
            MIME-Version: 1.0

            """.ReplaceLineEndings("\r\n");
        var body = $"This is the encryption gateway {configuration.Hostname}.\n\n{text}\n".ReplaceLineEndings("\r\n");
        var (parcel, content) = PassToPostmaster(
            new ReversePath((Mailbox?)null),
            [Encoding.ASCII.GetBytes(head), SevenBit.Part("text/plain; charset=utf-8", Encoding.UTF8.GetBytes(body))]
        );
        return (parcel with { IsNotice = true }, content);
    }

    /// <summary>Whether a notice is for the postmaster: then there is nobody left to tell.</summary>
    public bool IsForPostmaster(InnerHeader header) => header.RcptTo is [var only] && only.Mailbox == Postmaster;

    /// <summary>What somebody else wrote to the gateway.</summary>
    public (Parcel Parcel, ParcelContent Content) PassToPostmaster(
        ReversePath from,
        IReadOnlyList<ReadOnlyMemory<byte>> message
    ) => Keep(settings.Configuration.Domains[0], from, Postmaster, message, Leaving.AsDecided);

    /// <summary>A report of ours that can go nowhere: the postmaster is told what it was about.</summary>
    public (Parcel Parcel, ParcelContent Content) Undeliverable(InnerHeader header, SmtpReply reply) =>
        ToPostmaster(
            "A delivery report could not be delivered",
            $"""
            It has a delivery report for

              {string.Join(", ", header.RcptTo.Select(r => $"<{Printable(r.Mailbox.ToString())}>"))}

            which cannot be delivered itself:

              {Printable(reply.ToString())}

            So the sender of that mail does not know that it was not delivered, or only late.
            The log has more under the id {header.Id}.
            """
        );

    private (Parcel Parcel, ParcelContent Content) Keep(
        string senderDomain,
        ReversePath from,
        Mailbox to,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        Leaving leaving
    )
    {
        var ours = !Domains.TryNormalise(to.Domain, out var domain) || settings.Configuration.Domains.Contains(domain);
        return parcels.Keep(
            ours ? ParcelRoute.Local : ParcelRoute.World,
            ours ? senderDomain : domain,
            new(senderDomain, from, [new ForwardPath(to, "NEVER")], message, leaving)
            {
                Why = "a notice of the gateway's own",
            }
        );
    }

    /// <summary>What somebody else said, as a notice quotes it.</summary>
    public static string Printable(string text) => MessageText.OneLine(text, most: 600);
}
