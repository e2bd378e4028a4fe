namespace PgpTunnel.Dns;

/// <summary>The zones from the root down to a name, for who wants to see why.</summary>
public sealed partial class DnsValidator
{
    /// <summary>
    /// The security of the zone that <paramref name="name"/> belongs to: DS records from the anchor down, nothing of the name itself.
    /// </summary>
    /// <param name="fresh">Ask the resolvers again for the whole chain.</param>
    /// <param name="budget">What this and other look-ups for one purpose may spend together; null = this one has its own.</param>
    public async Task<ZoneSecurity> SettleAsync(
        DomainName name,
        CancellationToken cancel,
        bool fresh = false,
        WorkBudget? budget = null
    )
    {
        budget ??= new WorkBudget();
        using var deadline = budget.Deadline(cancel);
        try
        {
            var (zone, left) = await ZoneAsync(name, budget, deadline.Token, fresh);
            return new(zone.Name, zone.Security, left, zone.Why);
        }
        catch (BudgetException e)
        {
            return new(name, DnsSecurity.Indeterminate, FailureTtl, $"{name}: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new(
                name,
                DnsSecurity.Indeterminate,
                FailureTtl,
                $"{name}: not settled within {WorkBudget.Longest.TotalSeconds:0} s"
            );
        }
    }

    /// <summary>
    /// The zones from the anchor down to the one that holds <paramref name="name"/>, or to the first that cannot be proved.
    /// </summary>
    public async Task<IReadOnlyList<ZoneLink>> ChainAsync(DomainName name, CancellationToken cancel)
    {
        var chain = new List<ZoneLink>();
        var budget = new WorkBudget();
        using var deadline = budget.Deadline(cancel);
        try
        {
            for (var labels = 0; labels <= name.LabelCount; labels++)
            {
                var (zone, _) = await ZoneAsync(name.Suffix(labels), budget, deadline.Token);
                if (chain.Count == 0 || chain[^1].Zone != zone.Name)
                    chain.Add(
                        new(
                            zone.Name,
                            zone.Security,
                            [.. zone.Keys.Select(k => k.Algorithm).Distinct()],
                            zone.Proof?.Period,
                            zone.Why
                        )
                    );
                if (zone.Security != DnsSecurity.Secure)
                    break;
            }
        }
        catch (Exception e) when (e is BudgetException or OperationCanceledException && !cancel.IsCancellationRequested)
        {
            chain.Add(new(name, DnsSecurity.Indeterminate, [], null, $"{name}: {e.Message}"));
        }
        return chain;
    }
}
