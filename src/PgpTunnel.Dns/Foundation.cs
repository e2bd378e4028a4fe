namespace PgpTunnel.Dns;

/// <summary>Gathers what answers rest on, each set once: from the anchor down, what was said at the end.</summary>
internal sealed class Foundation
{
    private readonly List<ProvenSet> _sets = [];
    private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<(DomainName, ushort)> _had = [];

    public static IReadOnlyList<ProvenSet> Of(IEnumerable<DnsValidator.Link> links)
    {
        var all = links.ToList();
        var foundation = new Foundation();
        foreach (var link in all)
            foundation.AddGround(link.In);
        foreach (var link in all)
            foundation.AddSets(link.Sets);
        return foundation._sets;
    }

    private void AddGround(DnsValidator.Zone? zone)
    {
        if (zone is null || !_seen.Add(zone))
            return;
        AddGround(zone.Parent);
        foreach (var way in zone.Ways)
        {
            AddGround(way.In);
            AddSets(way.Sets);
        }
        AddSets(zone.Sets);
    }

    private void AddSets(IEnumerable<ProvenSet> sets)
    {
        foreach (var set in sets)
            if (_had.Add((set.Owner, set.Type)))
                _sets.Add(set);
    }
}
