using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What came of a message: it is in the spool and the log, or somebody is told why not.</summary>
internal sealed partial class Outbound
{
    private async Task<SmtpReply> StoreAsync(
        List<(Parcel, ParcelContent)> items,
        List<(Parcel Parcel, Decided Decided)> made,
        ReversePath from,
        string? messageId,
        long size
    )
    {
        try
        {
            await _site.Spool.CommitAsync(new() { Add = items });
        }
        catch (SpoolException e)
        {
            _site.Log.Write("not-taken", ("from", from.Mailbox), ("why", e.Message), ("do", e.Remedy));
            return e.Reply;
        }
        foreach (var domain in made.Where(m => m.Decided.Seals).Select(m => m.Decided.Domain).Distinct())
            await _peers.SealedAsync(domain);
        var reply = new SmtpReply(250, "2.0.0", string.Join("\n", made.Select(m => Describe(m.Parcel, m.Decided))));
        foreach (var (parcel, destination) in made)
            _site.Log.Write(
                destination.Seals ? "sealed" : "accepted-clear",
                ("id", parcel.Id),
                ("from", $"<{from.Mailbox}>"),
                ("to", destination.Domain),
                ("msgid", messageId),
                ("key", destination.Seals ? destination.Peer!.Preferred.Fingerprint : null),
                ("dnssec", destination.Peer?.Security.ToString().ToLowerInvariant()),
                ("class", destination.Peer?.Class.ToString().ToLowerInvariant()),
                ("why", destination.Seals ? null : destination.Decision.Why),
                ("size", size),
                ("reply", reply)
            );
        return reply;
    }

    private static string Describe(Parcel parcel, Decided destination) =>
        destination.Seals
            ? $"{parcel.Id} sealed for {destination.Domain} key {destination.Peer!.Preferred.Fingerprint} "
                + $"dnssec={destination.Peer.Security.ToString().ToLowerInvariant()}"
        : destination.Route == ParcelRoute.Local ? $"{parcel.Id} for our own mail server"
        : $"{parcel.Id} in clear for {destination.Domain}";

    /// <summary>It is sealed, and yet somebody should look.</summary>
    private async Task WarnAsync(Decided destination)
    {
        _site.Log.Write(
            "sealed-with-doubt",
            ("to", destination.Domain),
            ("alarm", true),
            ("why", destination.Decision.Why),
            ("do", Alarms.Advice(destination.Domain))
        );
        await _alarms.RaiseAsync(destination.Domain, destination.Decision.Why);
    }

    /// <summary>Says in the log, and where it is an alarm to the postmaster, why mail is not taken.</summary>
    private async Task ReportAsync(Decided destination, ReversePath from, SmtpReply reply)
    {
        var why = destination.Peer?.Why ?? destination.Decision.Why;
        _site.Log.Write(
            destination.Decision.Kind == DecisionKind.Defer ? "deferred" : "refused",
            ("from", $"<{from.Mailbox}>"),
            ("to", destination.Domain),
            ("class", destination.Peer?.Class.ToString().ToLowerInvariant()),
            ("dnssec", destination.Peer?.Security.ToString().ToLowerInvariant()),
            ("alarm", destination.Decision.Alarm ? true : null),
            ("why", why),
            ("reply", reply),
            ("do", destination.Decision.Alarm ? Alarms.Advice(destination.Domain) : null)
        );
        if (destination.Decision.Alarm)
            await _alarms.RaiseAsync(destination.Domain, $"{destination.Decision.Why} ({why})");
    }
}
