namespace PgpTunnel;

/// <summary>
/// Remembers that a domain asked for encryption, so that stripping its records later does not bring back clear text. Only usable
/// answers write; only time, an administrator, or 48 hours of agreeing secure denials forget.
/// </summary>
/// <param name="clock">Tells how much time has passed for certain; null = by when a gateway last used the spool.</param>
internal sealed partial class PeerMemory(Spool? spool, EventLog? log, TimeProvider time, ClockWatch? clock = null)
{
    /// <summary>
    /// What a gateway remembers, for a command to look at: what it finds in the DNS is the gateway's to remember, which knows how much
    /// time has passed and who asked for what.
    /// </summary>
    public static PeerMemory ToLookAt(Spool? spool, TimeProvider time) => new(spool, null, time) { _onlyLooks = true };

    private bool _onlyLooks;

    /// <summary>Where it is written down; null = nowhere.</summary>
    private Spool? Written => _onlyLooks ? null : spool;

    private static readonly TimeSpan Agreement = TimeSpan.FromHours(48),
        Apart = TimeSpan.FromHours(24),
        Grain = TimeSpan.FromHours(1),
        Vouching = TimeSpan.FromDays(90);
    private static readonly DateTimeOffset ForEver = DateTimeOffset.FromUnixTimeSeconds(
        DateTimeOffset.MaxValue.ToUnixTimeSeconds()
    );

    public PeerRecord Recall(string domain) => spool?.FindPeer(domain) ?? new PeerRecord(domain);

    public bool RemembersEnforce(PeerRecord record) => record.EnforceUntil > Sure;

    /// <summary>By which memory ends: a clock that has jumped forgets nothing.</summary>
    public DateTimeOffset Sure => clock?.Sure ?? ClockWatch.SureAfter(spool?.LastUsed, time.GetUtcNow());

    /// <summary>Changes with every command that changes what is remembered, so that a running gateway looks again.</summary>
    public string Version => spool?.PeersVersion ?? "";

    /// <summary>An administrator's change.</summary>
    /// <param name="act">What the journal has of it.</param>
    public static async Task<PeerRecord> ChangeAsync(
        Spool spool,
        string domain,
        Func<PeerRecord, PeerRecord> change,
        OperatorAct? act = null
    )
    {
        await spool.CommitAsync(new() { Peer = new(domain, change), Act = act });
        await spool.PeersChangedAsync();
        return spool.FindPeer(domain) ?? new PeerRecord(domain);
    }

    public static async Task ForgetAsync(Spool spool, string domain, OperatorAct? act = null)
    {
        await spool.CommitAsync(new() { Forget = domain, Act = act });
        await spool.PeersChangedAsync();
    }

    /// <summary>True of a usable answer that was signed before one that we have seen: a secondary that lags behind, or a replay.</summary>
    public static bool IsOlder(PeerRecord record, PolicySigning signing) =>
        signing.Newest < record.Signed || signing.Newest < record.ContrarySigned;

    /// <summary>
    /// True of a denial that was not signed after the policy that we have seen: who recorded it before the policy was published may be
    /// playing it back. Signers write one time into many signatures, so equal is no proof of being later.
    /// </summary>
    public bool IsOutdated(PeerRecord record, PolicySigning denial) =>
        (record.Signed ?? (record.Fingerprints.Count > 0 ? spool?.SignedSince : null)) is { } seen
        && denial.OldestAgainst(record.SignedPath) <= seen;

    /// <summary>
    /// A usable answer: lengthens what is remembered and never shortens it. One that is older than what was seen is remembered as
    /// nothing.
    /// </summary>
    public async Task UsableAsync(PeerRecord before, PolicyRecord policy, PolicySigning signing)
    {
        if (IsOlder(before, signing))
        {
            log?.Write(
                "older-answer",
                ("domain", before.Domain),
                (
                    "why",
                    "its policy was signed before the one seen last: a name server lags behind, or an old answer is "
                        + "played back; it is used, and nothing of it remembered"
                )
            );
            return;
        }
        var (now, expires) = (time.GetUtcNow(), time.GetUtcNow() + policy.MaxAge);
        PeerRecord After(PeerRecord r) =>
            r with
            {
                Fingerprints = policy.Fingerprints,
                ContrarySince = null,
                ContraryLast = null,
                ContrarySigned = null,
                ContraryApart = false,
                Signed = signing.Newest,
                SignedPath = signing.Path,
                EnforceUntil = policy.Mode == PolicyMode.Enforce && expires > r.EnforceUntil ? expires : r.EnforceUntil,
                ReceiptsUntil = policy.GivesReceipts && expires > r.ReceiptsUntil ? expires : r.ReceiptsUntil,
                Alarm = null,
                // What is published is distrusted until the remembered time is over, what its own key has revoked for ever.
                Distrusted = policy
                    .Distrusted.Select(d => KeyValuePair.Create(d, expires))
                    .Concat(r.Distrusted.Where(d => d.Value > Sure))
                    .GroupBy(d => d.Key)
                    .ToDictionary(g => g.Key, g => g.Max(d => d.Value)),
            };
        var after = After(before);
        // Written when it says something new or was signed anew, or lengthens what is known by an hour: not for each message.
        if (
            Written is null
            || (
                after.Signed == before.Signed
                && after.SignedPath.SequenceEqual(before.SignedPath)
                && after.EnforceUntil - before.EnforceUntil < Grain
                && after.ReceiptsUntil - before.ReceiptsUntil < Grain
                && before.ContrarySince is null
                && before.Alarm is null
                && after.Fingerprints.SequenceEqual(before.Fingerprints)
                && after.Distrusted.All(d =>
                    before.Distrusted.TryGetValue(d.Key, out var known) && d.Value - known < Grain
                )
            )
        )
            return;
        SayIfWithdrawn(before, policy);
        await TryAsync(Written, before, After);
    }

    /// <summary>We have sealed for it; noted once a day.</summary>
    public async Task SealedAsync(string domain)
    {
        var (now, before) = (time.GetUtcNow(), Recall(domain));
        if (Written is not null && !(now - before.Sealed < TimeSpan.FromDays(1)))
            await TryAsync(Written, before, r => r with { Sealed = now });
    }

    /// <summary>A trusted key has certified its successor, which is trusted from now on.</summary>
    public async Task SucceededAsync(PeerRecord before, string fingerprint, string certifier)
    {
        log?.Write(
            "key-succeeded",
            ("domain", before.Domain),
            ("key", fingerprint),
            ("why", "certified by a key that was trusted")
        );
        if (Written is not null)
            await TryAsync(
                Written,
                before,
                r =>
                    r with
                    {
                        Verified = [.. r.Verified.Append(fingerprint).Distinct()],
                        VouchedBy = r.Verified.Contains(fingerprint)
                            ? r.VouchedBy
                            : new Dictionary<string, string>(r.VouchedBy) { [fingerprint] = certifier },
                    }
            );
    }

    /// <summary>Keys that have revoked themselves (0x20, compromised or without a reason): distrusted for this domain for ever.</summary>
    /// <returns>What is remembered afterwards.</returns>
    public async Task<PeerRecord> RevokedAsync(PeerRecord before, IReadOnlyList<string> fingerprints)
    {
        var fresh = fingerprints.Where(f => before.Distrusted.GetValueOrDefault(f) < ForEver).ToList();
        if (Written is null || fresh.Count == 0)
            return WithoutRevoked(before, fresh);
        foreach (var fingerprint in fresh)
            log?.Write(
                "key-revoked",
                ("domain", before.Domain),
                ("key", fingerprint),
                ("why", "its owner has revoked it; it is distrusted for ever")
            );
        return await TryAsync(Written, Disown(before, fresh), r => Disown(r, fresh));
    }

    /// <summary>The same for one look-up only, of which nothing is kept.</summary>
    public static PeerRecord WithoutRevoked(PeerRecord record, IReadOnlyList<string> fingerprints) =>
        record with
        {
            Distrusted = WithForEver(record.Distrusted, fingerprints),
        };

    /// <summary>Distrusts keys for ever, and with them whom only they vouched for.</summary>
    private PeerRecord Disown(PeerRecord record, IReadOnlyList<string> fingerprints)
    {
        var fallen = fingerprints.ToHashSet();
        while (
            record.VouchedBy.Where(v => fallen.Contains(v.Value) && !fallen.Contains(v.Key)).Select(v => v.Key).ToList()
                is { Count: > 0 } more
        )
            fallen.UnionWith(more);
        foreach (var successor in fallen.Except(fingerprints))
            log?.Write(
                "key-disowned",
                ("domain", record.Domain),
                ("key", successor),
                ("alarm", true),
                ("why", "only a key that is revoked now had vouched for it"),
                ("do", $"compare fingerprints with {record.Domain}, then 'pgptunnel partner verify'")
            );
        // Keys that an administrator verified stay listed: then nothing else is trusted in their place.
        return record with
        {
            Verified = [.. record.Verified.Where(v => !fallen.Contains(v) || !record.VouchedBy.ContainsKey(v))],
            VouchedBy = record.VouchedBy.Where(v => !fallen.Contains(v.Key)).ToDictionary(),
            Distrusted = WithForEver(record.Distrusted, fingerprints),
        };
    }

    public static bool IsForEver(PeerRecord record, string fingerprint) =>
        record.Distrusted.GetValueOrDefault(fingerprint) >= ForEver;

    private static Dictionary<string, DateTimeOffset> WithForEver(
        IReadOnlyDictionary<string, DateTimeOffset> distrusted,
        IReadOnlyList<string> fingerprints
    ) =>
        distrusted
            .Where(d => !fingerprints.Contains(d.Key))
            .Concat(fingerprints.Select(f => KeyValuePair.Create(f, ForEver)))
            .ToDictionary();

    /// <summary>
    /// A secure denial while <c>enforce</c> is remembered. When all have agreed for 48 h, two of them a day apart, it is forgotten.
    /// </summary>
    /// <param name="denial">One that <see cref="IsOutdated"/> counts for nothing and must not come here.</param>
    /// <returns>What is remembered afterwards.</returns>
    public async Task<PeerRecord> DeniedAsync(PeerRecord before, PolicySigning denial)
    {
        var now = Sure;
        if (
            Written is null
            || before.EnforceUntil <= now
            || before.Verified.Count > 0
            || (before.ContraryLast is { } last && now - last < Grain)
        )
            return before;
        return await TryAsync(
            Written,
            before,
            r =>
            {
                var apart = r.ContraryApart || (r.ContrarySince is { } first && now - first >= Apart);
                return r.ContrarySince is { } since && now - since >= Agreement && apart
                    ? r with
                    {
                        EnforceUntil = now,
                        Signed = Later(r.Signed, denial.Newest),
                        ContrarySince = null,
                        ContraryLast = null,
                        ContrarySigned = null,
                        ContraryApart = false,
                    }
                    : r with
                    {
                        ContrarySince = r.ContrarySince ?? now,
                        ContraryLast = now,
                        ContrarySigned = Later(r.ContrarySigned, denial.Newest),
                        ContraryApart = apart,
                    };
            }
        );
    }

    private static DateTimeOffset Later(DateTimeOffset? a, DateTimeOffset b) => a > b ? a.Value : b;

    /// <summary>A look-up must not fail because a disk is full; what could not be written now comes with the next answer.</summary>
    private async Task<PeerRecord> TryAsync(Spool spool, PeerRecord before, Func<PeerRecord, PeerRecord> change)
    {
        try
        {
            await spool.CommitAsync(new() { Peer = new(before.Domain, change) });
            return spool.FindPeer(before.Domain) ?? before;
        }
        catch (SpoolException e)
        {
            log?.Write(
                "spool-error",
                ("what", $"remembering {before.Domain}"),
                ("why", e.Message),
                ("do", SpoolException.Advice)
            );
            return before;
        }
    }
}
