using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The three ways out.</summary>
internal sealed partial class Attempts
{
    private async Task ToGatewayAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        if (decisions.OverrideFor(parcel.Domain) is { Reply: { } held })
        {
            await outcomes.LaterAsync(parcel, held, cancel);
            return;
        }
        var budget = new WorkBudget(); // one for all that this attempt causes
        // A last attempt is not given up on an old answer.
        var peer = await peers.FindAsync(
            parcel.Domain,
            fresh: site.Time.GetUtcNow() - parcel.Created >= site.Configuration.Retry.GiveUp,
            cancel,
            budget
        );
        var local = site.Configuration.PolicyFor(parcel.Domain);
        // It is sealed already, so being armed is not asked; and "never" is no reason to unseal.
        var decision = Policy.Decide(
            local == LocalPolicy.Never ? LocalPolicy.Prefer : local,
            peer.Facts,
            ArmState.Armed,
            parcel.Domain
        );
        if (decision.Kind != DecisionKind.Seal)
        {
            if (decision.Alarm)
                await alarms.RaiseAsync(parcel.Domain, $"{decision.Why} ({peer.Why})");
            // From sealed there is no way to clear: the peer has become unusable, so the parcel waits for it.
            await outcomes.LaterAsync(
                parcel,
                new SmtpReply(
                    451,
                    decision.Reply is { IsTemporary: true } r ? r.Status : "4.7.5",
                    $"{decision.Why}: {peer.Why}"
                ),
                cancel
            );
            return;
        }
        if (!peer.Keys.Any(k => k.Id == parcel.KeyFingerprint))
        {
            if (parcel.Receipt == ReceiptState.Overdue) // under a new id it might come twice
            {
                await outcomes.LaterAsync(
                    parcel,
                    new SmtpReply(451, "4.7.5", $"the key of {parcel.Domain} has changed meanwhile"),
                    cancel
                );
                return;
            }
            await ResealAsync(parcel, content, peer, cancel);
            return;
        }
        var gateway = site.Configuration.Gateway;
        var to = Mailbox.TryParse(peer.Gateway, false, out var mailbox)
            ? mailbox
            : throw new InvalidOperationException("a gateway mailbox was checked");
        var relay = site.Configuration.Deliver.Relay;
        var outer = OuterMessage.Build(
            gateway,
            peer.Gateway,
            parcel.Token,
            parcel.Created,
            content.Body,
            TraceFields.Mark(relay)
        );
        SmtpReply reply;
        try
        {
            reply = (
                await handover.SendAsync(
                    parcel,
                    relay,
                    to.Domain,
                    new ReversePath(GatewayAddress.WithToken(gateway, parcel.Token)),
                    [new ForwardPath(to)],
                    outer,
                    budget,
                    cancel
                )
            )[0];
        }
        catch (SmtpUnavailableException e) when (e.Reply.IsPermanent)
        {
            reply = e.Reply; // its gateway's domain does not exist, or takes no mail: a final refusal like any other
        }
        if (reply.IsPositive)
        {
            await outcomes.HandedOverAsync(parcel, reply, cancel);
        }
        else if (
            reply.IsPermanent
            && parcel is { Leaving: Leaving.ClearAfterTest, Receipt: not ReceiptState.Overdue }
            && PeerState.OnlyTests(local, peer)
        )
        {
            await outcomes.RefusedTestAsync(parcel, content, reply, cancel);
        }
        else
        {
            await outcomes.LaterAsync(parcel, reply, cancel);
        }
    }

    /// <summary>The key it was sealed for is gone: sealed anew under a new id for the key that is there now.</summary>
    private async Task ResealAsync(Parcel parcel, ParcelContent content, PeerState peer, CancellationToken cancel)
    {
        var (header, message) = parcels.Read(parcel, content);
        if (header.Kind == ParcelKind.Receipt) // it is made anew, with what has come since
        {
            await outcomes.PersistAsync(new() { Remove = parcel.Id }, parcel, cancel);
            await outcomes.OweAgainAsync(parcel, header, site.Time.GetUtcNow());
            return;
        }
        if (header.Kind == ParcelKind.Echo) // it asked about the key that is gone
        {
            await outcomes.FailAsync(
                parcel,
                new SmtpReply(550, "5.7.5", $"the key of {parcel.Domain} has changed meanwhile"),
                cancel
            );
            return;
        }
        var (anew, sealedAnew) = parcels.Seal(
            await witness.ProveAsync(peer),
            new(header.Sender.Domain, header.MailFrom, Answered.Unsettled(parcel, header), [message], parcel.Leaving)
            {
                Was = parcel.Id,
            }
        );
        var change = new SpoolChange { Replace = parcel.Id, Add = [(anew.InPlaceOf(parcel), sealedAnew)] };
        if (!await outcomes.PersistAsync(change, parcel, cancel))
            return; // it has arrived meanwhile, or was dropped
        site.Log.Write(
            "resealed",
            ("id", anew.Id),
            ("was", parcel.Id),
            ("to", parcel.Domain),
            ("key", peer.Preferred.Fingerprint)
        );
    }

    private async Task ToWorldAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        var (header, message) = parcels.Read(parcel, content);
        var budget = new WorkBudget(); // one for all that this attempt causes
        if (parcel.Leaving != Leaving.Exempt)
        {
            var (decision, peer) = await decisions.DecideAsync(
                parcel.Domain,
                header.Sender.Domain,
                parcel.Leaving == Leaving.SealedOnly ? LocalPolicy.Require : LocalPolicy.Never,
                cancel,
                budget
            );
            var refusedTest =
                parcel.Leaving == Leaving.ClearAfterTest
                && PeerState.OnlyTests(site.Configuration.PolicyFor(parcel.Domain), peer);
            if (decision.Kind == DecisionKind.Seal && !refusedTest)
            {
                await ResealAsync(parcel, content, peer!, cancel);
                return;
            }
            if (decision.Reply is { } refusal)
            {
                if (decision.Alarm)
                    await alarms.RaiseAsync(parcel.Domain, $"{decision.Why} ({peer?.Why})");
                await outcomes.LaterAsync(parcel, refusal, cancel);
                return;
            }
        }
        var relay = site.Configuration.Deliver.Relay;
        var to = Answered.Unsettled(parcel, header);
        var replies = await handover.SendAsync(
            parcel,
            relay,
            parcel.Domain,
            header.MailFrom,
            to,
            [TraceFields.Mark(relay), TraceFields.Received(site.Configuration, parcel, header), message],
            budget,
            cancel
        );
        await outcomes.WorldAsync(new(parcel, header, message, to, replies), cancel);
    }

    private async Task ToLocalAsync(Parcel parcel, ParcelContent content, CancellationToken cancel)
    {
        var (header, message) = parcels.Read(parcel, content);
        var local = site.Configuration.Deliver.Local;
        var to = Answered.Unsettled(parcel, header);
        var (mark, received) = (TraceFields.Mark(local), TraceFields.Received(site.Configuration, parcel, header));
        OutgoingMessage outgoing =
            parcel.IsNotice ? [mark, message] // of ours
            : parcel.Form == ParcelForm.Kept
                ? [mark, received, .. TraceFields.WithoutForgeries(site.Configuration, message)]
            :
            [
                mark,
                received,
                TraceFields.Result(site.Configuration, header, message),
                .. TraceFields.WithoutForgeries(site.Configuration, message),
            ];
        await outcomes.LocalAsync(
            new(parcel, header, message, to, await SendLocalAsync(parcel, header, to, outgoing, cancel)),
            cancel
        );
    }

    /// <summary>
    /// Sends to those whose local part names nobody elsewhere: our own server may read routing in it and relay for whoever is behind the
    /// tunnel (RFC 5321 3.6.1, appendix C). The others fail each by itself.
    /// </summary>
    private async Task<IReadOnlyList<SmtpReply>> SendLocalAsync(
        Parcel parcel,
        InnerHeader header,
        List<ForwardPath> to,
        OutgoingMessage message,
        CancellationToken cancel
    )
    {
        var local = site.Configuration.Deliver.Local;
        var taken = local.RefusesRouting ? to.FindAll(t => !t.Mailbox.CarriesRouting) : to;
        var replies =
            taken.Count == 0
                ? []
                : await handover.SendAsync(
                    parcel,
                    local,
                    header.Recipient.Domain,
                    header.MailFrom,
                    taken,
                    message,
                    new WorkBudget(),
                    cancel
                );
        if (taken.Count == to.Count)
            return replies;
        var next = 0;
        return [.. to.Select(t => t.Mailbox.CarriesRouting ? Mailbox.RoutingRefusal : replies[next++])];
    }
}
