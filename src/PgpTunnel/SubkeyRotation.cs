namespace PgpTunnel;

/// <summary>
/// A new encryption subkey every <c>keys.encryptionLifetime</c>, and the old secret destroyed once nothing on its way can need it: what
/// was recorded on the wire before then opens no more, even for who steals the key. Sealing goes on throughout; the operator only
/// publishes the certificate anew.
/// </summary>
internal static class SubkeyRotation
{
    /// <summary>How long an old subkey must open what was sealed for it, once the new one is seen in DNS: caches, then the longest life of a parcel.</summary>
    private static readonly TimeSpan Overlap = KeyPlan.TwoTtls + Parcels.LongestLifetime;

    /// <summary>What comes next for the active key, and when; the time is null when it waits for the records.</summary>
    public static (string Step, DateTimeOffset? Due)? Next(KeyRing ring, TimeSpan? lifetime)
    {
        var key = ring.Active;
        return key.HasOldEncryption ? ring.Plan.Subkey is { } seen && seen.Fingerprint == key.EncryptionFingerprint
                ? ("the old encryption subkey is destroyed", seen.Since + Overlap)
                : ("publish the certificate with the new encryption subkey ('dns records')", null)
            : lifetime is { } life ? ("a new encryption subkey is made", key.EncryptionCreated + life) : null;
    }

    /// <summary>Takes the step that is due, if one is.</summary>
    /// <param name="published">The encryption subkey of ours that peers find in DNS now; null = not known.</param>
    /// <param name="now">The time.</param>
    /// <param name="byHand">Make a new subkey although none is due.</param>
    /// <returns>What was done, or null.</returns>
    /// <exception cref="IOException">A key file cannot be written.</exception>
    public static string? TakeStep(GatewayConfiguration configuration, KeyRing ring, Spool? spool, string? published, DateTimeOffset now, bool byHand = false)
    {
        var key = ring.Active;
        if (!key.HasOldEncryption)
        {
            if (!byHand && !(configuration.EncryptionLifetime is { } life && now >= key.EncryptionCreated + life))
                return null;
            var fresh = key.WithNewEncryption(now);
            KeyRing.Replace(configuration, fresh);
            return $"made the encryption subkey {fresh.EncryptionFingerprint}; publish what 'pgptunnel dns records' prints, and back the key up anew";
        }
        if (ring.Plan.Subkey is not { } seen || seen.Fingerprint != key.EncryptionFingerprint)
        {
            if (published != key.EncryptionFingerprint)
                return null;
            (ring.Plan with { Subkey = new(key.EncryptionFingerprint, now) }).Save(configuration.KeysDirectory);
            return $"the new encryption subkey is published; the old one is destroyed from {InnerHeader.Time(now + Overlap)}";
        }
        // Parcels that came before the caches knew the new subkey may be for the old one, and are opened from the spool again.
        if (now < seen.Since + Overlap || spool?.List().Any(p => p.Form == ParcelForm.Received && p.Created < seen.Since + Overlap) == true)
            return null;
        KeyRing.Replace(configuration, key.WithoutOldEncryption());
        (ring.Plan with { Subkey = null }).Save(configuration.KeysDirectory);
        return "destroyed the old encryption subkey; destroy backups that hold it";
    }
}
