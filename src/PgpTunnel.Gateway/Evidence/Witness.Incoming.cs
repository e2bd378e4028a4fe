using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

internal sealed partial class Witness
{
    /// <summary>A parcel is opened and verified, and the message is ours to hand on.</summary>
    /// <returns>Null where nothing goes on record.</returns>
    public LogEntry? Opened(
        InnerHeader header,
        DecryptedMessage decrypted,
        ReadOnlyMemory<byte> message,
        PeerState sender
    )
    {
        if (!Keeps)
            return null;
        var hidden = Hide(
            header,
            message.Span[..MessageContent.HeaderLength(message.Span)],
            ("head", Encoding.UTF8.GetString(decrypted.UnverifiedBody.Span[..header.Length])),
            ("pad", ParcelBody.UsualPadding(decrypted.UnverifiedBody[(header.Length + header.Size)..])),
            ("sig", decrypted.SignaturePacket)
        );
        return Entry(
            header.Recipient.Domain,
            header.Sender.Domain,
            header.Id,
            new(
                "opened",
                ("id", header.Id),
                ("lit", Convert.ToHexStringLower(decrypted.BodySha256)),
                ("octets", message.Length),
                ("rcpts", header.RcptTo.Count),
                ("signer", header.Sender.Fingerprint),
                ("key", header.Recipient.Fingerprint),
                ("sub", decrypted.SubkeyFingerprint),
                ("dns", sender.Proof),
                (
                    "cert",
                    proofs.CertificateOf(sender.Signers.FirstOrDefault(s => s.Fingerprint == header.Sender.Fingerprint))
                ),
                ("open", hidden.Commitment)
            ),
            hidden
        ) with
        {
            OwesReceipt = header.AsksReceipt,
        };
    }

    /// <summary>What our own mail server said to recipients of a parcel.</summary>
    /// <param name="replies">To those that are settled by it, by their index in the parcel.</param>
    /// <param name="isFinal">Nobody is left.</param>
    public IReadOnlyList<LogEntry> Outcome(
        Parcel parcel,
        InnerHeader header,
        IReadOnlyList<(int Index, SmtpReply Reply)> replies,
        bool isFinal
    )
    {
        if (!Keeps || parcel.Own.Length == 0 || parcel.Form != ParcelForm.Received || replies.Count == 0)
            return [];
        var hidden = new Private(
            RecordOpening.Write([
                ("server", replies[0].Reply.Server),
                ("replies", replies.Select(r => r.Reply.ToString()).ToList()),
            ]),
            replies.Select(r => QueueId.OfReply(r.Reply.Text)).OfType<string>().Distinct().Select(FoundBy.QueueId)
        );
        return
        [
            Entry(
                parcel.Own,
                parcel.Domain,
                header.Id,
                new(
                    "outcome",
                    ("id", header.Id),
                    ("lit", Convert.ToHexStringLower(parcel.Lit)),
                    ("to", replies.Select(r => new object[] { r.Index, Action(r.Reply), Status(r.Reply) }).ToList()),
                    ("final", isFinal ? 1 : 0),
                    ("dsn", replies.Any(r => r.Reply is { IsPositive: true, LeavesReports: false }) ? 1 : null),
                    ("open", hidden.Commitment)
                ),
                hidden
            ) with
            {
                OwesReceipt = header.AsksReceipt,
            },
        ];
    }

    /// <summary>A parcel whose signature has verified is refused for good.</summary>
    public IReadOnlyList<LogEntry> Refused(InnerHeader header, SmtpReply reply)
    {
        if (!Keeps)
            return [];
        var (ours, named) = (settings.Configuration.Domains, header.Recipient.Domain);
        return
        [
            Entry(
                ours.Contains(named) ? named : ours[0],
                header.Sender.Domain,
                header.Id,
                new("refused", ("id", header.Id), ("reply", Codes(reply)), ("signer", header.Sender.Fingerprint))
            ) with
            {
                BeginsNoLog = true,
            },
        ];
    }

    private int _noise;

    /// <summary>
    /// A parcel is not taken, and nobody's signature on it has verified: it is counted, so that nobody fills a log with such.
    /// </summary>
    public void CountNoise() => Interlocked.Increment(ref _noise);

    /// <summary>What was counted since this was last asked.</summary>
    public IReadOnlyList<LogEntry> Noise()
    {
        var count = Interlocked.Exchange(ref _noise, 0);
        return count > 0 && Keeps
            ?
            [
                Entry(
                    settings.Configuration.Domains[0],
                    LogOrigin.World,
                    null,
                    new("noise", ("count", count), ("why", "not to be opened, or by no known key"))
                ),
            ]
            : [];
    }

    /// <summary>RFC 3464 2.3.3.</summary>
    private static string Action(SmtpReply reply) =>
        reply.IsPositive ? "relayed"
        : reply.IsPermanent ? "failed"
        : "delayed";

    private static string Status(SmtpReply reply) => reply.Status.Length > 0 ? reply.Status : $"{reply.Code / 100}.0.0";
}
