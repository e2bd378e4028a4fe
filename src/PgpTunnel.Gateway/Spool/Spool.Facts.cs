using System.Globalization;
using Microsoft.Data.Sqlite;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What the gateway notes of itself.</summary>
internal sealed partial class Spool
{
    private const string UsedFact = "used",
        BackedUpFact = "backed-up",
        RestoredFact = "restored",
        PartnersFact = "partners-seen",
        OldSubkeyFact = "old-subkey";

    /// <summary>When a parcel for an older encryption subkey of ours last came.</summary>
    public DateTimeOffset? OldSubkeyUsed => Noted(OldSubkeyFact);

    public static KeyValuePair<string, string> OldSubkeyUsedNow(DateTimeOffset now) =>
        new(OldSubkeyFact, InSeconds(now));

    /// <summary>Notes that a gateway uses the spool now.</summary>
    public Task UsedAsync(DateTimeOffset now) => NoteAsync(UsedFact, now);

    /// <summary>When a gateway last noted that.</summary>
    public DateTimeOffset? LastUsed => Noted(UsedFact);

    /// <summary>Notes that verified partners have been looked up.</summary>
    public Task PartnersSeenAsync(DateTimeOffset now) => NoteAsync(PartnersFact, now);

    public DateTimeOffset? PartnersSeen => Noted(PartnersFact);

    /// <summary>Notes that a backup with these keys was written.</summary>
    public Task BackedUpAsync(IEnumerable<GatewayKey> keys) =>
        CommitAsync(
            new()
            {
                Facts = new Dictionary<string, string>
                {
                    [BackedUpFact] = string.Join(
                        ' ',
                        keys.SelectMany(k => new[] { k.Fingerprint, k.EncryptionFingerprint })
                    ),
                },
            }
        );

    /// <summary>Fingerprints of the keys that are in the last backup, and of their encryption subkeys.</summary>
    public IReadOnlyList<string> BackedUp => Fact(BackedUpFact)?.Split(' ') ?? [];

    /// <summary>Notes that this spool was restored now from a backup of then.</summary>
    public Task RestoredAsync(DateTimeOffset made, DateTimeOffset now) =>
        CommitAsync(
            new() { Facts = new Dictionary<string, string> { [RestoredFact] = $"{InSeconds(made)} {InSeconds(now)}" } }
        );

    /// <summary>
    /// When the backup that this spool was restored from was made, and when that was: of what came between, nothing is known here. Null =
    /// it never was.
    /// </summary>
    public (DateTimeOffset Made, DateTimeOffset Restored)? Restored =>
        Fact(RestoredFact)?.Split(' ') is [var made, var restored]
            ? (
                Time(long.Parse(made, CultureInfo.InvariantCulture)),
                Time(long.Parse(restored, CultureInfo.InvariantCulture))
            )
            : null;

    private Task NoteAsync(string fact, DateTimeOffset now) =>
        CommitAsync(new() { Facts = new Dictionary<string, string> { [fact] = InSeconds(now) } });

    private DateTimeOffset? Noted(string fact) =>
        Fact(fact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    private static string InSeconds(DateTimeOffset time) =>
        time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);

    public string? Fact(string name) =>
        Read(s => s.Scalar("SELECT value FROM gateway WHERE name = $name", ("$name", name))) as string;

    public Dictionary<string, string> Facts() =>
        Read(s =>
                s.Rows(
                    "SELECT name, value FROM gateway",
                    row => KeyValuePair.Create(row.GetString(0), row.GetString(1))
                )
            )
            .ToDictionary();
}
