using System.Security.Cryptography;
using MimeKit;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Mail from the world to our gateway mailbox, top to bottom: 1 recognise, 2 open and check before the answer to the message, 3 commit,
/// then 250. Nothing of a parcel goes on before its integrity, signature and envelope have all passed. Mirrors <see cref="Outbound"/>.
/// </summary>
internal sealed class Inbound(
    Site site,
    Opening opening,
    Parcels parcels,
    OwnMail ownMail,
    Returns returns,
    Echoes echoes,
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
    private readonly Alarms _alarms = alarms;
    private readonly SpoolRoom _room = room;

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

    /// <summary>What kind of recipient was named.</summary>
    private enum Addressee
    {
        Gateway,
        Token,
        Postmaster,
    }

    private sealed class Transaction(Inbound inbound, SmtpClientInfo client, ReversePath from) : IMailTransaction
    {
        private readonly List<(Addressee Kind, string Token)> _addressees = [];

        /// <summary>A report may hold a whole parcel, and more: its beginning tells.</summary>
        public long? Enough =>
            _addressees.Count > 0 && _addressees.TrueForAll(a => a.Kind == Addressee.Token) ? Returns.Enough : null;

        public Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel)
        {
            var configuration = inbound._site.Configuration;
            var mailbox = recipient.Mailbox;
            if (GatewayAddress.Matches(configuration.Gateway, mailbox, out var token))
            {
                if (token.Length > 0 && inbound._returns.Refusal(from, token) is { } refusal)
                    return Task.FromResult(refusal);
                return Task.FromResult(Accept(token.Length > 0 ? Addressee.Token : Addressee.Gateway, token));
            }
            // RFC 5321 4.5.1: postmaster is there for whoever runs a server that takes mail.
            if (
                mailbox.Local.Equals("postmaster", StringComparison.OrdinalIgnoreCase)
                && (
                    mailbox.Domain.Length == 0
                    || mailbox.Domain.Equals(configuration.GatewayDomain, StringComparison.OrdinalIgnoreCase)
                )
            )
            {
                return Task.FromResult(Accept(Addressee.Postmaster, ""));
            }
            return Task.FromResult(
                new SmtpReply(550, "5.7.1", $"this gateway takes sealed mail for {configuration.Gateway} only")
            );
        }

        /// <summary>What comes to a token is about one parcel, so it is alone in its transaction; the rest gets another (RFC 5321 4.5.3.1.10).</summary>
        private SmtpReply Accept(Addressee kind, string token)
        {
            if (_addressees.Exists(a => a != (kind, token) && (a.Kind == Addressee.Token || kind == Addressee.Token)))
                return new SmtpReply(452, "4.5.3", "this recipient in a transaction of its own, please");
            _addressees.Add((kind, token));
            return new SmtpReply(250, "2.1.5", "OK");
        }

        public async Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel)
        {
            if (HeaderFields.LoopRefusal(message.Span) is { } loop)
                return inbound.Refuse(loop, client, "a mail loop");
            try
            {
                // 1 recognise
                if (_addressees.Find(a => a.Kind == Addressee.Token) is (Addressee.Token, { } token))
                    return await inbound._returns.TakeAsync(message, token);
                return
                    _addressees.Exists(a => a.Kind == Addressee.Gateway)
                    && OuterMessage.FindParcel(message) is { } armored
                    ? await inbound.TakeParcelAsync(armored, OuterMessage.DateOf(message), client, cancel)
                    : await inbound.TakePlainAsync(message, OuterMessage.Parse(message), from, client);
            }
            catch (SpoolException e)
            {
                inbound._site.Log.Write(
                    "not-taken",
                    ("client", client.Address),
                    ("why", e.Message),
                    ("do", e.Full ? "make room on the spool's disk" : "see that the spool can be written")
                );
                return e.Reply;
            }
        }
    }

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
        var opened = await _opening.OpenAsync(armored, outerDate, cancel);
        if (opened is { Refusal.IsTemporary: true, Alarm: true, Header.Sender.Domain: var domain })
            await _alarms.RaiseAsync(domain, opened.Why);
        if (opened.Refusal is { } refusal)
        {
            var refused = Refuse(refusal, client, opened.Why, opened.Header, opened.Alarm);
            if (refusal == Opening.Uniform)
                await NextTickAsync(cancel);
            return refused;
        }
        var content = new ParcelContent(opened.Octets, [], []) { Opened = (opened.Header!, opened.Message) };
        var (kept, reply) = await TakeOpenedAsync(opened.Header!, opened.Decrypted!, content, client, cancel);
        if (!kept) // else it is the delivery's by now, as it may be after an exception
            _parcels.GiveBack(content);
        return reply;
    }

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// The uniform refusal leaves at the next tick of a clock that knows nothing of the parcel: how long the refused step took is not told by
    /// when it comes. Nothing is worked on meanwhile, which would be a way to stop us.
    /// </summary>
    private static Task NextTickAsync(CancellationToken cancel) => Ticks.Value.Next.WaitAsync(cancel);

    /// <summary>All that wait leave together, by one timer: a delay of one's own would keep the part of a millisecond in which the work ended.</summary>
    private static readonly Lazy<TickClock> Ticks = new(() => new TickClock(Tick));

    private sealed class TickClock
    {
        private TaskCompletionSource _next = New();

        public TickClock(TimeSpan tick) => _ = RunAsync(tick);

        public Task Next => Volatile.Read(ref _next).Task;

        private async Task RunAsync(TimeSpan tick)
        {
            using var timer = new PeriodicTimer(tick);
            while (await timer.WaitForNextTickAsync())
                Interlocked.Exchange(ref _next, New()).TrySetResult();
        }

        private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private async Task<(bool Kept, SmtpReply Reply)> TakeOpenedAsync(
        InnerHeader header,
        DecryptedMessage decrypted,
        ParcelContent content,
        SmtpClientInfo client,
        CancellationToken cancel
    )
    {
        if (Replayed(header, decrypted, client) is { } replayed)
            return (false, replayed);
        if (_opening.CheckFreshness(header, decrypted.Signed!.Value) is var (stale, why))
        {
            var refused = Refuse(stale, client, why, header);
            if (stale == Opening.Uniform)
                await NextTickAsync(cancel);
            return (false, refused);
        }
        var replay = new ReplayEntry(
            header.Sender.Fingerprint,
            header.Id,
            decrypted.BodySha256,
            header.Expires + ParcelLife.Longest
        );
        if (header.Kind == ParcelKind.Message)
            return await CommitAsync(
                header,
                decrypted,
                content,
                new() { Replay = replay, Facts = OldSubkeyUse(header, content) },
                client
            );
        var answer = await _echoes.TakeAsync(
            header,
            new() { Replay = replay, Facts = OldSubkeyUse(header, content) },
            cancel
        );
        return (false, answer.IsPositive ? answer : Refuse(answer, client, "an echo", header));
    }

    /// <summary>That an older encryption subkey of ours is still used, where it is and by whom it matters: it is kept a while longer for that.</summary>
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
            Leaving = Leaving.AsDecided,
            Created = now,
            Expires = header.Expires,
            Next = now,
            KeyFingerprint = header.Sender.Fingerprint,
        };
        if (content.Body.Length > _site.Configuration.Limits.LargeParcel)
            _parcels.Close(content); // so that it is not in memory twice until its turn
        if (!await _site.Spool.CommitAsync(with with { Add = [(parcel, content)] }))
            return (
                false,
                Replayed(header, decrypted, client) ?? throw new InvalidOperationException("a replay entry vanished")
            );
        var reply = new SmtpReply(250, "2.0.0", $"{header.Id} opened and verified for {header.Recipient.Domain}");
        _site.Log.Write(
            "opened",
            ("id", header.Id),
            ("from", header.Sender.Domain),
            ("to", header.Recipient.Domain),
            ("recipients", header.RcptTo.Count),
            ("key", header.Sender.Fingerprint),
            ("client", client.Address),
            ("size", header.Size),
            ("reply", reply)
        );
        return (true, reply);
    }

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
                $"Received: from {client.Helo} ([{client.Address}]) by {_site.Configuration.Hostname} (PgpTunnel)\r\n\twith {(client.Esmtp ? client.Tls ? "ESMTPS" : "ESMTP" : "SMTP")}; {_site.Time.GetUtcNow().UtcDateTime:ddd, dd MMM yyyy HH:mm:ss} +0000\r\n"
            )
        );
        var (parcel, content) = _ownMail.PassToPostmaster(from, [received, message]);
        await _site.Spool.CommitAsync(new() { Add = [(parcel, content)] });
        _site.Log.Write("to-postmaster", ("id", parcel.Id), ("client", client.Address));
        return new SmtpReply(250, "2.0.0", "passed on to the postmaster");
    }
}
