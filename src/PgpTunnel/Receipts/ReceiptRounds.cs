namespace PgpTunnel;

/// <summary>What has to do with receipts and is not done when mail passes: once a second, one after another.</summary>
internal sealed class ReceiptRounds(Site site, SignedHeads heads, ReceiptSender sender, OverdueReceipts overdue)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1),
        DropEvery = TimeSpan.FromMinutes(1);

    private DateTimeOffset _dropped;

    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Pause, stop);
                if (site.Configuration.Evidence.Keep)
                    await RoundAsync(stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (SpoolException e)
            {
                site.Log.Write("spool-error", ("what", "receipts"), ("why", e.Message), ("do", SpoolException.Advice));
            }
            catch (Exception e)
            {
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
