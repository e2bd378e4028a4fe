using System.Diagnostics;
using System.Security.Cryptography;
using MimeKit;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Mail from the world to our gateway mailbox: 1 recognise (<c>Inbound.Transaction.cs</c>); 2 open and check before the answer to the
/// message (<see cref="Opening"/>), 3 commit, then 250 (here). Nothing of a parcel goes on before its integrity, signature and envelope
/// have all passed. Mirrors <see cref="Outbound"/>.
/// </summary>
internal sealed partial class Inbound(
    Site site,
    Opening opening,
    Parcels parcels,
    OwnMail ownMail,
    Returns returns,
    Echoes echoes,
    ParcelHeads heads,
    ReceiptReader receipts,
    Witness witness,
    Alarms alarms,
    SpoolRoom room
) : IMailFlow
{
    private readonly Site _site = site;
    private readonly Opening _opening = opening;
    private readonly Parcels _parcels = parcels;
    private readonly OwnMail _ownMail = ownMail;
    private readonly Returns _returns = returns;
    private readonly Echoes _echoes = echoes;
    private readonly ParcelHeads _heads = heads;
    private readonly ReceiptReader _receipts = receipts;
    private readonly Witness _witness = witness;
    private readonly Alarms _alarms = alarms;
    private readonly SpoolRoom _room = room;
    private readonly (DateTimeOffset Made, DateTimeOffset Restored)? _restored = site.Spool.Restored; // while no gateway runs

    public Task<(SmtpReply, IMailTransaction?)> BeginAsync(
        SmtpClientInfo client,
        ReversePath from,
        CancellationToken cancel
    ) =>
        Task.FromResult<(SmtpReply, IMailTransaction?)>(
            _room.Refusal() is { } full
                ? (full, null)
                : (new SmtpReply(250, "2.1.0", "sender OK"), new Transaction(this, client, from))
        );

    // 2 open and check

    private SmtpReply Refuse(
        SmtpReply reply,
        SmtpClientInfo client,
        string detail,
        InnerHeader? header = null,
        bool alarm = false
    )
    {
        _site.Log.Write(
            reply.IsTemporary ? "inbound-deferred" : "inbound-refused",
            ("id", header?.Id),
            ("from", header?.Sender.Domain),
            ("client", client.Address),
            ("alarm", alarm ? true : null),
            ("why", detail),
            ("reply", reply)
        );
        return reply;
    }

    private async Task<SmtpReply> TakeParcelAsync(
        ReadOnlyMemory<byte> armored,
        DateTimeOffset outerDate,
        SmtpClientInfo client,
        CancellationToken cancel
    )
    {
        var begun = _site.Time.GetUtcNow();
        var opened = await _opening.OpenAsync(armored, outerDate, cancel);
        if (opened is { Refusal.IsTemporary: true, Alarm: true, Header.Sender.Domain: var domain })
            await _alarms.RaiseAsync(domain, opened.Why);
        if (opened.Refusal is { } refusal)
        {
            var refused = Refuse(refusal, client, opened.Why, opened.Header, opened.Alarm);
            if (opened.VerifiedBy is not null && refusal.IsPermanent)
                await _site.Spool.CommitAsync(new() { Entries = _witness.Refused(opened.Header!, refusal) });
            else if (refusal.IsPermanent)
                _witness.CountNoise();
            if (refusal == Opening.Uniform)
                await TickClock.NextAsync(cancel);
            return refused;
        }
        var content = new ParcelContent(opened.Octets, [], []) { Opened = (opened.Header!, opened.Message) };
        var sender = await _witness.ProveAsync(opened.VerifiedBy!);
        if (opened.Header!.Kind == ParcelKind.Message)
            content.Entry = _witness.Opened(opened.Header, opened.Decrypted!, opened.Message, sender);
        var (kept, reply) = await TakeOpenedAsync((opened.Header, sender), opened.Decrypted!, content, client, cancel);
        Traces.Span(
            "open",
            ActivityKind.Server,
            opened.Header!.Id,
            (begun, _site.Time.GetUtcNow()),
            reply.IsPositive ? null : reply.Status,
            ("domain", opened.Header.Sender.Domain),
            ("size", opened.Header.Size)
        );
        if (!kept) // else it is the delivery's by now, as it may be after an exception
            _parcels.GiveBack(content);
        return reply;
    }

    private async Task<(bool Kept, SmtpReply Reply)> TakeOpenedAsync(
        (InnerHeader, PeerState) from,
        DecryptedMessage decrypted,
        ParcelContent content,
        SmtpClientInfo client,
        CancellationToken cancel
    )
    {
        var (header, sender) = from;
        if (Replayed(header, decrypted, client) is { } replayed)
        {
            await _heads.AskedAgainAsync(header);
            return (false, replayed);
        }
        if (_opening.CheckFreshness(header, decrypted.Signed!.Value) is var (stale, why))
        {
            var refused = Refuse(stale, client, why, header);
            if (stale == Opening.Uniform)
                await TickClock.NextAsync(cancel);
            return (false, refused);
        }
        var replay = new ReplayEntry(
            header.Sender.Fingerprint,
            header.Id,
            decrypted.BodySha256,
            header.Expires + ParcelLife.Longest
        );
        var change = new SpoolChange
        {
            Replay = replay,
            Facts = OldSubkeyUse(header, content),
            Witnessed = await _heads.TakeAsync(header, sender),
        };
        if (header.Kind == ParcelKind.Message)
            return await CommitAsync(header, decrypted, content, change, client);
        var answer =
            header.Kind == ParcelKind.Receipt
                ? await _receipts.TakeAsync(header, content.Opened!.Value.Message, sender, change)
                : await _echoes.TakeAsync(header, change, cancel);
        return (false, answer.IsPositive ? answer : Refuse(answer, client, $"kind {header.Kind}", header));
    }

    /// <summary>
    /// That an older encryption subkey of ours is still used, where it is and by whom it matters: it is kept a while longer for that.
    /// </summary>
    private Dictionary<string, string> OldSubkeyUse(InnerHeader header, ParcelContent content) =>
        _opening.IsFromPartner(header)
        && _site.Settings.Keys.Keys.Any(k => k.HasOldEncryption && k.NeedsOldEncryption(content.Body.Span))
            ? new([Spool.OldSubkeyUsedNow(_site.Time.GetUtcNow())])
            : [];

    /// <summary>The same parcel again is an honest retransmission; another under the same id is not.</summary>
    private SmtpReply? Replayed(InnerHeader header, DecryptedMessage decrypted, SmtpClientInfo client)
    {
        if (_site.Spool.FindReplay(header.Sender.Fingerprint, header.Id) is not { } known)
            return null;
        if (!CryptographicOperations.FixedTimeEquals(known.BodySha256, decrypted.BodySha256))
            return Refuse(
                new SmtpReply(550, "5.7.1", "another parcel had this id"),
                client,
                "two parcels with one id",
                header,
                alarm: true
            );
        var reply = new SmtpReply(250, "2.0.0", $"{header.Id} was taken before");
        _site.Log.Write(
            "duplicate",
            ("id", header.Id),
            ("from", header.Sender.Domain),
            ("client", client.Address),
            ("reply", reply)
        );
        return reply;
    }

    // 3 commit, then 250

    private async Task<(bool Kept, SmtpReply Reply)> CommitAsync(
        InnerHeader header,
        DecryptedMessage decrypted,
        ParcelContent content,
        SpoolChange with,
        SmtpClientInfo client
    )
    {
        var now = _site.Time.GetUtcNow();
        var parcel = new Parcel
        {
            Id = $"{header.Id}-{header.Sender.Fingerprint}",
            Route = ParcelRoute.Local,
            Form = ParcelForm.Received,
            Domain = header.Sender.Domain,
            Own = header.Recipient.Domain,
            Lit = decrypted.BodySha256,
            Leaving = Leaving.AsDecided,
            Created = now,
            Expires = header.Expires,
            Next = now,
            KeyFingerprint = header.Sender.Fingerprint,
        };
        var messageId = MessageIdOf(content.Opened!.Value.Message.Span);
        if (content.Body.Length > _site.Configuration.Limits.LargeParcel)
            _parcels.Close(content); // so that it is not in memory twice until its turn
        if (!await _site.Spool.CommitAsync(with with { Add = [(parcel, content)] }))
            return (
                false,
                Replayed(header, decrypted, client) ?? throw new InvalidOperationException("a replay entry vanished")
            );
        var reply = new SmtpReply(250, "2.0.0", $"{header.Id} opened and verified for {header.Recipient.Domain}");
        if (_restored is var (made, restored) && header.Date <= restored)
            _site.Log.Write(
                "maybe-again",
                ("id", header.Id),
                ("from", header.Sender.Domain),
                (
                    "why",
                    $"it is of before {InnerHeader.Time(restored)}, when a backup of {InnerHeader.Time(made)} was restored: "
                        + "whether it came between is not known"
                ),
                ("do", "nothing: rather twice than never")
            );
        _site.Log.Write(
            "opened",
            ("id", header.Id),
            ("from", header.Sender.Domain),
            ("to", header.Recipient.Domain),
            ("msgid", messageId),
            ("recipients", header.RcptTo.Count),
            ("key", header.Sender.Fingerprint),
            ("client", client.Address),
            ("size", header.Size),
            ("reply", reply)
        );
        return (true, reply);
    }

    /// <summary>Null when it has none.</summary>
    private static string? MessageIdOf(ReadOnlySpan<byte> message) =>
        HeaderFields.Values(message[..MessageContent.HeaderLength(message)], "Message-ID").FirstOrDefault();

    // Not parcels: people's mail

    /// <summary>Mail that people write to the gateway goes to the postmaster; machines' mail has no business here.</summary>
    private async Task<SmtpReply> TakePlainAsync(
        ReadOnlyMemory<byte> message,
        MimeMessage? outer,
        ReversePath from,
        SmtpClientInfo client
    )
    {
        var automatic =
            from.Mailbox is null
            || outer is null
            || (outer.Headers["Auto-Submitted"] is { } auto && HeaderFields.Word(auto).Split(';')[0].Trim() != "no")
            || outer.Headers.Contains(HeaderId.ListId)
            || outer.Headers.Contains("PgpTunnel")
            || outer.Headers[HeaderId.Precedence] is not null;
        if (automatic)
            return Refuse(
                new SmtpReply(550, "5.7.1", "this mailbox takes sealed mail only"),
                client,
                "no parcel in it, and not written by a person"
            );
        byte[] received = System.Text.Encoding.ASCII.GetBytes(
            string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"Received: from {client.Helo} ([{client.Address}]) by {_site.Configuration.Hostname} "
                    + $"(PgpTunnel)\r\n\twith {(client.Esmtp ? client.Tls ? "ESMTPS" : "ESMTP" : "SMTP")}; "
                    + $"{MessageText.Date(_site.Time.GetUtcNow())}\r\n"
            )
        );
        var (parcel, content) = _ownMail.PassToPostmaster(from, [received, message]);
        await _site.Spool.CommitAsync(new() { Add = [(parcel, content)] });
        _site.Log.Write("to-postmaster", ("id", parcel.Id), ("client", client.Address));
        return new SmtpReply(250, "2.0.0", "passed on to the postmaster");
    }
}
