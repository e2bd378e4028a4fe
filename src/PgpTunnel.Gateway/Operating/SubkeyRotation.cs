using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// A new encryption subkey every <c>keys.encryptionLifetime</c>, and the old secret destroyed once nothing on its way can need it: what
/// was recorded on the wire before then opens no more, even for who steals the key. Sealing goes on throughout; the operator only
/// publishes the certificate anew.
/// </summary>
internal static class SubkeyRotation
{
    /// <summary>
    /// How long an old subkey must open what was sealed for it, once the new one is seen in DNS: caches, then the longest life of a
    /// parcel.
    /// </summary>
    private static readonly TimeSpan Overlap = KeyPlan.TwoTtls + ParcelLife.Longest;

    /// <summary>What comes next for the active key, and when; the time is null when it waits for the records.</summary>
    public static (string Step, DateTimeOffset? Due)? Next(KeyRing ring, TimeSpan? lifetime) =>
        Rotating(ring) is { } subkey
            ? subkey.Since is { } since
                ? ("the old encryption subkey is destroyed", since + Overlap)
                : ("publish the certificate with the new encryption subkey ('dns records')", null)
            : lifetime is { } life
                ? ("a new encryption subkey is made", ring.Active.EncryptionCreated + life)
                : null;

    /// <summary>
    /// Only what this program made new ends what was before; other subkeys of a key brought from elsewhere are left alone.
    /// </summary>
    private static NewSubkey? Rotating(KeyRing ring) =>
        ring.Plan.Subkey is { } subkey
        && subkey.Fingerprint == ring.Active.EncryptionFingerprint
        && ring.Active.HasOldEncryption
            ? subkey
            : null;

    /// <summary>Takes the step that is due, if one is; keys and plan are read anew for it.</summary>
    /// <param name="published">The encryption subkey of ours that peers find in DNS now; null = not known.</param>
    /// <param name="now">The time.</param>
    /// <param name="byHand">Make a new subkey although none is due.</param>
    /// <param name="sure">The time that has certainly come; null = the same.</param>
    /// <returns>What was done, or null.</returns>
    /// <exception cref="IOException">A key file cannot be written.</exception>
    /// <exception cref="ConfigurationException">The keys cannot be read.</exception>
    public static string? TakeStep(
        GatewayConfiguration configuration,
        Spool? spool,
        string? published,
        DateTimeOffset now,
        bool byHand = false,
        DateTimeOffset? sure = null
    )
    {
        using var alone = KeyRing.Lock(configuration);
        var ring = KeyRing.Load(configuration);
        var key = ring.Active;
        if (Rotating(ring) is not { } subkey)
        {
            if (!byHand && !(configuration.Keys.EncryptionLifetime is { } life && now >= key.EncryptionCreated + life))
                return null;
            var fresh = key.WithNewEncryption(now);
            KeyRing.Replace(configuration, fresh);
            (ring.Plan with { Subkey = new(fresh.EncryptionFingerprint, null) }).Save(configuration.Keys.Directory);
            return $"made the encryption subkey {fresh.EncryptionFingerprint}; publish what 'pgptunnel dns records' "
                + "prints, and back the key up anew";
        }
        if (subkey.Since is not { } since)
        {
            if (published != subkey.Fingerprint)
                return null;
            (ring.Plan with { Subkey = subkey with { Since = now } }).Save(configuration.Keys.Directory);
            return $"the new encryption subkey is published; the old one is destroyed from {InnerHeader.Time(now + Overlap)}";
        }
        // A secret that is destroyed does not come back.
        if ((sure ?? now) < since + Overlap || IsNeeded(key, spool, now, since + Overlap))
            return null;
        KeyRing.Replace(configuration, key.WithoutOldEncryption());
        (ring.Plan with { Subkey = null }).Save(configuration.Keys.Directory);
        return "destroyed the old encryption subkey; destroy backups that hold it";
    }

    /// <summary>
    /// A parcel for the old subkey waits in the spool, or a partner still used it within the longest life of a parcel: that puts it off,
    /// and for so long at most.
    /// </summary>
    private static bool IsNeeded(GatewayKey key, Spool? spool, DateTimeOffset now, DateTimeOffset due) =>
        spool is not null
        && (
            (now < due + ParcelLife.Longest && spool.OldSubkeyUsed > now - ParcelLife.Longest)
            || spool.List().Where(p => p.Form == ParcelForm.Received).Any(p => IsNeeded(key, spool, p))
        );

    /// <summary>
    /// Seals anew, for our own spool subkey, what waits and needs the old subkey: so that mail which cannot be handed on does not keep
    /// it.
    /// </summary>
    public static async Task SealAnewAsync(KeyRing ring, Spool spool)
    {
        foreach (
            var parcel in spool.List().Where(p => p.Form == ParcelForm.Received && IsNeeded(ring.Active, spool, p))
        )
            if (spool.Load(parcel.Id) is var (_, content) && content.Body.Length > 0)
                await spool.ChangeBodyAsync(
                    parcel.Id,
                    MessageSealer.SealForSpool([MessageOpener.ReadVerified(content.Body.Span, ring.Keys)], ring.Active)
                );
    }

    private static bool IsNeeded(GatewayKey key, Spool spool, Parcel parcel)
    {
        try
        {
            return spool.Load(parcel.Id) is var (_, content) && key.NeedsOldEncryption(content.Body.Span);
        }
        catch (SpoolException)
        {
            return true; // its body cannot be read now; it may be later
        }
    }
}
