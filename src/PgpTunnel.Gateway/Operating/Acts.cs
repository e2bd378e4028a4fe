namespace PgpTunnel;

/// <summary>
/// What an administrator does to a gateway's queue and partners, from wherever: each is in the spool's journal in the same step in which it
/// happens.
/// </summary>
/// <param name="who">As the journal names them.</param>
/// <param name="reason">In their words; empty = they gave none.</param>
internal sealed class Acts(Spool spool, TimeProvider time, string who, string reason = "")
{
    /// <summary>Whoever is at this machine's keyboard.</summary>
    public static string Who =>
        Environment.GetEnvironmentVariable("SUDO_USER") is { Length: > 0 } behind && behind != Environment.UserName
            ? $"{behind} as {Environment.UserName}"
            : Environment.UserName;

    private DateTimeOffset Now => time.GetUtcNow();

    private OperatorAct Act(string what, string subject, string detail = "") =>
        new(Now, who, what, subject, string.Join(": ", new[] { detail, reason }.Where(t => t.Length > 0)));

    // The queue

    public Task HoldAsync(Parcel parcel) => RescheduleAsync("hold", parcel, ParcelState.Held);

    public Task ReleaseAsync(Parcel parcel) => RescheduleAsync("release", parcel, ParcelState.Queued);

    /// <summary>Tries it again now.</summary>
    public Task RetryAsync(Parcel parcel) => RescheduleAsync("retry", parcel, ParcelState.Queued);

    private Task RescheduleAsync(string what, Parcel parcel, ParcelState state) =>
        spool.CommitAsync(new() { Reschedule = new(parcel.Id, state, Now), Act = Act(what, parcel.Id) });

    /// <summary>Deletes it for good; nobody is told.</summary>
    public Task DropAsync(Parcel parcel) =>
        spool.CommitAsync(new() { Remove = parcel.Id, Act = Act("drop", parcel.Id) });

    // Partners

    /// <summary>A fingerprint that was compared.</summary>
    public Task<PeerRecord> VerifyAsync(string domain, string fingerprint) =>
        PeerMemory.ChangeAsync(
            spool,
            domain,
            r => r.VerifiedByHand(fingerprint),
            Act("partner verify", domain, fingerprint)
        );

    /// <summary>Trusts a fingerprint no more.</summary>
    public Task<PeerRecord> UnverifyAsync(string domain, string fingerprint) =>
        PeerMemory.ChangeAsync(
            spool,
            domain,
            r =>
                r with
                {
                    Verified = [.. r.Verified.Where(v => v != fingerprint)],
                    VouchedBy = r.VouchedBy.Where(v => v.Key != fingerprint).ToDictionary(),
                },
            Act("partner verify --remove", domain, fingerprint)
        );

    public Task OverrideAsync(string domain, PartnerOverride wish) =>
        PeerMemory.ChangeAsync(
            spool,
            domain,
            r => r with { Override = wish },
            Act($"partner override {wish.Action}", domain, $"until {InnerHeader.Time(wish.Until)}: {wish.Reason}")
        );

    /// <returns>False where there is none.</returns>
    public async Task<bool> EndOverrideAsync(string domain)
    {
        if (spool.FindPeer(domain)?.Override is not { } over || over.Until <= Now)
            return false;
        var act = Act("partner override end", domain, over.Action);
        await PeerMemory.ChangeAsync(spool, domain, r => r with { Override = null }, act);
        return true;
    }

    public Task ForgetAsync(string domain) => PeerMemory.ForgetAsync(spool, domain, Act("partner forget", domain));

    /// <summary>Notes that a backup was written, and which keys are in it.</summary>
    public async Task BackedUpAsync(string file, IReadOnlyList<OpenPgp.GatewayKey> keys)
    {
        await spool.BackedUpAsync(keys);
        await spool.CommitAsync(new() { Act = Act("backup", file) });
    }

    public Task RestoredAsync(DateTimeOffset made) =>
        spool.CommitAsync(new() { Act = Act("restore", $"backup of {InnerHeader.Time(made)}") });

    // What is on record

    /// <summary>Takes private parts out.</summary>
    public Task EraseAsync(IReadOnlyList<Erased> parts) =>
        spool.EraseAsync(parts, Act("evidence erase", $"{parts.Sum(p => p.Indexes.Count)} private part(s)"));

    // Keys, which lie in files of their own

    /// <summary>Notes what has been done to a key.</summary>
    public Task KeyAsync(string what, string fingerprint) =>
        spool.CommitAsync(new() { Act = Act($"key {what}", fingerprint) });
}
