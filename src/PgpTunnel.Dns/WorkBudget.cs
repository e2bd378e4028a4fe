using System.Diagnostics;

namespace PgpTunnel.Dns;

/// <summary>Who wants to know: what strangers cause to be looked up must not push out, or spoil, what our own mail depends on.</summary>
public enum Asker
{
    Ours,
    Stranger,
}

/// <summary>
/// The work and the time that a look-up may take, or all the look-ups that one recipient or one parcel causes (KeyTrap, CVE-2023-50387;
/// NSEC3 exhaustion, CVE-2023-50868). Who meets the bound has proved nothing. What has been proved so far is kept here until then,
/// whatever its TTL: a TTL of zero serves the transaction in progress (RFC 1035 3.2.1).
/// </summary>
public sealed class WorkBudget
{
    /// <summary>How long it lasts.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(20);

    internal const int KeysPerTag = 4;

    /// <summary>Signatures over one set of records that may be wrong before a right one.</summary>
    internal const int WrongPerSet = 4;

    private readonly long _begun = Stopwatch.GetTimestamp();
    private int _queries = 100,
        _signatures = 128,
        _failures = 16,
        _hashes = 128,
        _digests = 64,
        _aliases = 16;

    public Asker Asker { get; init; }

    /// <summary>
    /// What is proved is to be shown later: each set is kept, from the anchor down. Of a validator that has asked nothing yet, since what
    /// is cached is proved already.
    /// </summary>
    public bool KeepsProof { get; init; }

    private readonly List<ProvenSet> _proven = [];

    internal void Keep(ProvenSet set)
    {
        if (KeepsProof && !_proven.Exists(p => (p.Owner, p.Type) == (set.Owner, set.Type)))
            _proven.Add(set);
    }

    internal DnsProof? ProofOf(DomainName name, ushort type) => KeepsProof ? new(name, type, [.. _proven]) : null;

    internal Dictionary<(DomainName, ushort), DnsValidator.Link> Links { get; } = [];

    internal Dictionary<DomainName, DnsValidator.Zone> Zones { get; } = [];

    /// <summary>Cancels with <paramref name="cancel"/>, or when the time is over.</summary>
    public CancellationTokenSource Deadline(CancellationToken cancel)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var left = Longest - Stopwatch.GetElapsedTime(_begun);
        source.CancelAfter(left > TimeSpan.Zero ? left : TimeSpan.Zero);
        return source;
    }

    /// <summary>Forgets what has been proved, so that it is asked again; what was spent stays spent.</summary>
    public void Forget()
    {
        Links.Clear();
        Zones.Clear();
    }

    internal void Query() => Spend(ref _queries, "100 queries");

    internal void Signature() => Spend(ref _signatures, "128 signature checks");

    internal void Failure() => Spend(ref _failures, "16 failed signatures");

    internal void Hash() => Spend(ref _hashes, "128 NSEC3 hashes");

    internal void Digest() => Spend(ref _digests, "64 DS digests");

    internal void Alias() => Spend(ref _aliases, "16 aliases");

    private void Spend(ref int left, string what)
    {
        if (--left < 0)
            throw new BudgetException($"the look-up needs more than {what}");
        // Looked at with each piece of work, not only where something is waited for.
        if (Stopwatch.GetElapsedTime(_begun) > Longest)
            throw new BudgetException($"not settled within {Longest.TotalSeconds:0} s");
    }
}

/// <summary>
/// The work allowed is used up. It is kept nowhere, since what it was about may be another domain than the one that spent the work.
/// </summary>
internal sealed class BudgetException(string why) : Exception(why);

/// <summary>Ends an evaluation as Bogus with its reason.</summary>
internal sealed class BogusException(string why) : Exception(why);
