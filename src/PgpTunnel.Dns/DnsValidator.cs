namespace PgpTunnel.Dns;

/// <summary>
/// A validating stub resolver (RFC 4035 4, 5; RFC 6840): asks the configured resolvers with CD and DO set and proves every answer
/// itself from the trust anchors down. A resolver's AD bit is never looked at. All failure is closed: what is not proved Secure
/// or Insecure is Bogus or Indeterminate.
/// </summary>
/// <remarks>
/// A lookup follows aliases link by link (this file); each link is one answer whose signatures are checked
/// (<c>DnsValidator.Links.cs</c>) with the keys of the zone that signed it, found by walking down from the anchor
/// (<c>DnsValidator.Zones.cs</c>).
/// </remarks>
/// <param name="octets">How much of what was proved is kept, until its time is over.</param>
public sealed partial class DnsValidator(
    DnsSource source,
    TrustAnchors anchors,
    TimeProvider time,
    long octets = 32 * 1024 * 1024
)
{
    private const int MaxAliases = 8;
    private static readonly TimeSpan LongestTtl = TimeSpan.FromDays(1);
    private static readonly TimeSpan FailureTtl = TimeSpan.FromSeconds(30);

    private readonly WeighedCache<(DomainName, ushort), Link> _links = new(time, () => octets, link => link.Weight);
    private readonly WeighedCache<DomainName, Zone> _zones = new(time, () => octets / 4, zone => zone.Weight);

    /// <summary>One validated lookup; every failure is a verdict, not an exception.</summary>
    /// <param name="fresh">Ask the resolvers again for this answer, whatever its TTL.</param>
    /// <param name="budget">What this and other look-ups for one purpose may spend together; null = this one has its own.</param>
    public async Task<DnsAnswer> LookupAsync(
        DomainName name,
        ushort type,
        CancellationToken cancel,
        bool fresh = false,
        WorkBudget? budget = null
    )
    {
        budget ??= new WorkBudget();
        using var deadline = budget.Deadline(cancel);
        try
        {
            return await FollowAsync(name, type, fresh, budget, deadline.Token);
        }
        catch (BudgetException e)
        {
            return Failed(name, type, DnsSecurity.Indeterminate, ServerFailure, $"{Where(name, type)}: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Failed(
                name,
                type,
                DnsSecurity.Indeterminate,
                ServerFailure,
                $"{Where(name, type)}: not settled within {WorkBudget.Longest.TotalSeconds:0} s"
            );
        }
    }

    private async Task<DnsAnswer> FollowAsync(
        DomainName name,
        ushort type,
        bool fresh,
        WorkBudget budget,
        CancellationToken cancel
    )
    {
        var (security, ttl, at) = (DnsSecurity.Secure, LongestTtl, name);
        Proof? proof = null;
        var steps = new List<SignedStep>();
        for (var hop = 0; hop <= MaxAliases; hop++)
        {
            var (link, left) = await LinkAsync(at, type, budget, cancel, fresh);
            security = Weakest(security, link.Security);
            ttl = left < ttl ? left : ttl;
            proof = Proof.Weaker(proof, link.Proof);
            if (link.Step is not null)
                steps.Add(link.Step);
            var failed = security > DnsSecurity.Insecure;
            if (link.Alias is null || failed)
                return new()
                {
                    Name = name,
                    Type = type,
                    Security = security,
                    Outcome = failed ? DnsOutcome.Failure : link.Outcome,
                    Data = failed ? [] : link.Data,
                    Ttl = ttl,
                    Rcode = link.Rcode,
                    Why = link.Why,
                    Signed = proof?.Period,
                    PublishedTtl = proof?.OriginalTtl,
                    Steps = steps,
                    Proof = failed ? null : budget.ProofOf(name, type),
                };
            budget.Alias();
            at = link.Alias;
        }
        return Failed(name, type, DnsSecurity.Bogus, rcode: 0, $"more than {MaxAliases} aliases lead away from {name}");
    }

    private const int ServerFailure = 2;

    private static DnsAnswer Failed(DomainName name, ushort type, DnsSecurity security, int rcode, string why) =>
        new()
        {
            Name = name,
            Type = type,
            Security = security,
            Outcome = DnsOutcome.Failure,
            Ttl = FailureTtl,
            Rcode = rcode,
            Why = why,
        };

    /// <summary>What a verified signature says besides that the data is right.</summary>
    internal sealed record Proof(SignaturePeriod Period, TimeSpan OriginalTtl)
    {
        public static Proof? Weaker(Proof? a, Proof? b) =>
            a is null || b is null
                ? a ?? b
                : new(a.Period.Until < b.Period.Until ? a.Period : b.Period, Shorter(a.OriginalTtl, b.OriginalTtl));
    }

    /// <summary>One answer without following aliases.</summary>
    internal sealed record Link
    {
        public required DnsSecurity Security { get; init; }

        public required DnsOutcome Outcome { get; init; }

        public IReadOnlyList<byte[]> Data { get; init; } = [];

        public DomainName? Alias { get; init; }

        /// <summary>The zone whose keys proved it; null when nothing was proved securely.</summary>
        public DomainName? Signer { get; init; }

        /// <summary>A proved absence of DS at a name that is delegated.</summary>
        public bool Delegation { get; init; }

        public required TimeSpan Ttl { get; init; }

        public required int Rcode { get; init; }

        public required string Why { get; init; }

        public Proof? Proof { get; init; }

        public SignedStep? Step { get; init; }

        /// <summary>
        /// Nothing is signed there, and there was nothing in the answer, not even a SOA (RFC 2308 2.2): it may have been cut out of it.
        /// </summary>
        public bool IsEmpty { get; init; }

        /// <summary>About the octets it holds.</summary>
        public long Weight => 512 + Data.Sum(d => d.Length + 32L) + 2 * Why.Length + (Alias?.Wire.Length ?? 0);
    }

    private static Link Failed(DnsSecurity security, string why, int rcode = ServerFailure) =>
        new()
        {
            Security = security,
            Outcome = DnsOutcome.Failure,
            Ttl = FailureTtl,
            Rcode = rcode,
            Why = why,
        };

    private async Task<(Link Link, TimeSpan Left)> LinkAsync(
        DomainName name,
        ushort type,
        WorkBudget budget,
        CancellationToken cancel,
        bool fresh = false
    )
    {
        // What this look-up has proved already serves it to its end, however short its TTL and however fresh it was to be.
        if (budget.Links.TryGetValue((name, type), out var known))
            return (known, known.Ttl);
        if (!fresh && _links.Get((name, type), budget.Asker) is { } cached)
            return cached;
        Link link;
        try
        {
            link = await JudgedAsync(
                name,
                type,
                budget,
                message => JudgeAsync(message, name, type, budget, cancel),
                link => link.IsEmpty,
                cancel
            );
        }
        catch (BogusException e)
        {
            link = Failed(DnsSecurity.Bogus, $"{Where(name, type)}: {e.Message}");
        }
        catch (DnsUnavailableException e)
        {
            link = Failed(DnsSecurity.Indeterminate, $"{Where(name, type)}: {e.Message}", e.Rcode);
        }
        budget.Links[(name, type)] = link;
        // A failure, which may be a lost answer only, is not to spoil a good one for all.
        var failed = link.Security > DnsSecurity.Insecure;
        _links.Put((name, type), link, link.Ttl, budget.Asker, old => failed && old.Security <= DnsSecurity.Insecure);
        return (link, link.Ttl);
    }

    /// <summary>
    /// Asks until an answer is judged good: one that is bogus may be the fault of the transport or of the resolver, so it is asked for over
    /// TCP and of the next one before that is the verdict.
    /// </summary>
    /// <param name="doubtful">Of a good judgement: it rests on an answer so empty that others are asked too; it stands when they know no
    /// better.</param>
    /// <exception cref="BogusException">Every answer was; with the reason of the first.</exception>
    /// <exception cref="DnsUnavailableException">There was none.</exception>
    private async Task<T> JudgedAsync<T>(
        DomainName name,
        ushort type,
        WorkBudget budget,
        Func<DnsMessage, Task<T>> judge,
        Func<T, bool> doubtful,
        CancellationToken cancel
    )
        where T : class
    {
        var question = source.Ask(name, type, budget.Asker);
        BogusException? bogus = null;
        T? doubted = null;
        while (true)
        {
            try
            {
                budget.Query();
                var judged = await judge(await question.NextAsync(cancel));
                if (doubtful(judged))
                {
                    doubted ??= judged;
                    continue;
                }
                question.Right();
                return judged;
            }
            catch (BogusException e)
            {
                bogus ??= e;
                question.Wrong(e.Message);
            }
            catch (UnfitException e)
            {
                question.Unfit(e.Message);
            }
            catch (DnsUnavailableException) when (doubted is not null || bogus is not null)
            {
                return doubted ?? throw new BogusException(bogus!.Message);
            }
        }
    }

    /// <summary>The resolver cannot serve a validator, whatever it is asked.</summary>
    private sealed class UnfitException(string why) : Exception(why);

    private static string Where(DomainName name, ushort type) => $"{name} {RecordType.Name(type)}";

    private static DnsSecurity Weakest(DnsSecurity a, DnsSecurity b) => a > b ? a : b;
}
