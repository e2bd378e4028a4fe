using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Says for the record what happened to mail. A record tells domains, keys, hashes and times; who wrote to whom is in its opening, which
/// is sealed to the key of the month, and lies beside it. What goes out is here, what comes in <c>Witness.Incoming.cs</c>.
/// </summary>
internal sealed partial class Witness(
    Settings settings,
    MonthKeys keys,
    Proofs proofs,
    SignedHeads heads,
    HeldLogs held,
    TimeProvider time
)
{
    private const int MostWhy = 2000; // characters

    private bool Keeps => settings.Configuration.Evidence.Keep;

    /// <summary>The private part of a record before it is sealed.</summary>
    /// <param name="Octets">The opening.</param>
    /// <param name="FoundBy">Texts that the record can be found by.</param>
    private sealed record Private(byte[] Octets, IEnumerable<string> FoundBy)
    {
        public string Commitment { get; } = RecordOpening.CommitmentOf(Octets);
    }

    /// <param name="id">Of the parcel that it is about; null = of none.</param>
    private LogEntry Entry(string own, string peer, string? id, Draft draft, Private? hidden = null)
    {
        var now = time.GetUtcNow();
        var key = hidden is null ? null : keys.Current(now);
        return new(own, peer, now, draft)
        {
            Opening = key?.Seal(hidden!.Octets),
            Tags = [.. id is null ? [] : LogEntry.TagOf(id), .. hidden?.FoundBy.SelectMany(key!.Tag) ?? []],
        };
    }

    /// <summary>The state with the name of the proof that it rests on, which is kept.</summary>
    public Task<PeerState> ProveAsync(PeerState peer) => Keeps ? proofs.WithProofAsync(peer) : Task.FromResult(peer);

    /// <summary>
    /// What a parcel tells the other gateway of logs, and that it is to tell what becomes of it, where it has said that it does and there
    /// is somebody here to hear it.
    /// </summary>
    public InnerHeader Inside(InnerHeader header, PeerState peer) =>
        !Keeps || header.Kind == ParcelKind.Echo
            ? header
            : header with
            {
                AsksReceipt =
                    header.Kind == ParcelKind.Message
                    && peer.GivesReceipts
                    && settings.Configuration.Listen.Inbound is not null,
                Checkpoint = heads.For(header.Sender.Domain, peer.Domain),
                Seen = held.Tell(header.Sender.Domain, peer.Domain),
            };

    /// <summary>The name of a key's certificate where that is kept.</summary>
    public string? CertificateOf(SignerKey key) => proofs.CertificateOf(key);

    // What goes out

    /// <summary>A message is sealed for a peer.</summary>
    /// <param name="body">The signed literal body in parts, the header block first.</param>
    /// <param name="fields">The message's header fields.</param>
    /// <returns>Null where nothing goes on record.</returns>
    public LogEntry? Sealed(
        (Parcel Parcel, InnerHeader Header) made,
        PeerState peer,
        MailObject mail,
        IReadOnlyList<ReadOnlyMemory<byte>> body,
        ReadOnlyMemory<byte> fields
    )
    {
        var (parcel, header) = made;
        if (!Keeps || header.Kind != ParcelKind.Message)
            return null;
        var hidden = Hide(
            header,
            fields.Span,
            ("head", Encoding.UTF8.GetString(body[0].Span)),
            ("pad", body.Sum(b => b.Length) - body[0].Length - mail.Size)
        );
        var local = settings.Configuration.PolicyFor(peer.Domain);
        return Entry(
            parcel.Own,
            parcel.Domain,
            parcel.Id,
            new(
                "sealed",
                ("id", parcel.Id),
                ("lit", Convert.ToHexStringLower(parcel.Lit)),
                ("octets", mail.Size),
                ("rcpts", mail.To.Count),
                ("key", peer.Preferred.Fingerprint),
                ("sub", peer.Preferred.EncryptionFingerprint),
                ("signer", header.Sender.Fingerprint),
                ("class", Word(peer.Class)),
                (
                    "policy",
                    Word(
                        mail.Leaving == Leaving.SealedOnly && local < LocalPolicy.Require ? LocalPolicy.Require : local
                    )
                ),
                ("mode", peer.Mode is { } mode ? Word(mode) : null),
                ("dnssec", Word(peer.Security)),
                ("dns", peer.Proof),
                ("cert", proofs.CertificateOf(peer.Preferred)),
                ("trusted", peer.Trusted ? peer.Preferred.Fingerprint : null),
                ("expires", RecordTime.Write(parcel.Expires)),
                ("was", mail.Was),
                ("open", hidden.Commitment)
            ),
            hidden
        );
    }

    /// <summary>A message is to leave in clear. Parcels that our own mail server sends on are ciphertext, and no concern of this.</summary>
    /// <returns>Null where nothing goes on record.</returns>
    public LogEntry? Clear((Parcel Parcel, InnerHeader Header) made, MailObject mail, ReadOnlyMemory<byte> fields)
    {
        var (parcel, header) = made;
        if (!Keeps || parcel.Route != ParcelRoute.World || parcel.Leaving == Leaving.Exempt)
            return null;
        var hidden = Hide(header, fields.Span);
        return Entry(
            parcel.Own,
            parcel.Domain,
            parcel.Id,
            new(
                "clear",
                ("id", parcel.Id),
                ("domain", parcel.Domain),
                ("octets", mail.Size),
                ("rcpts", mail.To.Count),
                ("why", MessageText.OneLine(mail.Why, MostWhy)),
                ("dns", mail.Proof),
                ("was", mail.Was),
                ("open", hidden.Commitment)
            ),
            hidden
        ) with
        {
            BeginsNoLog = true,
        };
    }

    /// <summary>The next server has it.</summary>
    public IReadOnlyList<LogEntry> Handed(Parcel parcel, SmtpReply reply) =>
        About(parcel, "handed", ("host", reply.Server), ("code", Codes(reply)), ("tls", reply.Tls));

    /// <summary>It is given up, for all or some of its recipients.</summary>
    /// <param name="recipients">How many of them.</param>
    public IReadOnlyList<LogEntry> Failed(Parcel parcel, SmtpReply reply, int recipients) =>
        About(parcel, "failed", ("domain", parcel.Domain), ("why", Codes(reply)), ("rcpts", recipients));

    /// <summary>Nothing of what was on its way before there were records, nor of what is for our own server only.</summary>
    private IReadOnlyList<LogEntry> About(Parcel parcel, string ev, params (string, object?)[] fields) =>
        Keeps && parcel.Own.Length > 0 && parcel.Route != ParcelRoute.Local && parcel.Leaving != Leaving.Exempt
            ?
            [
                Entry(parcel.Own, parcel.Domain, parcel.Id, new(ev, [("id", parcel.Id), .. fields])) with
                {
                    BeginsNoLog = parcel.Route == ParcelRoute.World,
                },
            ]
            : [];

    /// <summary>Its text may name people.</summary>
    private static string Codes(SmtpReply reply) =>
        reply.Status.Length > 0 ? $"{reply.Code} {reply.Status}" : $"{reply.Code}";

    private static string Word<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();

    /// <summary>Who wrote to whom, and what else is private.</summary>
    private static Private Hide(InnerHeader header, ReadOnlySpan<byte> fields, params (string, object?)[] more)
    {
        var from = header.MailFrom.Mailbox?.ToString() ?? "";
        var to = header.RcptTo.Select(r => r.Mailbox.ToString()).ToList();
        var messageId = HeaderFields.Values(fields, "Message-ID").FirstOrDefault();
        var queueId = QueueId.OfReceived(HeaderFields.Values(fields, "Received").FirstOrDefault());
        return new(
            RecordOpening.Write([("from", from), ("to", to), ("msgid", messageId), .. more]),
            [
                .. messageId is null ? [] : new[] { FoundBy.MessageId(messageId) },
                .. queueId is null ? [] : new[] { FoundBy.QueueId(queueId) },
                .. to.Append(from).Where(a => a.Length > 0).Select(FoundBy.Address).Distinct(),
            ]
        );
    }
}
