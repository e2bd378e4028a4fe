using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// A parcel that asks the other gateway for one back: it shows that both ends, their keys and the way in both directions work, and no
/// mail server sees it. Only partners with <c>policy.partners.D.echo</c> are answered.
/// </summary>
internal sealed class Echoes(Site site, Peers peers, Parcels parcels)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(0.2);

    private static string Fact(string id) => $"echo:{id}";

    /// <summary>Takes one that has been opened and verified.</summary>
    /// <param name="with">Committed with what comes of it.</param>
    public async Task<SmtpReply> TakeAsync(InnerHeader header, SpoolChange with, CancellationToken cancel)
    {
        var domain = header.Sender.Domain;
        if (header.EchoOf is { } asked)
        {
            var answered =
                site.Spool.Find(asked)?.Domain == domain
                    ? Outcome(asked, $"answered by {header.Sender.Fingerprint}")
                    : [];
            await site.Spool.CommitAsync(with with { Facts = with.Facts.Concat(answered).ToDictionary() });
            return new SmtpReply(250, "2.0.0", $"{header.Id} noted");
        }
        if (!site.Configuration.Policy.AllowsEcho(domain))
            return new SmtpReply(550, "5.7.1", $"{header.Recipient.Domain} answers no echo of {domain}");
        var peer = await peers.FindAsync(domain, fresh: false, cancel);
        if (peer.Class != PeerClass.Usable || (peer.Trusted && !peer.TrustedOffered))
            return new SmtpReply(451, "4.7.5", $"the keys of {domain} cannot be established now");
        await site.Spool.CommitAsync(with with { Add = [parcels.Echo(peer, header.Recipient.Domain, header.Id)] });
        site.Log.Write("echo-answered", ("id", header.Id), ("to", domain));
        return new SmtpReply(250, "2.0.0", $"{header.Id} will be answered");
    }

    /// <summary>What became of an echo that we sent.</summary>
    public Dictionary<string, string> Outcome(string id, string outcome) =>
        new() { [Fact(id)] = $"{InnerHeader.Time(site.Time.GetUtcNow())} {outcome}" };

    /// <summary>Sends one by way of the running gateway, and waits for what becomes of it.</summary>
    /// <returns>The outcome; null when there was none in that time.</returns>
    public async Task<string?> AskAsync(PeerState peer, TimeSpan patience, CancellationToken cancel)
    {
        var echo = parcels.Echo(peer, site.Configuration.Domains[0], null);
        await site.Spool.CommitAsync(new() { Add = [echo] });
        var deadline = site.Time.GetUtcNow() + patience;
        string? outcome;
        while ((outcome = site.Spool.Fact(Fact(echo.Parcel.Id))) is null && site.Time.GetUtcNow() < deadline)
            await Task.Delay(Poll, site.Time, cancel);
        await site.Spool.CommitAsync(new() { Remove = echo.Parcel.Id });
        return outcome is null ? null : outcome[(outcome.IndexOf(' ') + 1)..];
    }
}
