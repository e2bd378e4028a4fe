using System.Buffers;
using System.Collections.Concurrent;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What became of opening a parcel: a refusal with its reason for the log, or all its parts.</summary>
/// <param name="Refusal">Null = opened, verified, and addressed to us.</param>
/// <param name="Header">Null when the parcel did not come that far.</param>
internal sealed record Opened(
    SmtpReply? Refusal,
    string Why,
    bool Alarm,
    InnerHeader? Header,
    ReadOnlyMemory<byte> Message,
    DecryptedMessage? Decrypted,
    ReadOnlyMemory<byte> Octets
)
{
    /// <summary>The sender's domain, once its signature has verified, whatever came after; null = it has not.</summary>
    public PeerState? VerifiedBy { get; init; }
}

/// <summary>
/// Opens a parcel and checks it, in the order of PROTOCOL.md 7: packet shape, decryption, header block, the sender domain's DNS, the
/// signature, and only then what it asks for. Whether it was here before, and its age, are asked after that by the caller.
/// </summary>
/// <param name="arrays">Where the arrays of what is opened come from; null = each has its own.</param>
/// <param name="clock">Tells how much time has passed for certain; null = the clock is believed.</param>
internal sealed class Opening(
    Settings settings,
    Peers peers,
    TimeProvider time,
    ArrayPool<byte>? arrays = null,
    ClockWatch? clock = null
)
{
    private static readonly TimeSpan Patience = TimeSpan.FromHours(48),
        Ahead = TimeSpan.FromHours(1);

    /// <summary>One text for every failure between the first packet and the signature: nobody learns which step failed.</summary>
    internal static readonly SmtpReply Uniform = new(550, "5.7.5", "the parcel does not open and verify");

    /// <summary>Age is measured by what has passed for certain: a clock that has jumped refuses nothing for good.</summary>
    private DateTimeOffset Sure => clock?.Sure ?? time.GetUtcNow();

    /// <summary>How a check ends that does not pass.</summary>
    private sealed record Failure(SmtpReply Reply, string Why, bool Alarm = false);

    /// <param name="text">Armored message, or binary.</param>
    /// <param name="outerDate">The outer Date field; <see cref="DateTimeOffset.MinValue"/> when there is none.</param>
    public async Task<Opened> OpenAsync(ReadOnlyMemory<byte> text, DateTimeOffset outerDate, CancellationToken cancel)
    {
        ReadOnlyMemory<byte> octets = default;
        DecryptedMessage? decrypted = null;
        InnerHeader header;
        ReadOnlyMemory<byte> message;
        try
        {
            octets = Armor.IsIn(Armor.Message, text.Span)
                ? Armor.Decode(Armor.Message, text.Span, arrays)
                : text.ToArray();
            decrypted = await LargeWork.DoAsync(
                octets.Length,
                () => MessageOpener.Decrypt(octets.Span, settings.Keys.Keys, arrays),
                cancel
            );
            (header, message) = ParcelBody.Read(decrypted.UnverifiedBody, ours: false);
        }
        catch (NoKeyException e)
        {
            // A key directory that is not mounted must not bounce everything.
            return outerDate != DateTimeOffset.MinValue && Sure - outerDate >= Patience
                ? Refused(new(Uniform, e.Message, Alarm: true), null, octets, decrypted)
                : Refused(
                    new(
                        new SmtpReply(451, "4.3.5", "the parcel is for a key this gateway does not hold; try again"),
                        $"{e.Message}; is keys.directory complete?",
                        Alarm: true
                    ),
                    null,
                    octets,
                    decrypted
                );
        }
        catch (Exception e) when (e is not (OutOfMemoryException or OperationCanceledException))
        {
            return Refused(new(Uniform, e.Message), null, octets, decrypted);
        }
        var (unverified, peer) = await CheckSenderAsync(decrypted, header, cancel);
        if (unverified is not null)
            return Refused(unverified, header, octets, decrypted);
        return CheckEnvelope(decrypted, header, message) is { } failure
            ? Refused(failure, header, octets, decrypted) with
            {
                VerifiedBy = peer,
            }
            : new Opened(null, "opened and verified", false, header, message, decrypted, octets) { VerifiedBy = peer };
    }

    private Opened Refused(
        Failure failure,
        InnerHeader? header,
        ReadOnlyMemory<byte> octets,
        DecryptedMessage? decrypted
    )
    {
        Octets.GiveBack(arrays, octets, secret: false);
        if (decrypted is not null)
            Octets.GiveBack(arrays, decrypted.UnverifiedBody, secret: true);
        return new(failure.Reply, failure.Why, failure.Alarm, header, default, null, default);
    }

    /// <summary>The sender domain's DNS, then the signature.</summary>
    private async Task<(Failure?, PeerState)> CheckSenderAsync(
        DecryptedMessage decrypted,
        InnerHeader header,
        CancellationToken cancel
    )
    {
        var domain = header.Sender.Domain;
        var budget = new WorkBudget { Asker = Asker.Stranger }; // one for all that this parcel causes
        var peer = await peers.AskAsync(domain, fresh: false, budget, cancel);
        var failure = Check(peer, decrypted, header);
        // A key may have been published since; and nothing is refused for good on an old answer. Strangers name domains too, so each is
        // asked afresh once in a while only.
        if (failure is not null && (failure.Reply.IsPermanent || !peer.Listed.Contains(header.Sender.Fingerprint)))
        {
            if (MayAskAfresh(domain))
            {
                peer = await peers.AskAsync(domain, fresh: true, budget, cancel);
                failure = Check(peer, decrypted, header);
                _asked[domain] = (time.GetUtcNow(), peer.Class != PeerClass.Temporary);
            }
            else if (failure.Reply.IsPermanent && _asked.TryGetValue(domain, out var last) && !last.Settled)
                failure = failure with { Reply = NotNow(domain) };
        }
        if (failure is null)
            await peers.RememberAsync(peer);
        return (failure, peer);
    }

    private static SmtpReply NotNow(string domain) =>
        new(451, "4.7.5", $"the keys of {domain} cannot be established now");

    private static readonly TimeSpan FreshEvery = TimeSpan.FromSeconds(30);
    private const int MostRemembered = 10_000;

    /// <summary>When a domain was last asked afresh, and whether it answered.</summary>
    private readonly ConcurrentDictionary<string, (DateTimeOffset At, bool Settled)> _asked = new();

    private bool MayAskAfresh(string domain)
    {
        var now = time.GetUtcNow();
        if (_asked.TryGetValue(domain, out var last) && (now - last.At).Duration() < FreshEvery)
            return false;
        if (_asked.Count >= MostRemembered)
            _asked.Clear();
        _asked[domain] = (now, false);
        return true;
    }

    private Failure? Check(PeerState peer, DecryptedMessage decrypted, InnerHeader header)
    {
        var (domain, fingerprint) = header.Sender;
        var young = Sure - header.Date < Patience;
        var key = peer.Signers.FirstOrDefault(k => k.Fingerprint == fingerprint);
        // What a parcel claims is no alarm: anybody can make one. What the domain's own records have become is.
        var suspicious =
            (peer.Trusted && !peer.TrustedOffered)
            || (peer.Remembered && (peer.Class is PeerClass.None or PeerClass.Insecure || peer.Facts.Bogus));
        if (peer.Distrusted.Contains(fingerprint))
            return new(Uniform, $"{domain} distrusts {fingerprint} (xfp)");
        if (peer.Class == PeerClass.Temporary || (peer.Class == PeerClass.Unusable && key is null && !peer.Trusted))
            return new(NotNow(domain), peer.Why, Alarm: suspicious);
        // Where fingerprints are trusted only those count, in every class (PROTOCOL.md 3).
        if (peer.Trusted && key is null)
            return new(
                new SmtpReply(451, "4.7.5", $"{domain} does not offer a key that was verified for it"),
                peer.Why,
                Alarm: suspicious
            );
        if (peer.Class is PeerClass.None or PeerClass.Insecure)
            return peer.Remembered || peer.Outdated
                ? new(NotNow(domain), peer.Why, Alarm: suspicious)
                : new(
                    young
                        ? new SmtpReply(451, "4.7.1", $"{domain} publishes no gateway key that can be trusted")
                        : new SmtpReply(550, "5.7.1", $"{domain} publishes no gateway key that can be trusted"),
                    peer.Why
                );
        if (!peer.Listed.Contains(fingerprint))
            return new(
                young ? new SmtpReply(451, "4.7.5", $"{domain} does not list the signing key") : Uniform,
                $"{domain} lists {string.Join(", ", peer.Listed)}, not {fingerprint}"
            );
        if (key is null)
            return new(Uniform, $"the certificate {fingerprint} of {domain} is not usable");
        var now = time.GetUtcNow();
        if (decrypted.VerifiedBy(key, now, out var why) is not null)
            return null;
        if (decrypted.IsByExpired(key, now))
            return new(new SmtpReply(451, "4.7.5", $"the key of {domain} has expired"), why);
        // One of the two clocks is wrong, and nothing else is: that is no reason to bounce mail.
        return decrypted.IsEarly(key, now) || decrypted.VerifiedBy(key, Sure, out _) is not null
            ? new(
                new SmtpReply(451, "4.7.0", "the time of the parcel's signature does not fit this gateway's clock"),
                why
            )
            : new(Uniform, why);
    }

    /// <inheritdoc cref="Peers.IsPartner"/>
    public bool IsFromPartner(InnerHeader header) => peers.IsPartner(header.Sender.Domain);

    /// <summary>Said to a verified sender only: what the parcel asks for, and whether it may.</summary>
    private Failure? CheckEnvelope(DecryptedMessage decrypted, InnerHeader header, ReadOnlyMemory<byte> message)
    {
        var configuration = settings.Configuration;
        if (
            configuration.Listen.Inbound is { PartnersOnly: true }
            && !configuration.Policy.Names(header.Sender.Domain)
            && !peers.IsVerified(header.Sender.Domain)
        )
            return new(
                new SmtpReply(
                    550,
                    "5.7.1",
                    $"this gateway takes mail of its partners only, and {header.Sender.Domain} is none"
                ),
                "listen.inbound.from is partners"
            );
        if (header.NotUnderstood is { } unknown)
            return new(new SmtpReply(550, "5.5.5", $"this gateway does not understand {unknown}"), unknown);
        if (header.Expires < header.Date || header.Expires - header.Date > ParcelLife.Longest)
            return new(Uniform, "Expires lies before Date or more than 14 days after it");
        if (message.Length > configuration.Limits.MessageSize)
            return new(
                new SmtpReply(552, "5.3.4", $"the message is larger than {configuration.Limits.MessageSize} octets"),
                $"{message.Length} octets"
            );
        if (!configuration.Domains.Contains(header.Recipient.Domain))
            return new(
                new SmtpReply(550, "5.1.2", $"{header.Recipient.Domain} is not served here"),
                "recipient domain not ours"
            );
        if (header.Recipient.Fingerprint != decrypted.KeyFingerprint)
            return new(
                new SmtpReply(550, "5.7.1", "the parcel is bound to another key than the one that opened it"),
                "surreptitious forwarding?"
            );
        if (MessageContent.Refusal(message.Span) is { } bad)
            return new(bad, "what is inside could not be handed on unaltered");
        var stranger = header.RcptTo.FirstOrDefault(r =>
            !Domains.TryNormalise(r.Mailbox.Domain, out var domain)
            || domain != header.Recipient.Domain
            || GatewayAddress.Matches(configuration.Gateway, r.Mailbox, out _)
        );
        return stranger is null
            ? null
            : new(
                new SmtpReply(550, "5.7.1", "a recipient inside the parcel does not belong to its domain"),
                "inner recipient outside its domain"
            );
    }

    /// <summary>The clock's part of the checks; a replay is asked for before it.</summary>
    /// <param name="signed">The signature's own time. It decides whether its key had expired, so it must be that of the parcel, which
    /// freshness bounds.</param>
    public (SmtpReply Reply, string Why)? CheckFreshness(InnerHeader header, DateTimeOffset signed)
    {
        var now = time.GetUtcNow();
        return header.Date > now + Ahead
                ? (
                    new SmtpReply(451, "4.7.0", "the parcel's date lies in the future"),
                    $"Date {InnerHeader.Time(header.Date)}; is one of the two clocks wrong?"
                )
            : header.Expires < now && header.Expires >= Sure
                ? (
                    new SmtpReply(451, "4.7.0", "the parcel may have expired; this gateway's clock is in doubt"),
                    "the clock has jumped"
                )
            : header.Expires < now
                ? (new SmtpReply(550, "5.4.7", "the parcel has expired"), $"Expires {InnerHeader.Time(header.Expires)}")
            : (signed - header.Date).Duration() > Ahead
                ? (Uniform, $"signed at {InnerHeader.Time(signed)}, but dated {InnerHeader.Time(header.Date)}")
            : null;
    }
}
