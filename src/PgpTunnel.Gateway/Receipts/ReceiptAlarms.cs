using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>Tells the postmaster what is wrong with receipts of a domain, once a day at most and domain.</summary>
internal sealed class ReceiptAlarms(Site site, OwnMail ownMail)
{
    private static readonly TimeSpan Silence = TimeSpan.FromDays(1);

    /// <summary>Domains about which somebody is being told in this moment.</summary>
    private readonly ConcurrentDictionary<string, byte> _telling = new();

    /// <param name="subject">Of the notice.</param>
    /// <param name="text">What has happened and what to do; lines that fit.</param>
    public async Task TellAsync(string domain, string subject, string text)
    {
        if (!_telling.TryAdd(domain, 0))
            return;
        try
        {
            var (now, fact) = (site.Time.GetUtcNow(), $"told:{domain}");
            if (DateTimeOffset.TryParse(site.Spool.Fact(fact), null, out var told) && (now - told).Duration() < Silence)
                return;
            await site.Spool.CommitAsync(
                new()
                {
                    Add = [ownMail.ToPostmaster(subject, text)],
                    Facts = new Dictionary<string, string> { [fact] = InnerHeader.Time(now) },
                }
            );
            site.Log.Write("postmaster-told", ("domain", domain), ("why", subject));
        }
        catch (SpoolException e)
        {
            site.Log.Write(
                "spool-error",
                ("what", $"the notice about {domain}"),
                ("why", e.Message),
                ("do", SpoolException.Advice)
            );
        }
        finally
        {
            _telling.TryRemove(domain, out _);
        }
    }
}
