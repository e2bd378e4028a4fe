using System.Text;
using System.Text.Json;

namespace PgpTunnel;

/// <summary>Where a change of keys stands.</summary>
/// <param name="Step">1 the new key is published second; 2 it is published first and signs; 3 the old one is published no more.</param>
internal sealed record Rollover(string Old, string New, int Step, DateTimeOffset Since);

/// <summary>An encryption subkey that a rotation made, and when it was first seen published; null = not yet.</summary>
internal sealed record NewSubkey(string Fingerprint, DateTimeOffset? Since);

/// <summary>
/// Which of our keys are published, in which order, and what comes next (PROTOCOL.md 3, rollover): <c>plan.json</c> beside the keys.
/// Without that file every key is published, the oldest first.
/// </summary>
internal sealed record KeyPlan
{
    /// <summary>Two TTLs of the records we print: when every cached answer holds the new key.</summary>
    public static readonly TimeSpan TwoTtls = TimeSpan.FromSeconds(2 * PublishedRecord.Ttl);

    public IReadOnlyList<string> Published { get; init; } = [];

    /// <summary>Distrusted for ever, and when.</summary>
    public IReadOnlyDictionary<string, DateTimeOffset> Revoked { get; init; } =
        new Dictionary<string, DateTimeOffset>();
    public Rollover? Rollover { get; init; }

    /// <summary>While a new encryption subkey takes over from an old one.</summary>
    public NewSubkey? Subkey { get; init; }

    /// <summary>When the rollover may take its next step, or null.</summary>
    public DateTimeOffset? Due =>
        Rollover is not { } r
            ? null
            : r.Step switch
            {
                1 => r.Since + TwoTtls,
                2 => r.Since + ParcelLife.Longest + TwoTtls,
                _ => r.Since + ParcelLife.Longest,
            };

    public string NextStep =>
        Rollover?.Step switch
        {
            1 => "the new key moves first and signs",
            2 => "the old key is dropped from the records",
            3 => "the old secret is destroyed",
            _ => "nothing is due",
        };

    private static string FileIn(string directory) => Path.Combine(directory, "plan.json");

    /// <exception cref="ConfigurationException">The file cannot be read.</exception>
    public static KeyPlan Load(string directory)
    {
        try
        {
            return File.Exists(FileIn(directory))
                ? JsonSerializer.Deserialize<KeyPlan>(File.ReadAllText(FileIn(directory))) ?? new KeyPlan()
                : new KeyPlan();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            var what =
                e is JsonException ? e.Message.Split(" Path:")[0] : e.Message + OwnFiles.WhyNot(FileIn(directory));
            throw new ConfigurationException([$"{FileIn(directory)}: {what}"]);
        }
    }

    private const string Begin = "-----BEGIN PGPTUNNEL KEY PLAN-----",
        End = "-----END PGPTUNNEL KEY PLAN-----";

    /// <summary>As it goes with the keys into a backup: without it a restored key would be published again though it was revoked.</summary>
    public byte[] ForBackup() =>
        [.. Encoding.ASCII.GetBytes($"{Begin}\r\n{JsonSerializer.Serialize(this)}\r\n{End}\r\n")];

    /// <summary>The plan in a backup; null = it has none, as those of version 0.1 and of other programs.</summary>
    /// <exception cref="JsonException">It cannot be read.</exception>
    public static KeyPlan? OfBackup(string backup)
    {
        var begin = backup.IndexOf(Begin, StringComparison.Ordinal);
        var end = begin < 0 ? -1 : backup.IndexOf(End, begin, StringComparison.Ordinal);
        return end < 0 ? null : JsonSerializer.Deserialize<KeyPlan>(backup[(begin + Begin.Length)..end]);
    }

    /// <summary>What is known here stands; what a backup knows of revoked keys is added, and the rest where nothing is known.</summary>
    /// <param name="here">Keys that are there already: what is published stays so.</param>
    public KeyPlan With(KeyPlan backup, IReadOnlyList<string> here)
    {
        var revoked = backup
            .Revoked.Concat(Revoked)
            .GroupBy(r => r.Key)
            .ToDictionary(g => g.Key, g => g.Min(r => r.Value));
        var isNew = this is { Published.Count: 0, Revoked.Count: 0, Rollover: null, Subkey: null };
        var published = isNew && backup.Published.Count > 0 ? backup.Published.Concat(here).Distinct() : Published;
        return (isNew ? backup : this) with
        {
            Revoked = revoked,
            Published = [.. published.Where(p => !revoked.ContainsKey(p))],
        };
    }

    /// <summary>Replaces the file in one step.</summary>
    public void Save(string directory)
    {
        OwnFiles.Replace(
            FileIn(directory),
            JsonSerializer.SerializeToUtf8Bytes(this),
            written => JsonSerializer.Deserialize<KeyPlan>(written)
        );
    }
}
