using System.Collections.Concurrent;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// Finds the gateway of a domain: zone security first, then the policy (this file), then the certificates (<c>Peers.Keys.cs</c>);
/// PROTOCOL.md 2, 3. Every answer carries its DNSSEC state, judged before anything in it is read.
/// </summary>
/// <param name="octets">How much of what was found is kept; null = 16 MiB.</param>
/// <param name="stop">Ends look-ups that are on their way.</param>
internal sealed partial class Peers(
    Func<DnsValidator> validators,
    PeerMemory memory,
    Func<string, Partner?> partners,
    TimeProvider time,
    Func<long>? octets = null,
    CancellationToken stop = default
)
{
    /// <summary>Under a configuration that does not change while it is asked; null = none.</summary>
    public static Peers Under(
        GatewayConfiguration? configuration,
        DnsValidator validator,
        PeerMemory memory,
        TimeProvider time
    ) => new(() => validator, memory, domain => configuration?.Policy.Partners.GetValueOrDefault(domain), time);

    private static readonly TimeSpan ShortestUse = TimeSpan.FromSeconds(1),
        FailureUse = TimeSpan.FromSeconds(30);
    private static readonly Func<long> DefaultRoom = () => 16 * 1024 * 1024;

    private readonly WeighedCache<string, PeerState> _cache = new(time, octets ?? DefaultRoom, state => state.Weight);
    private readonly WeighedCache<string, Certificate> _certificates = new(
        time,
        octets ?? DefaultRoom,
        certificate => 4096 + 4L * certificate.Octets.Length
    );

    /// <summary>
    /// Look-ups on their way: who asks for the same waits for the same answer. Strangers' are apart, so that they never fail ours.
    /// </summary>
    private readonly ConcurrentDictionary<(string, bool, Asker, int), Lazy<Task<PeerState>>> _flights = new();
    private volatile string _version = "";
    private int _generation;

    /// <summary>The state of a domain (A-label form), from memory while its TTL runs.</summary>
    /// <param name="fresh">Ask the resolvers again.</param>
    /// <param name="budget">What all look-ups for one recipient or parcel may spend together; null = this one has its own.</param>
    public async Task<PeerState> FindAsync(
        string domain,
        bool fresh,
        CancellationToken cancel,
        WorkBudget? budget = null
    )
    {
        var state = await AskAsync(domain, fresh, budget ?? new WorkBudget(), cancel);
        await RememberAsync(state);
        return state;
    }

    /// <summary>Writes down what a usable answer says, once.</summary>
    public async Task RememberAsync(PeerState state)
    {
        if (state.ToRemember is { } policy && Interlocked.Exchange(ref policy.Written, 1) == 0)
            await memory.UsableAsync(memory.Recall(state.Domain), policy.Policy, policy.Signing);
    }

    /// <summary>
    /// As <see cref="FindAsync"/>, but a usable answer is not remembered: of domains that a stranger names, until a parcel shows that it
    /// is theirs.
    /// </summary>
    public async Task<PeerState> AskAsync(string domain, bool fresh, WorkBudget budget, CancellationToken cancel)
    {
        if (memory.Version is var version && version != _version)
        {
            _version = version; // an administrator has changed what is remembered
            Clear();
        }
        if (
            !fresh
            && _cache.Get(domain, budget.Asker) is var (cached, _)
            && !(cached.IsForStrangers && budget.Asker == Asker.Ours)
        )
            return cached;
        var key = (domain, fresh, budget.Asker, _generation);
        var flight = _flights.GetOrAdd(key, _ => new(() => FlyAsync(domain, fresh, budget)));
        using var deadline = budget.Deadline(cancel);
        try
        {
            return await flight.Value.WaitAsync(deadline.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return State(
                LookupOf(domain),
                PeerClass.Temporary,
                DnsSecurity.Indeterminate,
                null,
                FailureUse,
                $"{domain}: not settled within {WorkBudget.Longest.TotalSeconds:0} s"
            );
        }
        finally
        {
            if (flight.Value.IsCompleted)
                _flights.TryRemove(KeyValuePair.Create(key, flight));
        }
    }

    private async Task<PeerState> FlyAsync(string domain, bool fresh, WorkBudget budget)
    {
        var generation = _generation;
        if (fresh)
            budget.Forget();
        var state = await LookUpAsync(domain, fresh, budget, stop); // not with the first who asked: others may wait for it
        // Not what was looked up under a configuration that is gone, nor a failure in the place of what is good still.
        if (generation == _generation)
            _cache.Put(
                domain,
                state,
                state.Until - time.GetUtcNow(),
                budget.Asker,
                old => state.Class == PeerClass.Temporary && old.Class != PeerClass.Temporary
            );
        return state;
    }

    /// <summary>True when an administrator has verified a fingerprint of the domain.</summary>
    public bool IsVerified(string domain) => memory.Recall(domain).Verified.Count > 0;

    /// <summary>
    /// True of whom an administrator has configured or verified, or we have written to of late: not of whoever writes to us.
    /// </summary>
    public bool IsPartner(string domain) =>
        partners(domain) is not null || IsVerified(domain) || memory.Sure - memory.Recall(domain).Sealed < OfLate;

    private static readonly TimeSpan OfLate = TimeSpan.FromDays(90);

    /// <inheritdoc cref="PeerMemory.SealedAsync"/>
    public Task SealedAsync(string domain) => memory.SealedAsync(domain);

    /// <summary>Waits until no look-up is on its way any more: they write to the spool.</summary>
    public Task DrainAsync() =>
        Task.WhenAll(_flights.Values.Select(f => f.Value.ContinueWith(_ => { }, TaskScheduler.Default)));

    /// <summary>Forgets what was looked up, when the configuration has changed.</summary>
    public void Clear()
    {
        Interlocked.Increment(ref _generation);
        _cache.Clear();
    }

    private Lookup LookupOf(string domain)
    {
        var record = memory.Recall(domain);
        return new Lookup(domain, record, memory.RemembersEnforce(record), partners(domain)?.Fingerprints ?? [])
        {
            HeldToReceipts = memory.RemembersReceipts(record),
        };
    }

    private async Task<PeerState> LookUpAsync(string domain, bool fresh, WorkBudget budget, CancellationToken cancel)
    {
        var lookup = LookupOf(domain) with { Fresh = fresh, Budget = budget };
        if (partners(domain) is { Certificate: { } certificate } partner)
            return FromFile(lookup, certificate, partner.Gateway);
        if (!DomainName.TryParse(domain, out var name) || domain.Length > PolicyRecord.LongestDomain)
            return State(
                lookup,
                PeerClass.None,
                DnsSecurity.Indeterminate,
                null,
                TimeSpan.FromDays(1),
                "no policy record can stand at a name this long"
            );
        var validator = validators();
        var zone = await validator.SettleAsync(name, cancel, fresh, budget);
        if (zone.Security == DnsSecurity.Insecure && !lookup.Trusted)
            return State(lookup, PeerClass.Insecure, zone.Security, null, zone.Ttl, zone.Why);
        if (zone.Security is DnsSecurity.Bogus or DnsSecurity.Indeterminate)
            return State(lookup, PeerClass.Temporary, zone.Security, null, zone.Ttl, zone.Why);
        var answer = await validator.LookupAsync(
            name.Prepend(PolicyRecord.Label),
            RecordType.TXT,
            cancel,
            fresh,
            budget
        );
        if (NotGood(lookup, answer) is { } weak)
            return State(lookup, weak, answer.Security, null, answer.Ttl, answer.Why) with
            {
                // By opt-out a signed denial proves nothing, and may be an old one all the same (RFC 5155 9.2).
                Outdated =
                    weak == PeerClass.Insecure
                    && answer.Steps.Count > 0
                    && memory.IsOutdated(lookup.Record, new PolicySigning(answer.Steps)),
            };
        PolicyRecord? policy;
        try
        {
            policy = PolicyRecord.Find(answer.Data, domain);
        }
        catch (PolicyRecordException e)
        {
            return State(lookup, PeerClass.Unusable, answer.Security, null, answer.Ttl, e.Message);
        }
        if (answer.Security == DnsSecurity.Insecure)
            return policy is { Fingerprints.Count: > 0 }
                ? await FindKeysAsync(validator, lookup, policy, answer, cancel)
                : State(
                    lookup,
                    PeerClass.Insecure,
                    answer.Security,
                    null,
                    answer.Ttl,
                    PolicyRecord.NearMiss(answer.Data) is { } miss
                        ? $"the DNS is not signed, and has something that was meant as a policy: {miss}"
                        : $"the DNS is not signed, and offers no key: {answer.Why}"
                );
        if (policy is null or { Mode: PolicyMode.None })
            return await DeniedAsync(lookup, policy, answer);
        return await FindKeysAsync(validator, lookup, policy, answer, cancel);
    }

    /// <summary>
    /// A secure denial, or <c>m=none</c>: counted against what is remembered, unless it is no younger than that, or asked for by a
    /// stranger.
    /// </summary>
    private async Task<PeerState> DeniedAsync(Lookup lookup, PolicyRecord? policy, DnsAnswer answer)
    {
        var (signing, why) = (
            new PolicySigning(answer.Steps),
            policy is null ? $"no policy: {answer.Why}" : "the policy says m=none"
        );
        if (policy is null && PolicyRecord.NearMiss(answer.Data) is { } miss)
        {
            why = $"no policy, but something that was meant as one: {miss}";
            if (lookup.Remembered) // who writes that has not withdrawn it
                return State(lookup, PeerClass.Unusable, answer.Security, null, answer.Ttl, why);
        }
        if (memory.IsOutdated(lookup.Record, signing))
            return State(
                lookup,
                PeerClass.None,
                answer.Security,
                policy,
                Shorter(answer.Ttl, FailureUse),
                $"{why}, but that was not signed after the policy that was seen here: an old answer is played back, "
                    + "or a name server lags behind"
            ) with
            {
                Outdated = true,
            };
        // What a stranger makes us ask counts for nothing, and where fingerprints are trusted only an administrator ends that.
        var counts = lookup is { Trusted: false, Budget.Asker: Asker.Ours };
        var record = counts ? await memory.DeniedAsync(lookup.Record, signing) : lookup.Record;
        return State(
            lookup with
            {
                Remembered = memory.RemembersEnforce(record),
            },
            PeerClass.None,
            answer.Security,
            policy,
            answer.Ttl,
            why
        );
    }
}
