namespace PgpTunnel;

/// <summary>What has to do with receipts and is not done when mail passes: once a second, one after another.</summary>
internal sealed class ReceiptRounds(Site site, SignedHeads heads, ReceiptSender sender, OverdueReceipts overdue)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1),
        AfterFailure = TimeSpan.FromMinutes(1),
        DropEvery = TimeSpan.FromMinutes(1);

    private DateTimeOffset _dropped;

    public async Task RunAsync(CancellationToken stop)
    {
        var pause = Pause;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(pause, stop);
                pause = Pause;
                if (site.Configuration.Evidence.Keep)
                    await RoundAsync(stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is SpoolException or IOException or ConfigurationException)
            {
                pause = AfterFailure;
                site.Log.Write(
                    "receipts-wait",
                    ("alarm", true),
                    ("why", e.Message),
                    (
                        "do",
                        "see that the disks of spool and keys.directory are healthy and have room; nothing is lost meanwhile"
                    )
                );
            }
            catch (Exception e)
            {
                pause = AfterFailure;
                site.Log.Write("error", ("what", "receipts"), ("why", e.ToString()));
            }
        }
    }

    /// <summary>One round.</summary>
    public async Task RoundAsync(CancellationToken cancel)
    {
        await heads.SignAsync();
        await sender.SendAsync(cancel);
        await overdue.LookAsync();
        if ((site.Time.GetUtcNow() - _dropped).Duration() < DropEvery)
            return;
        _dropped = site.Time.GetUtcNow();
        await overdue.DropKeptAsync();
    }
}
