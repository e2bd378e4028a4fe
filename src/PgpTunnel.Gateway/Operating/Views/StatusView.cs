using System.Globalization;
using System.Text.Json.Serialization;

namespace PgpTunnel;

/// <summary>A gateway on one screen.</summary>
/// <param name="Pid">Null, as what follows, when it does not run.</param>
/// <param name="Key">Fingerprint of the key that signs.</param>
internal sealed record StatusView(
    bool Running,
    int? Pid,
    string? Started,
    string? Outbound,
    string? Inbound,
    bool Armed,
    string Key
)
{
    public IReadOnlyList<ArmedView> Domains { get; init; } = [];
    public QueueCounts Queue { get; init; } = new(0, 0, 0, null);

    public ReceiptCounts Receipts { get; init; } = new(0, null);

    /// <summary>Fingerprint of the newest key, or encryption subkey, where that is in no backup.</summary>
    public string? NotInBackup { get; init; }

    /// <param name="arming">Has looked just now.</param>
    /// <param name="spool">Null = no gateway has run yet.</param>
    public static StatusView Of(Settings settings, Arming arming, Spool? spool)
    {
        var configuration = settings.Configuration;
        var running = SpoolLock.IsHeld(configuration.SpoolFile);
        var facts = running ? spool?.Facts() ?? [] : [];
        return new(
            running,
            int.TryParse(facts.GetValueOrDefault("pid"), CultureInfo.InvariantCulture, out var pid) ? pid : null,
            facts.GetValueOrDefault("started"),
            facts.GetValueOrDefault("outbound"),
            facts.GetValueOrDefault("inbound"),
            arming.Armed,
            settings.Keys.Active.Fingerprint
        )
        {
            Domains = [.. configuration.Domains.Select(d => ArmedView.Of(d, arming.State(d)))],
            Queue = spool is null ? new(0, 0, 0, null) : QueueCounts.Of(spool.Counts()),
            Receipts = spool?.Awaited() is var (count, oldest)
                ? new(count, oldest is { } time ? InnerHeader.Time(time) : null)
                : new(0, null),
            NotInBackup = new[] { settings.Keys.Keys[^1].Fingerprint, settings.Keys.Active.EncryptionFingerprint }
                .Except(spool?.BackedUp ?? [])
                .FirstOrDefault(),
        };
    }
}

/// <param name="Missing">What a peer would miss; null = it is armed.</param>
internal sealed record ArmedView(string Domain, bool Armed, string? Missing)
{
    /// <summary>False where the DNS did not answer: the running gateway goes by what it knew.</summary>
    [JsonIgnore]
    public bool IsKnown { get; init; } = true;

    public static ArmedView Of(string domain, ArmState state) =>
        new(domain, state.IsArmed, state.Missing) { IsKnown = state.Known };
}

/// <param name="Awaited">Parcels that were handed over and whose receipt is awaited.</param>
/// <param name="Oldest">When the oldest of them came.</param>
internal sealed record ReceiptCounts(long Awaited, string? Oldest);

/// <param name="Handed">Handed over, and remembered for a bounce.</param>
/// <param name="Oldest">When the oldest that is queued came.</param>
internal sealed record QueueCounts(long Queued, long Held, long Handed, string? Oldest)
{
    /// <param name="counts">Of each state how many parcels are in it, and when the oldest came.</param>
    public static QueueCounts Of(IReadOnlyDictionary<ParcelState, (long Count, DateTimeOffset Oldest)> counts)
    {
        long Count(ParcelState state) => counts.GetValueOrDefault(state).Count;
        return new(
            Count(ParcelState.Queued),
            Count(ParcelState.Held),
            Count(ParcelState.Handed),
            counts.TryGetValue(ParcelState.Queued, out var queued) ? InnerHeader.Time(queued.Oldest) : null
        );
    }
}
