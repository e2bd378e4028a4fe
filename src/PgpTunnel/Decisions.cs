namespace PgpTunnel;

/// <summary>Looks a destination up and applies the table of <see cref="Policy"/>: the one way in which it is decided what happens to mail.</summary>
internal sealed class Decisions(Settings settings, Peers peers, Arming arming)
{
    /// <param name="domain">Destination domain (A-label form) or address literal.</param>
    /// <param name="senderDomain">Which of our domains the mail is from; it must be armed for sealing.</param>
    /// <param name="atLeast">Raises the local policy, never lowers it.</param>
    /// <returns>The decision, and the peer where one was looked up.</returns>
    public async Task<(Decision Decision, PeerState? Peer)> DecideAsync(string domain, string senderDomain, LocalPolicy atLeast, CancellationToken cancel)
    {
        var local = settings.Configuration.PolicyFor(domain);
        local = local > atLeast ? local : atLeast;
        if (domain.StartsWith('[')) // an address literal has no records
            return (Policy.Decide(local, new(PeerClass.None, PolicyMode.None, false, false, false), ArmState.Armed, domain), null);
        if (local == LocalPolicy.Never)
            return (Policy.Decide(local, default, ArmState.Armed, domain), null);
        var peer = await peers.FindAsync(domain, fresh: false, cancel);
        return (Policy.Decide(local, peer.Facts, arming.State(senderDomain), domain), peer);
    }
}
