using System.Buffers;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Makes parcels from messages and messages from parcels; the one place where plaintext and ciphertext meet.</summary>
/// <param name="witness">Puts on record what is made; null = nothing goes on record, of what is for no spool.</param>
/// <param name="arrays">Where the arrays of their bodies come from; null = each has its own.</param>
internal sealed class Parcels(
    Settings settings,
    TimeProvider time,
    Witness? witness = null,
    ArrayPool<byte>? arrays = null
)
{
    private static readonly byte[] EchoText = "Subject: Echo\r\n\r\nIs there anybody out there?\r\n"u8.ToArray();
    private const int EnvelopeHeader = 64 * 1024;

    /// <summary>In front of the text of a receipt.</summary>
    public static readonly byte[] ReceiptFields = "Content-Type: application/pgptunnel-log\r\n\r\n"u8.ToArray();

    /// <summary>Seals a message for a peer; that goes on record with it.</summary>
    public (Parcel Parcel, ParcelContent Content) Seal(PeerState peer, MailObject mail) =>
        Seal(Header(mail, (peer.Domain, peer.Preferred.Fingerprint)), peer, mail);

    /// <summary>An echo for a peer's gateway, or the answer to one.</summary>
    /// <param name="echoOf">The id of the echo that it answers; null = it asks.</param>
    public (Parcel Parcel, ParcelContent Content) Echo(PeerState peer, string senderDomain, string? echoOf)
    {
        var mail = new MailObject(
            senderDomain,
            new ReversePath((Mailbox?)null),
            [new ForwardPath(new Mailbox("postmaster", peer.Domain), "NEVER")],
            [EchoText],
            Leaving.SealedOnly
        );
        var header = Header(mail, (peer.Domain, peer.Preferred.Fingerprint)) with
        {
            Kind = ParcelKind.Echo,
            EchoOf = echoOf,
        };
        return Seal(header, peer, mail);
    }

    /// <summary>A receipt for a peer's gateway: the end of our log about it.</summary>
    public (Parcel Parcel, ParcelContent Content) Receipt(PeerState peer, LogTail tail)
    {
        var mail = new MailObject(
            tail.Head.Origin.Own,
            new ReversePath((Mailbox?)null),
            [new ForwardPath(new Mailbox("postmaster", peer.Domain), "NEVER")],
            [ReceiptFields, tail.Write()],
            Leaving.SealedOnly
        );
        return Seal(
            Header(mail, (peer.Domain, peer.Preferred.Fingerprint)) with
            {
                Kind = ParcelKind.Receipt,
            },
            peer,
            mail
        );
    }

    private (Parcel, ParcelContent) Seal(InnerHeader bare, PeerState peer, MailObject mail)
    {
        var (key, own) = (peer.Preferred, settings.Keys.Active);
        var header = witness?.Inside(bare, peer) ?? bare;
        var body = ParcelBody.Parts(header, mail.Message);
        var sealedMessage = MessageSealer.Seal(body, own, key, header.Date, arrays);
        var fields = HeaderSection(mail.Message);
        var parcel = Queued(header, ParcelRoute.Gateway, ParcelForm.Sealed, peer.Domain, mail) with
        {
            Token = ParcelLife.NewId(),
            KeyFingerprint = key.Id,
            Lit = sealedMessage.BodySha256,
            Own = header.Kind == ParcelKind.Message ? mail.SenderDomain : "",
            Receipt = header.AsksReceipt ? ReceiptState.Asked : ReceiptState.None,
        };
        var content = new ParcelContent(sealedMessage.Octets, sealedMessage.SpoolKey, SealEnvelope(header, fields, own))
        {
            Entry = witness?.Sealed((parcel, header), peer, mail, body, fields),
        };
        return (parcel, content);
    }

    /// <summary>
    /// Keeps a message that is not sealed for a peer: to our own spool subkey, since nothing lies on disk in clear. That it is to leave so
    /// goes on record with it.
    /// </summary>
    /// <param name="domain">Destination domain, or address literal.</param>
    public (Parcel Parcel, ParcelContent Content) Keep(ParcelRoute route, string domain, MailObject mail)
    {
        var own = settings.Keys.Active;
        var header = Header(mail, (mail.SenderDomain, own.Fingerprint));
        var kept = MessageSealer.SealForSpool(ParcelBody.Parts(header, mail.Message), own, arrays);
        var parcel = Queued(header, route, ParcelForm.Kept, domain, mail);
        return (
            parcel,
            new ParcelContent(kept, [], [])
            {
                Entry = witness?.Clear((parcel, header), mail, HeaderSection(mail.Message)),
            }
        );
    }

    /// <summary>One that is new, and due at once.</summary>
    private static Parcel Queued(
        InnerHeader header,
        ParcelRoute route,
        ParcelForm form,
        string domain,
        MailObject mail
    ) =>
        new()
        {
            Id = header.Id,
            Route = route,
            Form = form,
            Domain = domain,
            Own = mail.SenderDomain,
            Leaving = mail.Leaving,
            Created = header.Date,
            Expires = header.Expires,
            Next = header.Date,
        };

    private InnerHeader Header(MailObject mail, (string Domain, string Fingerprint) recipient)
    {
        var now = time.GetUtcNow();
        return new()
        {
            Id = ParcelLife.NewId(),
            Date = now,
            Expires = now + ParcelLife.Usual,
            Sender = (mail.SenderDomain, settings.Keys.Active.Fingerprint),
            Recipient = recipient,
            MailFrom = mail.From with { Size = null },
            RcptTo = mail.To,
            Size = mail.Size,
        };
    }

    /// <summary>The header fields of a message, or as many octets of them as a notice needs at most.</summary>
    private static ReadOnlyMemory<byte> HeaderSection(IReadOnlyList<ReadOnlyMemory<byte>> message)
    {
        var fields = new byte[Math.Min(EnvelopeHeader, message.Sum(m => m.Length))];
        var filled = 0;
        foreach (var part in message)
        {
            var take = Math.Min(part.Length, fields.Length - filled);
            part.Span[..take].CopyTo(fields.AsSpan(filled));
            filled += take;
        }
        return fields.AsMemory(0, MessageContent.HeaderLength(fields));
    }

    /// <summary>Header block and header fields alone, from which a notice can be made when the body is gone.</summary>
    private static byte[] SealEnvelope(InnerHeader header, ReadOnlyMemory<byte> fields, GatewayKey own) =>
        MessageSealer.SealForSpool([(header with { Size = fields.Length }).Write(), fields], own).ToArray();

    /// <summary>The header block and the message of a parcel in the spool; they are there until its contents are given back.</summary>
    /// <exception cref="OpenPgpException">It does not open with the keys held.</exception>
    /// <exception cref="NoKeyException">Its key is gone.</exception>
    public (InnerHeader Header, ReadOnlyMemory<byte> Message) Read(Parcel parcel, ParcelContent content) =>
        content.Opened ??= parcel.Form switch
        {
            // Verified before it was kept; for our spool subkey where it was sealed anew since.
            ParcelForm.Received => ParcelBody.Read(
                MessageOpener.IsSpooled(content.Body.Span, settings.Keys.Keys)
                    ? MessageOpener.ReadSpooled(content.Body.Span, settings.Keys.Keys, arrays)
                    : MessageOpener.ReadVerified(content.Body.Span, settings.Keys.Keys, arrays),
                ours: false
            ),
            ParcelForm.Kept => ParcelBody.Read(
                MessageOpener.ReadSpooled(content.Body.Span, settings.Keys.Keys, arrays),
                ours: true
            ),
            _ => content.Body.Length > 0
                ? ParcelBody.Read(
                    MessageOpener.ReadSealed(content.Body.Span, content.Key, settings.Keys.Keys, arrays),
                    ours: true
                )
                : ReadEnvelope(content),
        };

    /// <summary>The header block and the header fields of a sealed parcel, body or no body.</summary>
    public (InnerHeader Header, ReadOnlyMemory<byte> Message) ReadEnvelope(ParcelContent content) =>
        ParcelBody.Read(MessageOpener.ReadSpooled(content.Envelope, settings.Keys.Keys), ours: true);

    /// <summary>
    /// Gives the arrays of a parcel's contents back. It is for who has them alone and last: nothing of them may be looked at afterwards.
    /// </summary>
    public void GiveBack(ParcelContent content) => content.GiveBack(arrays);

    /// <summary>Lets the plaintext of a parcel go: it is opened again when its turn comes.</summary>
    public void Close(ParcelContent content) => content.Close(arrays);
}
