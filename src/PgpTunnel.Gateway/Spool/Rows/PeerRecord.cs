namespace PgpTunnel;

/// <summary>A temporary wish of an administrator for one domain; it ends by itself.</summary>
/// <param name="Action"><c>clear</c> or <c>hold</c>.</param>
public sealed record PartnerOverride(string Action, DateTimeOffset Until, string Reason);

/// <summary>What is remembered of a domain across restarts (PROTOCOL.md 3).</summary>
public sealed record PeerRecord(string Domain)
{
    /// <summary>Fingerprints of the last usable policy.</summary>
    public IReadOnlyList<string> Fingerprints { get; init; } = [];

    /// <summary>Until when an <c>enforce</c> is in force; never shortened by an answer.</summary>
    public DateTimeOffset EnforceUntil { get; init; } = DateTimeOffset.UnixEpoch;

    /// <summary>Until when its gateway is held to give receipts, as it said.</summary>
    public DateTimeOffset ReceiptsUntil { get; init; } = DateTimeOffset.UnixEpoch;

    /// <summary>Fingerprints an administrator has verified.</summary>
    public IReadOnlyList<string> Verified { get; init; } = [];

    /// <summary>Of verified fingerprints that nobody but a former key vouches for: which one.</summary>
    public IReadOnlyDictionary<string, string> VouchedBy { get; init; } = new Dictionary<string, string>();

    /// <summary>Distrusted fingerprints (<c>xfp</c>), each until it is forgotten.</summary>
    public IReadOnlyDictionary<string, DateTimeOffset> Distrusted { get; init; } =
        new Dictionary<string, DateTimeOffset>();

    /// <summary>Since when secure answers say that there is no policy, against what is remembered.</summary>
    public DateTimeOffset? ContrarySince { get; init; }

    public DateTimeOffset? ContraryLast { get; init; }

    /// <summary>The newest signature over one of those answers.</summary>
    public DateTimeOffset? ContrarySigned { get; init; }

    /// <summary>
    /// The newest signature over the policy, or an alias to it, in the last usable answer; null = none was seen, or by a version that did
    /// not note it.
    /// </summary>
    public DateTimeOffset? Signed { get; init; }

    /// <summary>The day on which we last sealed for it.</summary>
    public DateTimeOffset? Sealed { get; init; }

    /// <inheritdoc cref="PolicySigning.Path"/>
    public IReadOnlyList<string> SignedPath { get; init; } = [];

    /// <summary>Two such answers lay a day apart.</summary>
    public bool ContraryApart { get; init; }

    public PartnerOverride? Override { get; init; }

    /// <summary>Why mail of this domain waits and somebody should look; null once a good answer came.</summary>
    public string? Alarm { get; init; }

    /// <summary>When the postmaster was last told of an alarm.</summary>
    public DateTimeOffset? Alarmed { get; init; }

    /// <summary>
    /// With a fingerprint that an administrator has compared: from then on it stands by itself, whoever vouched for it before.
    /// </summary>
    public PeerRecord VerifiedByHand(string fingerprint) =>
        this with
        {
            Verified = [.. Verified.Append(fingerprint).Distinct()],
            VouchedBy = VouchedBy.Where(v => v.Key != fingerprint).ToDictionary(),
        };
}
