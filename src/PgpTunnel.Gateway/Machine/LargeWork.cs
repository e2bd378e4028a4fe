namespace PgpTunnel;

/// <summary>
/// What keeps a processor busy for long: sealing and opening what is large. Half of the processors do so at a time and the others go on
/// taking and sending; else a burst of large mail is all taken first, small mail waits behind it, and the next server has nothing to do.
/// </summary>
internal static class LargeWork
{
    private const int Smallest = 256 * 1024;

    private static readonly SemaphoreSlim Processors = new(Math.Max(1, Environment.ProcessorCount / 2));

    /// <summary>Does it at once, or, where it is large, when its turn has come.</summary>
    /// <param name="octets">How much is to be worked on.</param>
    public static async Task<T> DoAsync<T>(long octets, Func<T> work, CancellationToken cancel)
    {
        if (octets < Smallest)
            return work();
        await Processors.WaitAsync(cancel);
        try
        {
            return work();
        }
        finally
        {
            Processors.Release();
        }
    }
}
