using System.Buffers;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Makes parcels from messages and messages from parcels; the one place where plaintext and ciphertext meet.</summary>
/// <param name="arrays">Where the arrays of their bodies come from; null = each has its own.</param>
internal sealed class Parcels(Settings settings, TimeProvider time, ArrayPool<byte>? arrays = null)
{
    private static readonly byte[] EchoText = "Subject: Echo\r\n\r\nIs there anybody out there?\r\n"u8.ToArray();
    private const int EnvelopeHeader = 64 * 1024;

    /// <summary>Seals a message for a peer.</summary>
    /// <param name="senderDomain">Which of our domains it is from.</param>
    public (Parcel Parcel, ParcelContent Content) Seal(
        PeerState peer,
        string senderDomain,
        ReversePath sender,
        IReadOnlyList<ForwardPath> to,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        Leaving leaving
    )
    {
        var (key, own, now) = (peer.Preferred, settings.Keys.Active, time.GetUtcNow());
        return Seal(
            Header(ParcelLife.NewId(), senderDomain, (peer.Domain, key.Fingerprint), sender, to, message, now),
            peer,
            own,
            message,
            leaving,
            now
        );
    }

    /// <summary>An echo for a peer's gateway, or the answer to one.</summary>
    /// <param name="echoOf">The id of the echo that it answers; null = it asks.</param>
    public (Parcel Parcel, ParcelContent Content) Echo(PeerState peer, string senderDomain, string? echoOf)
    {
        var (own, now) = (settings.Keys.Active, time.GetUtcNow());
        var header = Header(
            ParcelLife.NewId(),
            senderDomain,
            (peer.Domain, peer.Preferred.Fingerprint),
            new ReversePath((Mailbox?)null),
            [new ForwardPath(new Mailbox("postmaster", peer.Domain), "NEVER")],
            [EchoText],
            now
        );
        return Seal(
            header with
            {
                Kind = ParcelKind.Echo,
                EchoOf = echoOf,
            },
            peer,
            own,
            [EchoText],
            Leaving.SealedOnly,
            now
        );
    }

    private (Parcel, ParcelContent) Seal(
        InnerHeader header,
        PeerState peer,
        GatewayKey own,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        Leaving leaving,
        DateTimeOffset now
    )
    {
        var key = peer.Preferred;
        var sealedMessage = MessageSealer.Seal(ParcelBody.Parts(header, message), own, key, now, arrays);
        var parcel = Queued(header, ParcelRoute.Gateway, ParcelForm.Sealed, peer.Domain, leaving) with
        {
            Token = ParcelLife.NewId(),
            KeyFingerprint = key.Id,
        };
        return (
            parcel,
            new ParcelContent(sealedMessage.Octets, sealedMessage.SpoolKey, SealEnvelope(header, message, own))
        );
    }

    /// <summary>Keeps a message that is not sealed for a peer: to our own spool subkey, since nothing lies on disk in clear.</summary>
    /// <param name="domain">Destination domain, or address literal.</param>
    public (Parcel Parcel, ParcelContent Content) Keep(
        ParcelRoute route,
        string domain,
        string senderDomain,
        ReversePath sender,
        IReadOnlyList<ForwardPath> to,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        Leaving leaving
    )
    {
        var (own, now) = (settings.Keys.Active, time.GetUtcNow());
        var header = Header(
            ParcelLife.NewId(),
            senderDomain,
            (senderDomain, own.Fingerprint),
            sender,
            to,
            message,
            now
        );
        var kept = MessageSealer.SealForSpool(ParcelBody.Parts(header, message), own, arrays);
        return (Queued(header, route, ParcelForm.Kept, domain, leaving), new ParcelContent(kept, [], []));
    }

    /// <summary>One that is new, and due at once.</summary>
    private static Parcel Queued(
        InnerHeader header,
        ParcelRoute route,
        ParcelForm form,
        string domain,
        Leaving leaving
    ) =>
        new()
        {
            Id = header.Id,
            Route = route,
            Form = form,
            Domain = domain,
            Leaving = leaving,
            Created = header.Date,
            Expires = header.Expires,
            Next = header.Date,
        };

    private InnerHeader Header(
        string id,
        string senderDomain,
        (string, string) recipient,
        ReversePath sender,
        IReadOnlyList<ForwardPath> to,
        IReadOnlyList<ReadOnlyMemory<byte>> message,
        DateTimeOffset now
    ) =>
        new()
        {
            Id = id,
            Date = now,
            Expires = now + ParcelLife.Usual,
            Sender = (senderDomain, settings.Keys.Active.Fingerprint),
            Recipient = recipient,
            MailFrom = sender with { Size = null },
            RcptTo = to,
            Size = message.Sum(m => m.Length),
        };

    /// <summary>Header block and header fields alone, from which a notice can be made when the body is gone.</summary>
    private static byte[] SealEnvelope(InnerHeader header, IReadOnlyList<ReadOnlyMemory<byte>> message, GatewayKey own)
    {
        var fields = new byte[Math.Min(EnvelopeHeader, message.Sum(m => m.Length))];
        var filled = 0;
        foreach (var part in message)
        {
            var take = Math.Min(part.Length, fields.Length - filled);
            part.Span[..take].CopyTo(fields.AsSpan(filled));
            filled += take;
        }
        var section = fields.AsMemory(0, MessageContent.HeaderLength(fields));
        return MessageSealer.SealForSpool([(header with { Size = section.Length }).Write(), section], own).ToArray();
    }

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
