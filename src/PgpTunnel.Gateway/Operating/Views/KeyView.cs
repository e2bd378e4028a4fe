using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>One of our keys, and what comes next for it.</summary>
/// <param name="Active">It signs.</param>
/// <param name="Published">It is in the records.</param>
/// <param name="Next">The next step.</param>
/// <param name="NextDate">When that is due; null = nothing is, or it waits for the records.</param>
internal sealed record KeyView(string Fingerprint, string Algorithm, string Created, string UserId)
{
    public bool Active { get; init; }
    public bool Published { get; init; }
    public bool Revoked { get; init; }
    public string Next { get; init; } = "";
    public string? NextDate { get; init; }

    public static IReadOnlyList<KeyView> All(GatewayConfiguration configuration, KeyRing ring, DateTimeOffset now) =>
        [.. ring.Keys.Select(k => Of(configuration, ring, k, now))];

    private static KeyView Of(GatewayConfiguration configuration, KeyRing ring, GatewayKey key, DateTimeOffset now)
    {
        var (step, due) = NextOf(configuration, ring, key, now);
        return new(key.Fingerprint, key.Algorithm, InnerHeader.Time(key.Created), key.UserId)
        {
            Active = ReferenceEquals(key, ring.Active),
            Published = ring.Published.Contains(key),
            Revoked = ring.Plan.Revoked.ContainsKey(key.Fingerprint),
            Next = step,
            NextDate = due is { } date ? InnerHeader.Time(date) : null,
        };
    }

    private static (string Step, DateTimeOffset? Due) NextOf(
        GatewayConfiguration configuration,
        KeyRing ring,
        GatewayKey key,
        DateTimeOffset now
    )
    {
        if (ring.Plan.Rollover is { } r && (r.Old == key.Fingerprint || r.New == key.Fingerprint))
            return ($"{ring.Plan.NextStep} ('key rotate')", ring.Plan.Due);
        if (
            ReferenceEquals(key, ring.Active)
            && SubkeyRotation.Next(ring, configuration.Keys.EncryptionLifetime) is { } next
        )
            return next;
        return Certificate.Read(key.ExportCertificate()).Judge(configuration.Gateway, now).Key is { Expires: null }
            ? ("nothing is due, it does not expire", null)
            : ("it expires, or has; 'key rotate'", null);
    }

    /// <summary>In words: what it is for now, and what comes next.</summary>
    public string InWords() =>
        $"{(Active ? "active" : Revoked ? "revoked" : Published ? "published" : "opens only")}: {Next}"
        + (NextDate is null ? "" : $", from {NextDate}");
}
