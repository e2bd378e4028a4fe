namespace PgpTunnel;

/// <summary>
/// A partner whose mail waits because its records are not what they were: remembered for <c>partner list</c>, and told to the postmaster
/// at most once a day and partner. The log line and its count are the caller's.
/// </summary>
internal sealed class Alarms(Site site, PeerMemory memory, OwnMail ownMail) : IDisposable
{
    private static readonly TimeSpan Silence = TimeSpan.FromDays(1);

    /// <summary>
    /// Notices a day in all about domains that nobody verified or configured: a stranger with many domains must not fill the postmaster's
    /// mailbox.
    /// </summary>
    private const int NoticesADay = 50;

    /// <summary>One at a time: mail that waits and mail that comes meet the same trouble at once, and it is told once.</summary>
    private readonly SemaphoreSlim _one = new(1, 1);
    private DateTimeOffset _day;
    private int _today;

    /// <summary>What a person can do about it.</summary>
    public static string Advice(string domain) =>
        $"ask {domain} whether it changed its records or key, by another way than mail; then 'pgptunnel partner show "
        + $"{domain}', and verify, forget or override";

    /// <param name="domain">A domain that asked for encryption, or that an administrator has verified or configured; of others nothing is
    /// kept.</param>
    public async Task RaiseAsync(string domain, string why)
    {
        await _one.WaitAsync();
        try
        {
            await RememberAsync(domain, why);
        }
        finally
        {
            _one.Release();
        }
    }

    private async Task RememberAsync(string domain, string why)
    {
        var now = site.Time.GetUtcNow();
        var record = site.Spool.FindPeer(domain) ?? new PeerRecord(domain);
        if (!memory.RemembersEnforce(record) && record.Verified.Count == 0 && !site.Configuration.Policy.Names(domain))
            return;
        var ours = record.Verified.Count > 0 || site.Configuration.Policy.Names(domain);
        var tell = !(record.Alarmed is { } told && (now - told).Duration() < Silence) && (ours || MayTell(now));
        if (!tell && record.Alarm == why)
            return;
        try
        {
            await site.Spool.CommitAsync(
                new()
                {
                    Peer = new(domain, r => r with { Alarm = why, Alarmed = tell ? now : r.Alarmed }),
                    Add = tell ? [Notice(domain, why)] : [],
                }
            );
            if (tell)
                site.Log.Write("postmaster-told", ("domain", domain), ("why", why));
        }
        catch (SpoolException e)
        {
            site.Log.Write(
                "spool-error",
                ("what", $"the alarm about {domain}"),
                ("why", e.Message),
                ("do", SpoolException.Advice)
            );
        }
    }

    private bool MayTell(DateTimeOffset now)
    {
        if ((now - _day).Duration() >= Silence)
            (_day, _today) = (now, 0);
        return _today++ < NoticesADay;
    }

    private (Parcel, ParcelContent) Notice(string domain, string why) =>
        ownMail.ToPostmaster(
            $"Mail to or from {domain} waits",
            $"""
            Mail to or from {domain} waits, and nothing of it is sent in clear:

              {OwnMail.Printable(why)}

            It may be a mistake there, or somebody who wants the mail to go unencrypted.
            What to do: {Advice(domain)}.

            When the records are right again, mail flows again by itself. While they are
            not, this is said once a day at most; the log has every case.
            """
        );

    public void Dispose() => _one.Dispose();
}
