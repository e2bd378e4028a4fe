namespace PgpTunnel.Dns;

/// <summary>Where answers come from: resolvers, or a proof that was kept.</summary>
public abstract class DnsSource
{
    /// <summary>A question to be put again and again, until somebody likes an answer.</summary>
    internal abstract DnsInquiry Ask(DomainName name, ushort type, Asker asker);
}

/// <summary>One question on its way.</summary>
internal abstract class DnsInquiry
{
    /// <summary>The next answer with NOERROR or NXDOMAIN, whole.</summary>
    /// <exception cref="DnsUnavailableException">There is none left.</exception>
    public abstract Task<DnsMessage> NextAsync(CancellationToken cancel);

    /// <summary>The last answer was right.</summary>
    public virtual void Right() { }

    /// <summary>It is not right; whoever gave it may be at fault, or the zone.</summary>
    public virtual void Wrong(string why) { }

    /// <summary>Whoever gave it does not do what is needed.</summary>
    public virtual void Unfit(string why) { }
}
