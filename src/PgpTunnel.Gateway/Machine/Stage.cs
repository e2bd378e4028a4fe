namespace PgpTunnel;

/// <summary>How far long work is, for whoever waits for it.</summary>
/// <param name="What">What is being done.</param>
/// <param name="Done">So many pieces of it are done.</param>
/// <param name="Of">Of so many; null = nobody knows.</param>
internal readonly record struct Stage(string What, long Done = 0, long? Of = null)
{
    /// <summary>For work that nobody waits for.</summary>
    public static IProgress<Stage> Unseen { get; } = new Nobody();

    public override string ToString() =>
        this switch
        {
            { Of: > 0 and var of } => $"{What}, {100 * Done / of} %",
            { Done: > 0 and var done } => $"{What}, {done} so far",
            _ => What,
        };

    private sealed class Nobody : IProgress<Stage>
    {
        public void Report(Stage value) { }
    }
}
