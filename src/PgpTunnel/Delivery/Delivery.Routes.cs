using System.Globalization;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

internal sealed partial class Delivery
{
    // Sealed, to the gateway of another domain

    private async Task ToGatewayAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        if (decisions.OverrideFor(parcel.Domain) is { Reply: { } held })
        {
            await LaterAsync(parcel, held, cancel);
            return;
        }
        // A last attempt is not given up on an old answer.
        var peer = await peers.FindAsync(parcel.Domain, fresh: time.GetUtcNow() - parcel.Created >= settings.Configuration.Retry.GiveUp, cancel);
        var local = settings.Configuration.PolicyFor(parcel.Domain);
        // It is sealed already, so being armed is not asked; and "never" is no reason to unseal.
        var decision = Policy.Decide(local == LocalPolicy.Never ? LocalPolicy.Prefer : local, peer.Facts, ArmState.Armed, parcel.Domain);
        if (decision.Kind != DecisionKind.Seal)
        {
            if (decision.Alarm)
                await alarms.RaiseAsync(parcel.Domain, $"{decision.Why} ({peer.Why})");
            // From sealed there is no way to clear: the peer has become unusable, so the parcel waits for it.
            await LaterAsync(parcel, new SmtpReply(451, decision.Reply is { IsTemporary: true } r ? r.Status : "4.7.5", $"{decision.Why}: {peer.Why}"), cancel);
            return;
        }
        if (!peer.Keys.Any(k => k.Id == parcel.KeyFingerprint))
        {
            await ResealAsync(parcel, content, peer, cancel);
            return;
        }
        var gateway = settings.Configuration.Gateway;
        var to = Mailbox.TryParse(peer.Gateway, false, out var mailbox) ? mailbox : throw new InvalidOperationException("a gateway mailbox was checked");
        var relay = settings.Configuration.Relay;
        var outer = OuterMessage.Build(gateway, peer.Gateway, parcel.Token, parcel.Created, content.Body, Mark(relay));
        SmtpReply reply;
        try
        {
            reply = (await SendAsync(parcel, relay, to.Domain, new ReversePath(GatewayAddress.WithToken(gateway, parcel.Token)), [new ForwardPath(to)], outer, cancel))[0];
        }
        catch (SmtpUnavailableException e) when (e.Reply.IsPermanent)
        {
            reply = e.Reply; // its gateway's domain does not exist, or takes no mail: a final refusal like any other
        }
        if (reply.IsPositive)
        {
            await PersistAsync(new() { HandOver = new(parcel.Id, parcel.Expires + TokenLife) }, parcel, cancel);
            log.Write("delivered", ("id", parcel.Id), ("to", parcel.Domain), ("token", parcel.Token), ("reply", reply));
        }
        else if (reply.IsPermanent && parcel.Leaving == Leaving.ClearAfterTest && PeerState.OnlyTests(local, peer))
        {
            await RefusedTestAsync(parcel, content, reply, cancel);
        }
        else
        {
            await LaterAsync(parcel, reply, cancel);
        }
    }

    /// <summary>The key it was sealed for is gone: sealed anew under a new id for the key that is there now.</summary>
    private async Task ResealAsync(Parcel parcel, ParcelContent content, PeerState peer, CancellationToken cancel)
    {
        var (header, message) = parcels.Open(parcel, content);
        if (header.Kind == ParcelKind.Echo) // it asked about the key that is gone
        {
            await FailAsync(parcel, new SmtpReply(550, "5.7.5", $"the key of {parcel.Domain} has changed meanwhile"), cancel);
            return;
        }
        var (anew, sealedAnew) = parcels.Seal(peer, header.Sender.Domain, header.MailFrom, [.. Open(parcel, header)], [message], parcel.Leaving);
        await PersistAsync(new() { Remove = parcel.Id, Add = [(anew with { Created = parcel.Created, Delayed = parcel.Delayed, IsNotice = parcel.IsNotice }, sealedAnew)] }, parcel, cancel);
        log.Write("resealed", ("id", anew.Id), ("was", parcel.Id), ("to", parcel.Domain), ("key", peer.Preferred.Fingerprint));
    }

    private const int RefusalsBeforeClear = 3;
    private static readonly TimeSpan RefusedBeforeClear = TimeSpan.FromHours(4);

    /// <summary>One refusal is no reason for clear text: whoever can spoof a hop, or has a bad hour, would have it. Several over hours, by all servers, are.</summary>
    private async Task RefusedTestAsync(Parcel parcel, ParcelContent content, SmtpReply reply, CancellationToken cancel)
    {
        var now = time.GetUtcNow();
        var refused = parcel with { Refusals = parcel.Refusals + 1, RefusedSince = parcel.RefusedSince ?? now };
        if (refused.Refusals >= RefusalsBeforeClear && now - refused.RefusedSince >= RefusedBeforeClear && !clock.IsInDoubt)
            await ClearAfterTestAsync(parcel, content, reply, cancel);
        else
            await LaterAsync(refused, new SmtpReply(451, "4.7.5", $"{parcel.Domain} only tests, and its gateway has refused {refused.Refusals} time(s): {reply}"), cancel);
    }

    /// <summary>PROTOCOL.md 6: a domain that only tests, and a policy that only prefers, must not lose mail to the test.</summary>
    private async Task ClearAfterTestAsync(Parcel parcel, ParcelContent content, SmtpReply reply, CancellationToken cancel)
    {
        var (header, message) = parcels.Open(parcel, content);
        var (clear, kept) = parcels.Keep(ParcelRoute.World, parcel.Domain, header.Sender.Domain, header.MailFrom, header.RcptTo, [message], Leaving.ClearAfterTest);
        await PersistAsync(new() { Remove = parcel.Id, Add = [(clear with { Created = parcel.Created, Delayed = parcel.Delayed, IsNotice = parcel.IsNotice }, kept)] }, parcel, cancel);
        log.Write("clear-after-test", ("id", clear.Id), ("was", parcel.Id), ("to", parcel.Domain), ("alarm", true), ("reply", reply),
            ("do", $"tell {parcel.Domain} that its gateway refuses what is sealed for it; 'require' in policy.partners keeps mail to it from going in clear"));
    }

    // In clear, to the recipients themselves

    private async Task ToWorldAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        var (header, message) = parcels.Open(parcel, content);
        if (parcel.Leaving != Leaving.Exempt)
        {
            var (decision, peer) = await decisions.DecideAsync(parcel.Domain, header.Sender.Domain, parcel.Leaving == Leaving.SealedOnly ? LocalPolicy.Require : LocalPolicy.Never, cancel);
            var refusedTest = parcel.Leaving == Leaving.ClearAfterTest && PeerState.OnlyTests(settings.Configuration.PolicyFor(parcel.Domain), peer);
            if (decision.Kind == DecisionKind.Seal && !refusedTest)
            {
                await ResealAsync(parcel, content, peer!, cancel);
                return;
            }
            if (decision.Reply is { } refusal)
            {
                if (decision.Alarm)
                    await alarms.RaiseAsync(parcel.Domain, $"{decision.Why} ({peer?.Why})");
                await LaterAsync(parcel, refusal, cancel);
                return;
            }
        }
        var relay = settings.Configuration.Relay;
        var to = Open(parcel, header).ToList();
        var replies = await SendAsync(parcel, relay, parcel.Domain, header.MailFrom, to, [Mark(relay), Received(parcel, header), message], cancel);
        var failed = to.Zip(replies).Where(r => r.Second.IsPermanent).Select(r => (r.First, r.Second)).ToList();
        var settled = Settled(parcel, header, to, replies);
        if (failed.Count > 0 && parcel.Leaving == Leaving.Exempt && await returns.FailedOnTheWayAsync(header.MailFrom, failed[0].Second))
        {
            await SettleAsync(parcel, header, settled, replies, [], cancel);
            return;
        }
        if (failed.Count > 0 && parcel.IsNotice && ownMail.IsForPostmaster(header))
        {
            await HoldAsync(parcel, failed[0].Second, parcel.Done, cancel);
            return;
        }
        var notice = failed.Count == 0 ? null : Notice.Build(settings.Configuration, NoticeAction.Failed, header.MailFrom, failed, [message], parcel.Created, null);
        List<(Parcel, ParcelContent)> told = notice is not null ? [Report(parcel, header, notice.Value)] : failed.Count > 0 ? Untold(parcel, header, failed[0].Second) : [];
        await SettleAsync(parcel, header, settled, replies, [.. told, .. Success(parcel, header, message, to, replies)], cancel);
    }

    /// <summary>Reports of success where the next server leaves them to us.</summary>
    private List<(Parcel, ParcelContent)> Success(Parcel parcel, InnerHeader header, ReadOnlyMemory<byte> message, List<ForwardPath> to, IReadOnlyList<SmtpReply> replies)
    {
        var taken = to.Zip(replies).Where(r => r.Second is { IsPositive: true, LeavesReports: true }).Select(r => (r.First, r.Second)).ToList();
        if (Notice.Build(settings.Configuration, NoticeAction.Relayed, header.MailFrom, taken, [message], parcel.Created, null) is not { } notice)
            return [];
        return parcel.Form == ParcelForm.Received ? ThroughTheTunnel(header, notice) is { } back ? [back] : [] : [Report(parcel, header, notice)];
    }

    /// <summary>A notice back through the tunnel, to the gateway of the sender domain only (PROTOCOL.md 7); null for another sender.</summary>
    private (Parcel, ParcelContent)? ThroughTheTunnel(InnerHeader header, ReadOnlyMemory<byte> notice) =>
        header.MailFrom.Mailbox is { } original && Domains.TryNormalise(original.Domain, out var domain) && domain == header.Sender.Domain
            ? ownMail.Report(header.Recipient.Domain, header.MailFrom, notice, Leaving.SealedOnly)
            : null;

    // Opened, or a notice, to our own mail server

    private async Task ToLocalAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        var (header, message) = parcels.Open(parcel, content);
        var local = settings.Configuration.Local;
        var to = Open(parcel, header).ToList();
        OutgoingMessage outgoing = header.MailFrom.Mailbox is null && parcel.Form == ParcelForm.Kept ? [Mark(local), message] // a notice of ours
            : parcel.Form == ParcelForm.Kept ? [Mark(local), Received(parcel, header), .. WithoutForgeries(message)]
            : [Mark(local), Received(parcel, header), Result(header, message), .. WithoutForgeries(message)];
        var replies = await SendLocalAsync(parcel, header, to, outgoing, cancel);
        var settled = Settled(parcel, header, to, replies);
        var failed = to.Zip(replies).Where(r => r.Second.IsPermanent).Select(r => (r.First, r.Second)).ToList();
        if (failed.Count > 0)
            await SettleLocalAsync(parcel, header, message, failed, settled, replies, Success(parcel, header, message, to, replies), cancel);
        else
            await SettleAsync(parcel, header, settled, replies, Success(parcel, header, message, to, replies), cancel);
    }

    /// <summary>
    /// Sends to those whose local part names nobody elsewhere: our own server may read routing in it and relay for whoever is behind the
    /// tunnel (RFC 5321 3.6.1, appendix C). The others fail each by itself.
    /// </summary>
    private async Task<IReadOnlyList<SmtpReply>> SendLocalAsync(Parcel parcel, InnerHeader header, List<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        var local = settings.Configuration.Local;
        var taken = local.RefusesRouting ? to.FindAll(t => !t.Mailbox.CarriesRouting) : to;
        var replies = taken.Count == 0 ? [] : await SendAsync(parcel, local, header.Recipient.Domain, header.MailFrom, taken, message, cancel);
        if (taken.Count == to.Count)
            return replies;
        var next = 0;
        return [.. to.Select(t => t.Mailbox.CarriesRouting ? Mailbox.RoutingRefusal : replies[next++])];
    }

    /// <summary>The trace of every server that passes mail on (RFC 5321 4.4): what a mail loop is recognised by.</summary>
    private ReadOnlyMemory<byte> Received(Parcel parcel, InnerHeader header) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
        $"Received: from {header.Sender.Domain} by {settings.Configuration.Hostname} (PgpTunnel)\r\n\twith ESMTP id {header.Id}; {parcel.Created.UtcDateTime:ddd, dd MMM yyyy HH:mm:ss} +0000\r\n"));

    /// <summary>What the receiving gateway found, for the recipient to see (PROTOCOL.md 7).</summary>
    private ReadOnlyMemory<byte> Result(InnerHeader header, ReadOnlyMemory<byte> message)
    {
        var configuration = settings.Configuration;
        var from = HeaderFields.FromDomain(message.Span) == header.Sender.Domain ? "aligned" : "other";
        var text = new StringBuilder()
            .Append($"PgpTunnel-Result: pass; d={header.Sender.Domain}; from={from};\r\n\tfpr={header.Sender.Fingerprint}; id={header.Id}");
        if (configuration.TraceToken is { } token)
            text.Append($";\r\n\ttoken={token}");
        text.Append("\r\n");
        if (configuration.AuthenticationResults)
            text.Append($"Authentication-Results: {configuration.Hostname};\r\n\tx-pgptunnel=pass header.d={header.Sender.Domain} policy.from={from}\r\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>Fields that only this gateway may write are taken out of what others wrote, and results whose author cannot be read (RFC 8601 5).</summary>
    private List<ReadOnlyMemory<byte>> WithoutForgeries(ReadOnlyMemory<byte> message) => HeaderFields.Without(message, (name, field) =>
        name.StartsWith("PgpTunnel-", StringComparison.OrdinalIgnoreCase)
        || (name.Equals("Authentication-Results", StringComparison.OrdinalIgnoreCase) && AuthenticationResults.AuthServId(field.Span) is var id && (id is null || id.Equals(settings.Configuration.Hostname, StringComparison.OrdinalIgnoreCase))));

    private async Task SettleLocalAsync(Parcel parcel, InnerHeader header, ReadOnlyMemory<byte> message, List<(ForwardPath To, SmtpReply Reply)> failed, HashSet<int> settled, IReadOnlyList<SmtpReply> replies, List<(Parcel, ParcelContent)> notices, CancellationToken cancel)
    {
        if (parcel.Form == ParcelForm.Received && header.MailFrom.Mailbox is { } original && Domains.TryNormalise(original.Domain, out var domain) && domain == header.Sender.Domain)
        {
            var notice = Notice.Build(settings.Configuration, NoticeAction.Failed, header.MailFrom, failed, [message], parcel.Created, null);
            await SettleAsync(parcel, header, settled, replies, [.. notices, .. notice is null || ThroughTheTunnel(header, notice.Value) is not { } back ? [] : new[] { back }], cancel);
            return;
        }
        if (parcel.Form == ParcelForm.Received && (header.MailFrom.Mailbox is null || failed.TrueForAll(f => !f.To.NotifiesFailure)))
        {
            // RFC 5321 6.1, RFC 3461 4.1: nobody wants to hear of it.
            await SettleAsync(parcel, header, settled, replies, notices, cancel);
            return;
        }
        if (parcel.Form == ParcelForm.Kept && header.MailFrom.Mailbox is not null)
        {
            // Of our own users' mail they are told. A stranger's mail to the postmaster was kept with NOTIFY=NEVER: strangers get no
            // notices (backscatter), and must not fill the spool.
            var notice = Notice.Build(settings.Configuration, NoticeAction.Failed, header.MailFrom, failed, [message], parcel.Created, null);
            if (notice is null)
                log.Write("discarded", ("id", parcel.Id), ("alarm", true), ("reply", failed[0].Reply), ("do", $"our own mail server refuses mail whose sender is not told; does it take mail for {settings.Configuration.Postmaster}?"));
            await SettleAsync(parcel, header, settled, replies, [.. notices, .. notice is null ? [] : new[] { Report(parcel, header, notice.Value) }], cancel);
            return;
        }
        // A notice, or mail of a forwarded sender, that our own server refuses: no one can be told, so it is kept for a person to see.
        var (done, later) = (settled.Where(i => !failed.Exists(f => f.To == header.RcptTo[i])).ToHashSet(), replies.FirstOrDefault(r => r.IsTemporary));
        if (later is not null)
        {
            await LaterAsync(parcel with { Done = done }, later, cancel); // the others first
            return;
        }
        await HoldAsync(parcel, failed[0].Reply, done, cancel);
    }

    private static HashSet<int> Settled(Parcel parcel, InnerHeader header, List<ForwardPath> to, IReadOnlyList<SmtpReply> replies)
    {
        var settled = new HashSet<int>(parcel.Done);
        for (var i = 0; i < header.RcptTo.Count; i++)
        {
            var at = to.IndexOf(header.RcptTo[i]);
            if (at >= 0 && !replies[at].IsTemporary)
                settled.Add(i);
        }
        return settled;
    }

    /// <summary>Writes down who has it, with the notices for those who never will, in one step.</summary>
    private async Task SettleAsync(Parcel parcel, InnerHeader header, HashSet<int> settled, IReadOnlyList<SmtpReply> replies, List<(Parcel, ParcelContent)> notices, CancellationToken cancel)
    {
        var rest = parcel with { Done = settled };
        foreach (var reply in replies.Distinct())
            if (!reply.IsTemporary)
                log.Write(reply.IsPositive ? "delivered" : "failed", ("id", parcel.Id), ("to", Towards(parcel)), ("notice", reply.IsPositive ? null : notices.Count > 0), ("reply", reply));
        if (settled.Count == header.RcptTo.Count)
        {
            await PersistAsync(new() { Remove = parcel.Id, Add = notices }, parcel, cancel);
            return;
        }
        await PersistAsync(new() { Update = rest, Add = notices }, parcel, cancel);
        await LaterAsync(rest, replies.First(r => r.IsTemporary), cancel);
    }
}
