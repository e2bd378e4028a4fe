namespace PgpTunnel;

/// <summary>The section <c>limits</c>.</summary>
/// <param name="MessageSize">Octets of the inner message, both directions.</param>
/// <param name="Memory">Octets that all messages in hand may take.</param>
/// <param name="FreeDisk">Below this many octets free on the spool's disk no mail is taken.</param>
/// <param name="QueueSize">Octets that may wait in the spool; null = no limit.</param>
public sealed record Limits(
    long MessageSize,
    long Memory,
    int Connections,
    int ConnectionsPerAddress,
    long FreeDisk,
    long? QueueSize
)
{
    /// <summary>Largest outer message: armor, two bases of padding and the header block on top of the inner one.</summary>
    public long OuterSize => (long)(MessageSize * 1.42) + 64 * 1024;

    /// <summary>Octets from which on a parcel counts as large, by the memory that there is.</summary>
    public long LargeParcel => LargeOf(Memory);

    /// <inheritdoc cref="LargeParcel"/>
    public static long LargeOf(long memory) => memory / 32;

    internal static Limits Read(ConfigurationNode root)
    {
        var limits = root.Section("limits");
        var (size, memory) = (
            limits.Number("messageSize", 52428800, 65536, 1L << 30),
            limits.Number("memory", 268435456, 1 << 20, 1L << 40)
        );
        // Each listener has half, and the inbound one must take a sealed message of the largest size (and what was stuffed into it).
        var needed = 3 * size + 256 * 1024;
        if (memory < needed)
            limits.Mistake(
                "memory",
                $"must be at least {needed} (three times messageSize and 256 KiB), or a message of that size could never be taken"
            );
        var (connections, perAddress) = (
            limits.Number("connections", 200, 1, 100_000),
            limits.Number("connectionsPerAddress", 20, 1, 100_000)
        );
        var (freeDisk, queue) = (
            limits.Number("freeDisk", 64 * 1024 * 1024, 0, 1L << 50),
            limits.Number("queue", 0, 0, 1L << 50)
        );
        limits.Close();
        return new(size, memory, (int)connections, (int)perAddress, freeDisk, queue == 0 ? null : queue);
    }

    internal IEnumerable<string> NeedsRestart(Limits now) =>
        this with { FreeDisk = now.FreeDisk, QueueSize = now.QueueSize } == now ? [] : ["limits"];
}
