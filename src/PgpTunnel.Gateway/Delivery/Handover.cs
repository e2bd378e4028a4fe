using System.Diagnostics;
using PgpTunnel.Dns;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Hands a message to the first of its next servers that gives a verdict.</summary>
internal sealed class Handover(Site site, NextHops hops, SmtpSender sender, Slots slots)
{
    /// <param name="budget">What is left to this attempt for look-ups.</param>
    public async Task<IReadOnlyList<SmtpReply>> SendAsync(
        Parcel parcel,
        Endpoint? endpoint,
        string domain,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var begun = site.Time.GetUtcNow();
        try
        {
            var found = await hops.FindAsync(parcel.Route, endpoint, domain, budget, cancel);
            var replies = await TryAsync(
                found,
                domain,
                parcel,
                target => sender.SendAsync(target, from, to, message, cancel)
            );
            Trace(parcel, begun, replies.FirstOrDefault(r => !r.IsPositive) ?? replies[0]);
            return replies;
        }
        catch (SmtpUnavailableException e)
        {
            slots.Reached(parcel.Destination, false);
            Trace(parcel, begun, e.Reply);
            throw;
        }
    }

    /// <param name="reply">Its text may name people: only its codes are told.</param>
    private void Trace(Parcel parcel, DateTimeOffset begun, SmtpReply reply) =>
        Traces.Span(
            "hand over",
            ActivityKind.Client,
            parcel.Id,
            (begun, site.Time.GetUtcNow()),
            reply.IsPositive ? null : reply.Status,
            ("domain", parcel.Domain),
            ("server", reply.Server),
            ("reply", $"{reply.Code} {reply.Status}")
        );

    /// <summary>Tries the servers in order until one gives a verdict.</summary>
    private async Task<IReadOnlyList<SmtpReply>> TryAsync(
        Hops found,
        string domain,
        Parcel parcel,
        Func<SmtpTarget, Task<IReadOnlyList<SmtpReply>>> send
    )
    {
        SmtpUnavailableException? last = null;
        IReadOnlyList<SmtpReply>? refused = null;
        foreach (var target in found.Targets)
        {
            try
            {
                SmtpReply[] replies = [.. (await send(target)).Select(r => r with { Server = target.Host })];
                slots.Reached(parcel.Destination, true);
                // Where a refusal may bring clear text, one server does not speak for all.
                if (!(parcel.Leaving == Leaving.ClearAfterTest && replies.All(r => r.IsPermanent)))
                    return replies;
                refused = replies;
            }
            catch (SmtpUnavailableException e)
            {
                last = new SmtpUnavailableException(e.Reply with { Server = target.Host }, e)
                {
                    AfterContent = e.AfterContent,
                };
                if (e.AfterContent)
                    throw last;
            }
        }
        if (last is null && found.Incomplete)
            last = new(
                new(451, "4.4.4", $"refused, and not every mail exchanger of {domain} could be found: {refused![0]}")
            );
        return last is null ? refused! : throw last;
    }
}
