using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>
/// Looks a destination up and applies the table of <see cref="Policy"/>: how it is decided what happens to mail. (What is sealed already
/// is asked about in <c>Attempts.Routes.cs</c>: from there no way leads to clear text.)
/// </summary>
internal sealed class Decisions(Settings settings, Peers peers, PeerMemory memory, Arming arming, TimeProvider time)
{
    /// <param name="domain">Destination domain (A-label form) or address literal.</param>
    /// <param name="senderDomain">Which of our domains the mail is from; it must be armed for sealing.</param>
    /// <param name="atLeast">Raises the local policy, never lowers it.</param>
    /// <param name="budget">What may be spent on it; null = that of one look-up.</param>
    /// <returns>The decision, and the peer where one was looked up.</returns>
    public async Task<(Decision Decision, PeerState? Peer)> DecideAsync(
        string domain,
        string senderDomain,
        LocalPolicy atLeast,
        CancellationToken cancel,
        WorkBudget? budget = null
    )
    {
        if (settings.Configuration.Domains.Contains(domain)) // it goes to our own mail server and nowhere else
            return (
                new Decision(DecisionKind.Clear, null, false, $"{domain} is our own, it goes to our mail server"),
                null
            );
        // What a message itself asks for stands above an override to clear.
        if (OverrideFor(domain) is { } wish && (wish.Kind == DecisionKind.Defer || atLeast < LocalPolicy.Require))
            return (wish, null);
        var local = settings.Configuration.PolicyFor(domain);
        local = local > atLeast ? local : atLeast;
        if (domain.StartsWith('[')) // an address literal has no records
            return (
                Policy.Decide(local, new() { Class = PeerClass.None, Mode = PolicyMode.None }, ArmState.Armed, domain),
                null
            );
        if (local == LocalPolicy.Never)
            return (Policy.Decide(local, default, ArmState.Armed, domain), null);
        budget ??= new WorkBudget(); // one for all that this recipient causes
        var peer = await peers.FindAsync(domain, fresh: false, cancel, budget);
        var decision = Policy.Decide(local, peer.Facts, arming.State(senderDomain), domain);
        if (decision.Kind != DecisionKind.Refuse)
            return (decision, peer);
        // Nothing is refused for good on an old answer.
        peer = await peers.FindAsync(domain, fresh: true, cancel, budget);
        return (Policy.Decide(local, peer.Facts, arming.State(senderDomain), domain), peer);
    }

    /// <summary>An administrator's override while it lasts: clear, or held. It comes before the table.</summary>
    public Decision? OverrideFor(string domain)
    {
        if (
            memory.Recall(domain).Override is not { } wish
            || wish.Until <= (wish.Action == "hold" ? memory.Sure : time.GetUtcNow())
        )
            return null; // a clock that jumps lifts no hold
        var until = $"until {InnerHeader.Time(wish.Until)}: {wish.Reason}";
        return wish.Action == "hold"
            ? new Decision(
                DecisionKind.Defer,
                new Smtp.SmtpReply(451, "4.7.5", $"held by an administrator {until}"),
                false,
                "override hold"
            )
            : new Decision(DecisionKind.Clear, null, false, $"in clear by an administrator's override {until}");
    }
}
