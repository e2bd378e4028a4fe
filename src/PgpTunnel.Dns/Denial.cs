namespace PgpTunnel.Dns;

/// <summary>
/// Proofs of absence by verified NSEC (RFC 4035 5.4, RFC 6840 4) and NSEC3 (RFC 5155 8) records of one zone.
/// Whatever is not proved throws <see cref="BogusException"/>.
/// </summary>
internal static class Denial
{
    /// <summary>
    /// As many as unbound and BIND validate. More make the answer bogus: a key look-up must not be bought down to insecure (RFC 9276
    /// 3.2).
    /// </summary>
    public const int MaxIterations = 150;

    /// <param name="OptOut">The span is opt-out: an unsigned delegation may hide in it, so nothing is proved securely (RFC 5155
    /// 9.2).</param>
    /// <param name="Delegation">The name is a delegation without DS.</param>
    /// <param name="Signed">When the record that itself denies the name was signed.</param>
    internal sealed record Proof(DnsOutcome Outcome, bool OptOut, bool Delegation, DateTimeOffset Signed);

    public static Proof Prove(
        DomainName name,
        ushort type,
        DomainName zone,
        List<Nsec> nsecs,
        List<Nsec3> nsec3s,
        WorkBudget budget
    ) => nsecs.Count > 0 ? ByNsec(name, type, zone, nsecs) : ByNsec3(name, type, new HashedSpans(zone, nsec3s, budget));

    /// <summary>
    /// For an answer made from a wildcard: no closer name than the wildcard's parent exists (RFC 4035 5.3.4, RFC 5155 8.8).
    /// </summary>
    /// <returns>When the record that denies the name was signed; null = nothing proves it.</returns>
    public static DateTimeOffset? ProveNoCloser(
        DomainName name,
        DomainName closestEncloser,
        DomainName zone,
        List<Nsec> nsecs,
        List<Nsec3> nsec3s,
        WorkBudget budget,
        out bool optOut
    )
    {
        optOut = false;
        var nextCloser = name.Suffix(closestEncloser.LabelCount + 1);
        if (
            nsecs.Find(n =>
                n.Covers(name, zone)
                && Denies(n, name)
                && ClosestEncloser(n, name).LabelCount <= closestEncloser.LabelCount
            ) is
            { } nsec
        )
            return nsec.Signed;
        if (nsec3s.Count == 0)
            return null;
        var cover = new HashedSpans(zone, nsec3s, budget).Covering(nextCloser);
        optOut = cover?.OptOut ?? false;
        return cover?.Signed;
    }

    private static Proof ByNsec(DomainName name, ushort type, DomainName zone, List<Nsec> nsecs)
    {
        if (nsecs.Find(n => n.Owner == name) is { } match)
            return NoDataAt(match.Types, name, type, match.Signed);
        var cover =
            nsecs.Find(n => n.Covers(name, zone) && Denies(n, name))
            ?? throw new BogusException($"no NSEC of {zone} denies {name}");
        if (cover.Next.IsBelow(name))
            return new Proof(DnsOutcome.NoData, false, false, cover.Signed); // an empty non-terminal, RFC 4592 2.2.2
        var wildcard = ClosestEncloser(cover, name).Prepend("*"u8);
        if (nsecs.Find(n => n.Owner == wildcard) is { } match2)
            return NoDataAt(match2.Types, wildcard, type, cover.Signed) with { Delegation = false };
        if (nsecs.Exists(n => n.Covers(wildcard, zone) && Denies(n, wildcard)))
            return new Proof(DnsOutcome.NxDomain, false, false, cover.Signed);
        throw new BogusException($"no NSEC of {zone} denies the wildcard {wildcard}");
    }

    private static bool Denies(Nsec nsec, DomainName name) => !(name.IsBelow(nsec.Owner) && nsec.Types.HidesNamesBelow);

    private static DomainName ClosestEncloser(Nsec cover, DomainName name)
    {
        var (a, b) = (name.CommonAncestor(cover.Owner), name.CommonAncestor(cover.Next));
        return a.LabelCount > b.LabelCount ? a : b;
    }

    private static Proof NoDataAt(TypeBitmap types, DomainName name, ushort type, DateTimeOffset signed)
    {
        if (types.Has(type) || types.Has(RecordType.CNAME))
            throw new BogusException($"the denial at {name} says that {RecordType.Name(type)} or CNAME exists");
        // RFC 6840 4.4 and 4.1: the child's apex says nothing of DS, the parent's side of a cut nothing of anything else.
        if (type == RecordType.DS ? types.Has(RecordType.SOA) && !name.IsRoot : types.IsDelegation)
            throw new BogusException($"the denial at {name} comes from the wrong side of the zone cut");
        return new Proof(DnsOutcome.NoData, false, types.IsDelegation, signed);
    }

    private static Proof ByNsec3(DomainName name, ushort type, HashedSpans spans)
    {
        if (spans.Matching(name) is { } match)
            return NoDataAt(match.Types, name, type, match.Signed);
        var (encloser, types) =
            spans.ClosestEncloser(name) ?? throw new BogusException($"no NSEC3 proves an encloser of {name}");
        if (types.HidesNamesBelow)
            throw new BogusException($"the NSEC3 of {encloser} is a delegation or DNAME and denies nothing below it");
        var nextCloser = name.Suffix(encloser.LabelCount + 1);
        var cover = spans.Covering(nextCloser) ?? throw new BogusException($"no NSEC3 covers {nextCloser}");
        if (type == RecordType.DS && cover.OptOut)
            return new Proof(DnsOutcome.NoData, true, true, cover.Signed); // RFC 5155 8.6
        var wildcard = encloser.Prepend("*"u8);
        if (spans.Matching(wildcard) is { } match2)
            return NoDataAt(match2.Types, wildcard, type, cover.Signed) with
            {
                OptOut = cover.OptOut,
                Delegation = false,
            };
        if (spans.Covering(wildcard) is null)
            throw new BogusException($"no NSEC3 covers the wildcard {wildcard}");
        return new Proof(DnsOutcome.NxDomain, cover.OptOut, false, cover.Signed);
    }

    /// <summary>The NSEC3 records of one answer, asked by name; every hash is paid for from the budget.</summary>
    private sealed class HashedSpans
    {
        private readonly DomainName _zone;
        private readonly List<Nsec3> _records;
        private readonly WorkBudget _budget;
        private readonly Dictionary<DomainName, byte[]> _hashes = [];

        public HashedSpans(DomainName zone, List<Nsec3> records, WorkBudget budget)
        {
            if (records.Count == 0)
                throw new BogusException("no NSEC or NSEC3 record proves the denial");
            if (
                records.Exists(r =>
                    r.Iterations != records[0].Iterations || !r.Salt.AsSpan().SequenceEqual(records[0].Salt)
                )
            )
                throw new BogusException($"the NSEC3 records of {zone} differ in their parameters"); // RFC 5155 8.2
            if (records[0].Iterations > MaxIterations)
                throw new BogusException(
                    $"the NSEC3 records of {zone} ask for {records[0].Iterations} iterations, more than {MaxIterations}"
                );
            (_zone, _records, _budget) = (zone, records, budget);
        }

        public Nsec3? Matching(DomainName name) => _records.Find(r => r.OwnerHash.AsSpan().SequenceEqual(Hash(name)));

        public Nsec3? Covering(DomainName name) => _records.Find(r => r.Covers(Hash(name)));

        /// <summary>The longest existing ancestor of a name that does not exist itself (RFC 5155 8.3).</summary>
        public (DomainName Name, TypeBitmap Types)? ClosestEncloser(DomainName name)
        {
            for (var n = name.LabelCount - 1; n >= _zone.LabelCount; n--)
                if (Matching(name.Suffix(n)) is { } match)
                    return (name.Suffix(n), match.Types);
            return null;
        }

        private byte[] Hash(DomainName name)
        {
            if (_hashes.TryGetValue(name, out var hash))
                return hash;
            _budget.Hash();
            return _hashes[name] = Nsec3.Hash(name, _records[0].Salt, _records[0].Iterations);
        }
    }
}
