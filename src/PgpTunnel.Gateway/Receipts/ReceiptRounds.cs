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
                if (!await RoundAsync(stop))
                    pause = AfterFailure;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
        }
    }

    /// <summary>One round: each of its steps, whatever becomes of the others.</summary>
    /// <returns>False when one has failed, which is in the log.</returns>
    public async Task<bool> RoundAsync(CancellationToken cancel)
    {
        var isWell = true;
        if (site.Configuration.Evidence.Keep)
        {
            isWell &= await StepAsync(heads.SignAsync, cancel);
            isWell &= await StepAsync(() => sender.SendAsync(cancel), cancel);
            isWell &= await StepAsync(overdue.LookAsync, cancel);
        }
        if ((site.Time.GetUtcNow() - _dropped).Duration() < DropEvery)
            return isWell;
        _dropped = site.Time.GetUtcNow();
        return await StepAsync(overdue.DropKeptAsync, cancel) && isWell;
    }

    private async Task<bool> StepAsync(Func<Task> step, CancellationToken cancel)
    {
        try
        {
            await step();
            return true;
        }
        catch (Exception e) when (e is SpoolException or IOException or ConfigurationException)
        {
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
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            site.Log.Write("error", ("what", "receipts"), ("why", e.ToString()));
        }
        return false;
    }
}
