using System.Globalization;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

/// <summary>What the gateway notes of itself.</summary>
internal sealed partial class Spool
{
    private const string UsedFact = "used",
        OldSubkeyFact = "old-subkey";

    /// <summary>When a parcel for an older encryption subkey of ours last came.</summary>
    public DateTimeOffset? OldSubkeyUsed =>
        Fact(OldSubkeyFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    public static KeyValuePair<string, string> OldSubkeyUsedNow(DateTimeOffset now) =>
        new(OldSubkeyFact, now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));

    /// <summary>Notes that a gateway uses the spool now.</summary>
    public Task UsedAsync(DateTimeOffset now) =>
        CommitAsync(
            new()
            {
                Facts = new Dictionary<string, string>
                {
                    [UsedFact] = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
                },
            }
        );

    /// <summary>When a gateway last noted that.</summary>
    public DateTimeOffset? LastUsed =>
        Fact(UsedFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

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
