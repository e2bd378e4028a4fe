using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Mail from our own mail server to the world: 1 policy and 2 peer look-up at RCPT, each recipient answered
/// (<c>Outbound.Transaction.cs</c>, AddAsync); at the end of the message it is looked at again, and 3 sealed
/// (<c>Outbound.Sealing.cs</c>); 4 committed, then 250 (<c>Outbound.Storing.cs</c>). The message is taken whole or not at all. Mirrors
/// <see cref="Inbound"/>.
/// </summary>
internal sealed partial class Outbound(
    Site site,
    Decisions decisions,
    Peers peers,
    Arming arming,
    Parcels parcels,
    OwnMail ownMail,
    Witness witness,
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
    private readonly Witness _witness = witness;
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

    private async Task<Decided> DecideAsync(
        string domain,
        string senderDomain,
        LocalPolicy atLeast,
        CancellationToken cancel,
        WorkBudget? budget = null
    )
    {
        var (decision, peer) = await _decisions.DecideAsync(domain, senderDomain, atLeast, cancel, budget);
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
    /// By its envelope, a parcel of a gateway's that our own mail server sends on: the null sender or a token of ours, to the mailbox
    /// that the domain's policy names as its gateway. From the null sender the domain is the one above the gateway's. What it is shows at
    /// its end.
    /// </summary>
    /// <returns>The state of the domain whose gateway it is for; null = it is no such parcel.</returns>
    private async Task<PeerState?> OwnParcelAsync(
        ReversePath from,
        Mailbox recipient,
        WorkBudget budget,
        CancellationToken cancel
    )
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
                || !(
                    IsToken(recipient)
                    || recipient
                        .Domain[..under]
                        .Equals(PolicyRecord.DefaultLocalPart, StringComparison.OrdinalIgnoreCase)
                )
                || !Domains.TryNormalise(recipient.Domain[(under + 1)..], out domain)
            )
                return null;
        }
        var peer = await _peers.FindAsync(domain, false, cancel, budget);
        return GatewayAddress.Matches(peer.Gateway, recipient, out _) ? peer : null;
    }

    private const int TokenDigits = 32;

    /// <summary>A gateway's mailbox with a token (PROTOCOL.md 4).</summary>
    private static bool IsToken(Mailbox mailbox) =>
        mailbox.Local.LastIndexOf('+') is > 0 and var plus
        && mailbox.Local.Length - plus - 1 == TokenDigits
        && mailbox.Local.Skip(plus + 1).All(char.IsAsciiHexDigit);

    /// <summary>What a domain's own mail would be held to.</summary>
    private LocalPolicy PolicyOf(PeerState peer)
    {
        var local = _site.Configuration.PolicyFor(peer.Domain);
        return peer.Remembered && local is LocalPolicy.Prefer ? LocalPolicy.Require : local;
    }
}
