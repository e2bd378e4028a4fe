namespace PgpTunnel.Dns;

/// <summary>The DNSSEC state of an answer (RFC 4035 4.3), from strong to weak.</summary>
public enum DnsSecurity
{
    Secure,
    Insecure,
    Indeterminate,
    Bogus,
}

/// <summary>What was said, and, where the state is Secure, proved.</summary>
public enum DnsOutcome
{
    Answer,
    NoData,
    NxDomain,
    Failure,
}

/// <summary>
/// One validated lookup. <see cref="Security"/> is the weakest of all links that led here, aliases included; data of anything but a
/// Secure answer is hearsay.
/// </summary>
public sealed record DnsAnswer
{
    public required DomainName Name { get; init; }
    public required ushort Type { get; init; }
    public required DnsSecurity Security { get; init; }
    public required DnsOutcome Outcome { get; init; }

    /// <summary>RDATA of the answer, one item a record, uncompressed.</summary>
    public IReadOnlyList<byte[]> Data { get; init; } = [];

    /// <summary>How long this may be used: min(TTL, original TTL, signature expiry), at most a day; a failure at most 30 s.</summary>
    public required TimeSpan Ttl { get; init; }

    public required int Rcode { get; init; }

    /// <summary>One sentence for people: what proved it, or what went wrong and where.</summary>
    public required string Why { get; init; }

    /// <summary>Of the signatures over the answer and its aliases, the one that expires first; null when nothing was proved.</summary>
    public SignaturePeriod? Signed { get; init; }

    /// <summary>The TTL as the zone publishes it (RRSIG original TTL), the shortest of all links.</summary>
    public TimeSpan? PublishedTtl { get; init; }

    /// <summary>The proved links of the answer in order, aliases first: what was said at each name, and when that was signed.</summary>
    public IReadOnlyList<SignedStep> Steps { get; init; } = [];

    /// <summary>
    /// What the verdict rests on; null where there is none, or it was not asked for (<see cref="WorkBudget.KeepsProof"/>).
    /// </summary>
    public DnsProof? Proof { get; init; }
}

/// <summary>One proved link of an answer: a record set, an alias, or the denial of a name.</summary>
/// <param name="Alias">Where the name leads; null at the end.</param>
/// <param name="Signed">Inception of the signature over the set, or over the NSEC or NSEC3 that itself denies the name.</param>
/// <param name="Oldest">The same, or of a denial the oldest over any record of its proof (wildcard, closest encloser).</param>
/// <param name="Wildcard">The set was made from a wildcard.</param>
public sealed record SignedStep(
    DomainName Owner,
    DomainName? Alias,
    DateTimeOffset Signed,
    DateTimeOffset Oldest,
    bool Wildcard
)
{
    /// <summary>Of a set made from a wildcard: inception over the NSEC or NSEC3 that denies the name itself.</summary>
    public DateTimeOffset? NameDenied { get; init; }
}

/// <summary>The security of the zone that holds (or would hold) a name.</summary>
public sealed record ZoneSecurity(DomainName Zone, DnsSecurity Security, TimeSpan Ttl, string Why);

/// <summary>One zone on the way from the anchor to a name, as it was proved.</summary>
/// <param name="Algorithms">Of the keys that may sign for it (RFC 8624 numbers).</param>
/// <param name="Signed">Of the signatures over its DS and DNSKEY records, the one that expires first.</param>
public sealed record ZoneLink(
    DomainName Zone,
    DnsSecurity Security,
    IReadOnlyList<byte> Algorithms,
    SignaturePeriod? Signed,
    string Why
);

/// <summary>From when until when a signature is valid (RFC 4034 3.1.5).</summary>
public sealed record SignaturePeriod(DateTimeOffset From, DateTimeOffset Until)
{
    /// <summary>Less than an eighth is left: signers that work renew before then.</summary>
    public bool RunsOut(DateTimeOffset now) => Until - now < (Until - From) / 8;
}

/// <summary>Nothing usable came from any resolver; the message names them and what happened.</summary>
/// <param name="rcode">What was answered last instead of an answer; SERVFAIL (2) when nothing was.</param>
public sealed class DnsUnavailableException(string message, int rcode = 2) : Exception(message)
{
    public int Rcode => rcode;
}
