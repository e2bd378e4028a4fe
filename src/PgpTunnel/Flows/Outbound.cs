using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Mail from our own mail server to the world, top to bottom:
/// 1 policy and 2 peer lookup at RCPT, each recipient answered; 3 seal and 4 commit at the end of the message, then 250. The message is
/// taken whole or not at all. Mirrors <see cref="Inbound"/>.
/// </summary>
internal sealed partial class Outbound(
    Site site,
    Decisions decisions,
    Peers peers,
    Arming arming,
    Parcels parcels,
    OwnMail ownMail,
    Alarms alarms,
    SpoolRoom room
) : IMailFlow
{
    private readonly Site _site = site;
    private readonly Decisions _decisions = decisions;
    private readonly Peers _peers = peers;
    private readonly Arming _arming = arming;
    private readonly Parcels _parcels = parcels;
    private readonly OwnMail _ownMail = ownMail;
    private readonly Alarms _alarms = alarms;
    private readonly SpoolRoom _room = room;

    private const long AssumedSize = 8 * 1024 * 1024; // of a message whose size was not declared
    private const string RequireField = "PgpTunnel-Require",
        RequireFieldX = "X-PgpTunnel-Require";

    /// <summary>Who may send, and for which of our domains.</summary>
    public Task<(SmtpReply, IMailTransaction?)> BeginAsync(
        SmtpClientInfo client,
        ReversePath from,
        CancellationToken cancel
    )
    {
        var listener = _site.Configuration.Listen.Outbound;
        if (listener is null || !listener.Networks.Any(n => n.Contains(client.Address)))
            return Refuse(new SmtpReply(550, "5.7.1", $"{client.Address} is not in listen.outbound.networks"));
        if (from.Mailbox is { IsLiteral: true })
            return Refuse(
                new SmtpReply(550, "5.1.7", "a sender with an address literal cannot be answered through the tunnel")
            );
        if (from.Mailbox is { } mailbox && !Domains.TryNormalise(mailbox.Domain, out _))
            return Refuse(new SmtpReply(550, "5.1.7", "the sender's domain is not a domain"));
        if (TooLong(from.ToString()) is { } tooLong)
            return Refuse(tooLong);
        if (from.Mailbox is { } writer && listener.Senders is { } senders && !senders.Contains(OwnDomain(from) ?? ""))
            return Refuse(
                new SmtpReply(
                    550,
                    "5.7.1",
                    $"this listener does not send for {writer.Domain} (listen.outbound.senders)"
                )
            );
        if (_room.Refusal() is { } full)
            return Refuse(full);
        return Task.FromResult<(SmtpReply, IMailTransaction?)>(
            (new SmtpReply(250, "2.1.0", "sender OK"), new Transaction(this, from, listener.Senders))
        );

        Task<(SmtpReply, IMailTransaction?)> Refuse(SmtpReply reply)
        {
            _site.Log.Write("refused", ("client", client.Address), ("from", $"<{from.Mailbox}>"), ("reply", reply));
            return Task.FromResult<(SmtpReply, IMailTransaction?)>((reply, null));
        }
    }

    private static SmtpReply? TooLong(string path) =>
        System.Text.Encoding.UTF8.GetByteCount(path) <= InnerHeader.LongestPath
            ? null
            : new SmtpReply(
                550,
                "5.5.4",
                $"address and parameters have more than {InnerHeader.LongestPath} octets together"
            );

    /// <summary>The domain of the reverse-path if it is one of ours.</summary>
    private string? OwnDomain(ReversePath from) =>
        from.Mailbox is { } mailbox
        && Domains.TryNormalise(mailbox.Domain, out var domain)
        && _site.Configuration.Domains.Contains(domain)
            ? domain
            : null;

    /// <summary>Where a recipient's mail goes; one decision a domain and transaction.</summary>
    private sealed record Decided(
        string Key,
        string Domain,
        ParcelRoute Route,
        Decision Decision,
        PeerState? Peer,
        bool OwnParcel
    )
    {
        /// <param name="gateway">The gateway's mailbox that it is for.</param>
        /// <param name="otherwise">The policy, where the message turns out to be no parcel and no report.</param>
        public static Decided Own(string key, string domain, Mailbox gateway, LocalPolicy otherwise) =>
            new(key, domain, ParcelRoute.World, new(DecisionKind.Clear, null, false, "a parcel of our own"), null, true)
            {
                Gateway = gateway,
                Otherwise = otherwise,
            };

        public Mailbox? Gateway { get; init; }

        public LocalPolicy Otherwise { get; init; }

        public bool Seals => Decision.Kind == DecisionKind.Seal;
    }

    private sealed class Transaction(Outbound outbound, ReversePath from, IReadOnlyList<string>? senders)
        : IMailTransaction
    {
        private readonly Dictionary<string, Decided> _decided = [],
            _destinations = [];
        private readonly List<(ForwardPath Path, string Key)> _recipients = [];

        // 1 and 2: policy and peer, at RCPT

        public async Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel)
        {
            if (recipient.Mailbox.Domain.Length == 0) // RFC 5321 4.5.1
                return Accept(
                    recipient with
                    {
                        Mailbox = outbound._ownMail.Postmaster,
                    },
                    new Decided(
                        "",
                        "",
                        ParcelRoute.Local,
                        new(DecisionKind.Clear, null, false, "postmaster"),
                        null,
                        false
                    )
                );
            var domain = recipient.Mailbox.Domain;
            if (!recipient.Mailbox.IsLiteral && !Domains.TryNormalise(domain, out domain))
                return new SmtpReply(550, "5.1.2", "the recipient's domain is not a domain");
            if (TooLong(recipient.ToString()) is { } tooLong)
                return tooLong;
            var configuration = outbound._site.Configuration;
            if (
                configuration.Deliver.Local.RefusesRouting
                && recipient.Mailbox.CarriesRouting
                && configuration.Domains.Contains(domain)
            )
                return Mailbox.RoutingRefusal;
            var own = await outbound.OwnParcelAsync(from, recipient.Mailbox, cancel);
            var key = own is not null ? $"{domain} {recipient.Mailbox}" : domain; // an exempt mailbox exempts nobody beside it
            if (!_decided.TryGetValue(key, out var destination))
                _decided[key] = destination = own is not null
                    ? Decided.Own(key, domain, recipient.Mailbox, outbound.PolicyOf(own))
                    : await outbound.DecideAsync(domain, SenderDomain(null), LocalPolicy.Never, cancel);
            if (destination.Decision.Reply is { } refusal)
            {
                await outbound.ReportAsync(destination, from, refusal);
                return refusal;
            }
            if (destination is { Seals: true, Decision.Alarm: true })
                await outbound.WarnAsync(destination);
            return TooLarge(destination, from.Size ?? 0) ?? Accept(recipient, destination);
        }

        private SmtpReply Accept(ForwardPath recipient, Decided destination)
        {
            // Each destination takes its own copy through memory; a client sends the rest in another transaction (RFC 5321 4.5.3.1.10).
            if (
                _destinations.Count > 0
                && !_destinations.ContainsKey(destination.Key)
                && (_destinations.Count + 1) * (from.Size ?? AssumedSize)
                    > outbound._site.Configuration.Limits.Memory / 4
            )
                return new SmtpReply(
                    452,
                    "4.5.3",
                    "too many destinations for a message of this size; send the rest in another transaction"
                );
            _destinations[destination.Key] = destination;
            _recipients.Add((recipient, destination.Key));
            return destination.Decision.RecipientReply(destination.Domain);
        }

        private static SmtpReply? TooLarge(Decided destination, long size) =>
            destination.Seals && destination.Peer!.Size is { } largest && size > largest
                ? new SmtpReply(552, "5.3.4", $"{destination.Domain} takes messages of at most {largest} octets")
                : null;

        /// <summary>The reverse-path's domain if ours, else the header-From's if ours, else the first of our domains.</summary>
        private string SenderDomain(string? headerFrom)
        {
            var ours = senders ?? outbound._site.Configuration.Domains;
            return outbound.OwnDomain(from)
                ?? (headerFrom is not null && ours.Contains(headerFrom) ? headerFrom : ours[0]);
        }

        // 3 and 4: seal, commit, at the end of the message

        public async Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel)
        {
            if (HeaderFields.LoopRefusal(message.Span) is { } loop)
                return loop;
            var wishes = HeaderFields
                .Values(message.Span, RequireField)
                .Concat(HeaderFields.Values(message.Span, RequireFieldX))
                .ToList();
            if (wishes.Any(w => !w.Equals("yes", StringComparison.OrdinalIgnoreCase)))
                return new SmtpReply(554, "5.6.0", $"{RequireField} has another value than yes");
            var required = wishes.Count > 0;
            var senderDomain = SenderDomain(HeaderFields.FromDomain(message.Span));
            await RecogniseAsync(message, senderDomain, required, cancel);
            if (await RefreshAsync(senderDomain, required, cancel) is { } worse)
                return worse;
            var content = HeaderFields.Without(
                message,
                (name, _) =>
                    name.Equals(RequireField, StringComparison.OrdinalIgnoreCase)
                    || name.Equals(RequireFieldX, StringComparison.OrdinalIgnoreCase)
            );
            var size = content.Sum(c => (long)c.Length);
            if (_destinations.Values.Select(d => TooLarge(d, size)).FirstOrDefault(r => r is not null) is { } tooLarge)
                return tooLarge;
            if (_destinations.Count > 1 && _destinations.Count * size > outbound._site.Configuration.Limits.Memory / 2)
                return new SmtpReply(
                    452,
                    "4.3.1",
                    "too many destinations for a message of this size; declare SIZE, or send to fewer at once"
                );
            var refused = _destinations.Values.Where(d => d.Decision.Reply is not null).ToList();
            if (refused.Count == _destinations.Count)
            {
                await outbound.ReportAsync(refused[0], from, refused[0].Decision.Reply!);
                return refused[0].Decision.Reply!;
            }
            var made = await LargeWork.DoAsync(
                size,
                () =>
                    _destinations
                        .Values.Except(refused)
                        .SelectMany(d => Make(d, senderDomain, content, required))
                        .ToList(),
                cancel
            );
            var items = made.Select(m => (m.Parcel, m.Content)).ToList();
            foreach (var destination in refused)
                await outbound.ReportAsync(destination, from, destination.Decision.Reply!);
            items.AddRange(NoticesFor(refused, senderDomain, content));
            return await outbound.StoreAsync(
                items,
                made.Select(m => (m.Parcel, m.Decided)).ToList(),
                from,
                HeaderFields.Values(message.Span, "Message-ID").FirstOrDefault(),
                size
            );
        }

        private const int LongestReport = 64 * 1024;
        private const int TokenDigits = 32;

        /// <summary>
        /// What was exempt by its envelope stays so only by its shape: a parcel, or to a token a report or something as small (bounces of a
        /// partner's parcels that our own mail server makes). All else is decided about like any other mail.
        /// </summary>
        private async Task RecogniseAsync(
            ReadOnlyMemory<byte> message,
            string senderDomain,
            bool required,
            CancellationToken cancel
        )
        {
            var claimed = _destinations.Values.Where(d => d.OwnParcel).ToList();
            if (claimed.Count == 0 || OuterMessage.FindParcel(message) is not null)
                return;
            var report = from.Mailbox is null && (message.Length <= LongestReport || OuterMessage.IsReport(message));
            foreach (var destination in claimed.Where(d => !(report && IsToken(d.Gateway!))))
            {
                var atLeast =
                    required && destination.Otherwise < LocalPolicy.Require
                        ? LocalPolicy.Require
                        : destination.Otherwise;
                _destinations[destination.Key] = await outbound.DecideAsync(
                    destination.Domain,
                    senderDomain,
                    atLeast,
                    cancel
                ) with
                {
                    Key = destination.Key,
                };
            }
        }

        private static bool IsToken(Mailbox mailbox) =>
            mailbox.Local.IndexOf('+') is > 0 and var plus
            && mailbox.Local.Length - plus - 1 == TokenDigits
            && mailbox.Local.Skip(plus + 1).All(char.IsAsciiHexDigitLower);

        /// <summary>
        /// Takes a decision again whose time has run out, or that the message itself raises to require; a worse one defers the whole
        /// message, save a refusal that only the message's wish brought: that becomes a notice.
        /// </summary>
        private async Task<SmtpReply?> RefreshAsync(string senderDomain, bool required, CancellationToken cancel)
        {
            foreach (var old in _destinations.Values.Where(d => !d.OwnParcel && d.Route != ParcelRoute.Local).ToList())
            {
                var stale = old.Peer is { } peer && peer.Until <= outbound._site.Time.GetUtcNow();
                var armed = !old.Seals || outbound._arming.State(senderDomain).IsArmed;
                if (!stale && armed && !(required && !old.Seals))
                    continue;
                var anew = await outbound.DecideAsync(
                    old.Domain,
                    senderDomain,
                    required ? LocalPolicy.Require : old.Otherwise,
                    cancel
                );
                if (anew.Decision.Kind > old.Decision.Kind && !(required && anew.Decision.Kind == DecisionKind.Refuse))
                {
                    var reply = new SmtpReply(
                        451,
                        anew.Decision.Reply is { IsTemporary: true } r ? r.Status : "4.7.5",
                        $"the decision for {old.Domain} has changed since RCPT: {anew.Decision.Why}"
                    );
                    await outbound.ReportAsync(anew, from, reply);
                    return reply;
                }
                _destinations[old.Key] = anew with { Key = old.Key, Gateway = old.Gateway, Otherwise = old.Otherwise };
            }
            return null;
        }

        private IEnumerable<(Parcel Parcel, ParcelContent Content, Decided Decided)> Make(
            Decided destination,
            string senderDomain,
            IReadOnlyList<ReadOnlyMemory<byte>> content,
            bool required
        )
        {
            // Gateways of version 0.1 refuse a parcel with a long local part: so each such recipient has one of its own, and that refusal is
            // no reason for clear text.
            var paths = _recipients
                .Where(r => r.Key == destination.Key)
                .Select(r => r.Path)
                .Distinct()
                .ToLookup(p => p.Mailbox.IsLong);
            foreach (var chunk in paths[false].Chunk(InnerHeader.MaxRecipients).Concat(paths[true].Chunk(1)))
            {
                var isLong = chunk[0].Mailbox.IsLong || (from.Mailbox?.IsLong ?? false);
                var leaving =
                    destination.OwnParcel ? Leaving.Exempt
                    : required ? Leaving.SealedOnly
                    : destination.Seals
                    && !isLong
                    && PeerState.OnlyTests(outbound._site.Configuration.PolicyFor(destination.Domain), destination.Peer)
                        ? Leaving.ClearAfterTest
                    : Leaving.AsDecided;
                var (parcel, body) = destination.Seals
                    ? outbound._parcels.Seal(destination.Peer!, senderDomain, from, chunk, content, leaving)
                    : outbound._parcels.Keep(
                        destination.Route,
                        destination.Domain,
                        senderDomain,
                        from,
                        chunk,
                        content,
                        leaving
                    );
                yield return (parcel, body, destination);
            }
        }

        /// <summary>Recipients that cannot be sealed for, where the message asked for it: a notice each domain, to the sender.</summary>
        private IEnumerable<(Parcel, ParcelContent)> NoticesFor(
            List<Decided> refused,
            string senderDomain,
            IReadOnlyList<ReadOnlyMemory<byte>> content
        )
        {
            foreach (var destination in refused)
            {
                var failed = _recipients
                    .Where(r => r.Key == destination.Key)
                    .Select(r => (r.Path, destination.Decision.Reply!))
                    .ToList();
                if (
                    Notice.Build(
                        outbound._site.Configuration,
                        NoticeAction.Failed,
                        from,
                        failed,
                        content,
                        outbound._site.Time.GetUtcNow(),
                        null
                    ) is
                    { } notice
                )
                    yield return outbound._ownMail.Report(senderDomain, from, notice, Leaving.AsDecided);
            }
        }
    }

    private async Task<Decided> DecideAsync(
        string domain,
        string senderDomain,
        LocalPolicy atLeast,
        CancellationToken cancel
    )
    {
        var (decision, peer) = await _decisions.DecideAsync(domain, senderDomain, atLeast, cancel);
        return new Decided(
            domain,
            domain,
            _site.Configuration.Domains.Contains(domain) ? ParcelRoute.Local : ParcelRoute.World,
            decision,
            peer,
            false
        );
    }

    /// <summary>
    /// By its envelope, a parcel of a gateway's that our own mail server sends on: the null sender or a token of ours, to the mailbox that the
    /// domain's policy names as its gateway. What it is shows at its end.
    /// </summary>
    /// <returns>The state of the domain whose gateway it is for; null = it is no such parcel.</returns>
    private async Task<PeerState?> OwnParcelAsync(ReversePath from, Mailbox recipient, CancellationToken cancel)
    {
        string domain;
        if (from.Mailbox is not null)
        {
            if (
                GatewayAddress.TokenOf(_site.Configuration.Gateway, from.Mailbox) is not { } token
                || _site.Spool.FindToken(token) is not { } parcel
            )
                return null;
            domain = parcel.Domain;
        }
        else
        {
            var under = recipient.Domain.IndexOf('.');
            if (
                under <= 0
                || !recipient.Domain[..under].Equals(PolicyRecord.DefaultLocalPart, StringComparison.OrdinalIgnoreCase)
                || !Domains.TryNormalise(recipient.Domain[(under + 1)..], out domain)
            )
                return null;
        }
        var peer = await _peers.FindAsync(domain, false, cancel);
        return GatewayAddress.Matches(peer.Gateway, recipient, out _) ? peer : null;
    }

    /// <summary>What a domain's own mail would be held to.</summary>
    private LocalPolicy PolicyOf(PeerState peer)
    {
        var local = _site.Configuration.PolicyFor(peer.Domain);
        return peer.Remembered && local is LocalPolicy.Prefer ? LocalPolicy.Require : local;
    }
}
