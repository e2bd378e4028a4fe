namespace PgpTunnel;

/// <summary>What is remembered and configured of one partner; times are RFC 3339.</summary>
/// <param name="Policy">Ours for it: <c>never</c>, <c>prefer</c>, <c>require</c>, <c>require-verified</c>.</param>
/// <param name="Trusted">Fingerprints that are configured or verified; where there are any, only they count.</param>
internal sealed record PartnerView(
    string Domain,
    string Policy,
    bool EnforceRemembered,
    string? RememberedUntil,
    IReadOnlyList<string> Fingerprints,
    IReadOnlyList<string> Trusted
)
{
    public IReadOnlyList<string> Distrusted { get; init; } = [];
    public OverrideView? Override { get; init; }

    /// <summary>Why its mail waits, where somebody should look.</summary>
    public string? Alarm { get; init; }

    /// <summary>Since when all secure answers have agreed that it has no policy.</summary>
    public string? DeniedSince { get; init; }

    public static PartnerView Of(PeerRecord record, GatewayConfiguration configuration, DateTimeOffset now) =>
        new(
            record.Domain,
            Word(configuration.PolicyFor(record.Domain)),
            record.EnforceUntil > now,
            record.EnforceUntil > now ? InnerHeader.Time(record.EnforceUntil) : null,
            record.Fingerprints,
            [.. configuration.Policy.Partners.GetValueOrDefault(record.Domain)?.Fingerprints ?? [], .. record.Verified]
        )
        {
            Distrusted = [.. record.Distrusted.Where(d => d.Value > now).Select(d => d.Key)],
            Override =
                record.Override is { } o && o.Until > now
                    ? new OverrideView(o.Action, InnerHeader.Time(o.Until), o.Reason)
                    : null,
            Alarm = record.Alarm,
            DeniedSince = record.ContrarySince is { } since ? InnerHeader.Time(since) : null,
        };

    /// <summary>Every domain of which something is remembered or configured.</summary>
    public static IReadOnlyList<PartnerView> All(GatewayConfiguration configuration, Spool? spool, DateTimeOffset now)
    {
        var records = (spool?.ListPeers() ?? []).ToDictionary(p => p.Domain);
        return
        [
            .. records
                .Keys.Union(configuration.Policy.Partners.Keys)
                .Except(configuration.Domains)
                .Order()
                .Select(d => Of(records.GetValueOrDefault(d) ?? new PeerRecord(d), configuration, now)),
        ];
    }

    private static string Word(LocalPolicy policy) =>
        policy == LocalPolicy.RequireVerified ? "require-verified" : policy.ToString().ToLowerInvariant();

    /// <summary>In words; <c>-</c> = there is nothing to say.</summary>
    public string InWords()
    {
        var words = new List<string>();
        if (Override is { } o)
            words.Add($"override {o.Action} until {o.Until}");
        if (Alarm is not null)
            words.Add($"ALARM, mail waits: {Alarm}");
        if (DeniedSince is not null)
            words.Add($"its records have been gone since {DeniedSince}");
        if (RememberedUntil is not null)
            words.Add($"enforce until {RememberedUntil}");
        if (Trusted.Count > 0)
            words.Add("verified");
        return words.Count == 0 ? "-" : string.Join("; ", words);
    }
}

/// <param name="Action"><c>clear</c> or <c>hold</c>.</param>
internal sealed record OverrideView(string Action, string Until, string Reason);
