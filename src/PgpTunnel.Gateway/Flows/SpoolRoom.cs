using System.Globalization;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Whether the spool may take more: room on its disk, and below the limit of what may wait. Asked at MAIL, before anything is sent. Bodies
/// that are kept only until a receipt comes go before any mail is refused.
/// </summary>
internal sealed class SpoolRoom(Site site)
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private DateTimeOffset _asked;
    private string? _why;
    private Task _dropping = Task.CompletedTask;

    /// <summary>The reply while there is no room; the client keeps its mail.</summary>
    public SmtpReply? Refusal()
    {
        lock (_lock)
        {
            if ((site.Time.GetUtcNow() - _asked).Duration() >= Fresh)
            {
                var why = Lacking() is { } lack && (lack.IsDire || !CanDrop(lack.Octets)) ? lack.Why : null;
                if (why is not null && _why is null)
                    site.Log.Write(
                        "no-room",
                        ("alarm", true),
                        ("why", why),
                        (
                            "do",
                            "make room on the spool's disk, or see 'pgptunnel queue list'; mail is answered 452 until then"
                        )
                    );
                (_asked, _why) = (site.Time.GetUtcNow(), why);
            }
            return _why is null ? null : new SmtpReply(452, "4.3.1", _why);
        }
    }

    /// <summary>True while there are bodies to let go, which is done then.</summary>
    private bool CanDrop(long octets)
    {
        if (!_dropping.IsCompleted)
            return true;
        if (site.Spool.Kept() == 0)
            return false;
        _dropping = DropAsync(octets);
        return true;
    }

    private async Task DropAsync(long octets)
    {
        try
        {
            var count = await site.Spool.DropKeptAsync(octets, DateTimeOffset.MaxValue);
            site.Log.Write(
                "kept-dropped",
                ("alarm", true),
                ("count", count),
                ("why", "there is no room for mail otherwise"),
                ("do", "make room on the spool's disk; what has no receipt yet cannot be sent again by itself")
            );
        }
        catch (SpoolException e)
        {
            site.Log.Write(
                "spool-error",
                ("what", "letting kept bodies go"),
                ("why", e.Message),
                ("do", SpoolException.Advice)
            );
        }
    }

    /// <param name="Octets">How many are lacking.</param>
    /// <param name="IsDire">What is let go makes room within the spool, not on its disk: that does not help for ever.</param>
    private sealed record Lack(string Why, long Octets, bool IsDire = false);

    /// <returns>Why there is no room; null = there is.</returns>
    private Lack? Lacking()
    {
        var configuration = site.Configuration;
        try
        {
            var free = new DriveInfo(Path.GetDirectoryName(configuration.SpoolFile)!).AvailableFreeSpace;
            if (free < configuration.Limits.FreeDisk)
                return new(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"the spool's disk has {free} octets free, fewer than limits.freeDisk"
                    ),
                    configuration.Limits.FreeDisk - free,
                    IsDire: free < configuration.Limits.FreeDisk / 2
                );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // A disk that does not say so shows when it is written.
        }
        return configuration.Limits.QueueSize is { } most && site.Spool.Size() is var size && size >= most
            ? new(
                string.Create(CultureInfo.InvariantCulture, $"{size} octets wait, as many as limits.queue allows"),
                size - most + 1
            )
            : null;
    }
}
