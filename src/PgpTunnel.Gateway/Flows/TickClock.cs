namespace PgpTunnel;

/// <summary>
/// A tick every 100 ms that knows nothing of parcels: the uniform refusal leaves at the next one, so that how long the refused step took
/// is not told by when it comes. All that wait leave together, by one timer: a delay of one's own would keep the part of a millisecond in
/// which the work ended. Nothing is worked on meanwhile, which would be a way to stop us.
/// </summary>
internal sealed class TickClock
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);
    private static readonly Lazy<TickClock> One = new(() => new TickClock());

    private TaskCompletionSource _next = New();

    private TickClock() => _ = RunAsync();

    /// <summary>Returns at the next tick.</summary>
    public static Task NextAsync(CancellationToken cancel) => Volatile.Read(ref One.Value._next).Task.WaitAsync(cancel);

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Tick);
        while (await timer.WaitForNextTickAsync())
            Interlocked.Exchange(ref _next, New()).TrySetResult();
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
