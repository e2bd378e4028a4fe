using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// A change of keys during which no mail waits (PROTOCOL.md 3): published second and certified by the old key; after two TTLs first, and
/// signing; after the longest life of a parcel and two TTLs the old one leaves the records; after another such life its secret is
/// destroyed.
/// </summary>
internal static class KeyRollover
{
    /// <summary>Begins a rollover, or takes its next step; the plan is saved.</summary>
    /// <returns>The plan as it is now, or why the step cannot be taken yet.</returns>
    /// <exception cref="IOException">A key file cannot be written.</exception>
    public static (KeyPlan? After, string? NotYet) TakeStep(
        GatewayConfiguration configuration,
        KeyRing ring,
        GatewayAlgorithm algorithm,
        Spool? spool,
        DateTimeOffset now
    )
    {
        if (ring.Plan.Due is { } due && now < due)
            return (
                null,
                $"the next step ({ring.Plan.NextStep}) is due from {InnerHeader.Time(due)}; until then caches, or "
                    + "parcels on their way, need things as they are"
            );
        var plan = ring.Plan;
        switch (plan.Rollover)
        {
            case null:
                var key = GatewayKey.Generate(algorithm, configuration.Gateway, now).CertifiedBy(ring.Active, now);
                KeyRing.Write(configuration.Keys.Directory, key, KeyRing.Passphrase(configuration), now);
                plan = plan with
                {
                    Published = [.. ring.Published.Select(k => k.Fingerprint), key.Fingerprint],
                    Rollover = new(ring.Active.Fingerprint, key.Fingerprint, 1, now),
                };
                break;
            case { Step: 1 } r:
                plan = plan with
                {
                    Published = [r.New, .. plan.Published.Where(f => f != r.New)],
                    Rollover = r with { Step = 2, Since = now },
                };
                break;
            case { Step: 2 } r:
                plan = plan with
                {
                    Published = [.. plan.Published.Where(f => f != r.Old)],
                    Rollover = r with { Step = 3, Since = now },
                };
                break;
            // A secret that is destroyed does not come back: the time must have passed for certain.
            case { } when ClockWatch.SureAfter(spool?.LastUsed, now) < ring.Plan.Due:
                return (
                    null,
                    $"the clock does not follow {InnerHeader.Time(spool!.LastUsed!.Value)}, when a gateway last used the spool; "
                        + "see that it is right, and call it again when the gateway has run for a day"
                );
            case { } r:
                // What waits may be sealed for the old key, or kept with its spool subkey.
                if (
                    spool?.List().Count(p => p.State != ParcelState.Handed && p.Created < r.Since)
                    is > 0
                        and var waiting
                )
                    return (
                        null,
                        $"{waiting} parcel(s) from before {InnerHeader.Time(r.Since)} still wait ('queue list') and may need the old key"
                    );
                foreach (var file in new[] { "key", "revocation" })
                    File.Delete(Path.Combine(configuration.Keys.Directory, $"{r.Old}.{file}"));
                plan = plan with { Rollover = null };
                break;
        }
        plan.Save(configuration.Keys.Directory);
        return (plan, null);
    }
}
