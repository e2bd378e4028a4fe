namespace PgpTunnel;

/// <summary>What the doctor found.</summary>
/// <param name="Ok">Nothing is wrong.</param>
internal sealed record CheckView(bool Ok, IReadOnlyList<DomainCheckView> Domains)
{
    public static CheckView Of(IEnumerable<(string Domain, List<Finding> Findings)> results)
    {
        var domains = results
            .Select(r => new DomainCheckView(r.Domain, [.. r.Findings.Select(FindingView.Of)]))
            .ToList();
        return new(!domains.Exists(d => d.Findings.Any(f => f.Level == "wrong")), domains);
    }
}

internal sealed record DomainCheckView(string Domain, IReadOnlyList<FindingView> Findings);

/// <param name="Level"><c>ok</c>, <c>warning</c> or <c>wrong</c>.</param>
/// <param name="Do">What to do about it; null where there is nothing to do.</param>
internal sealed record FindingView(string Level, string Check, string What, string? Do)
{
    public static FindingView Of(Finding f) => new(f.Level.ToString().ToLowerInvariant(), f.Check, f.What, f.Do);
}
