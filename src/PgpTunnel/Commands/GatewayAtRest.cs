namespace PgpTunnel.Commands;

/// <summary>The gateway's inside without a running gateway, for commands that look up, decide, seal or open.</summary>
internal sealed class GatewayAtRest : IAsyncDisposable
{
    private GatewayAtRest(GatewayConfiguration configuration, TimeProvider time)
    {
        Settings = new Settings(configuration, KeyRing.Load(configuration));
        Spool = ExistingSpool(configuration);
        Names = new NameService(configuration, time);
        Memory = PeerMemory.ToLookAt(Spool, time);
        Peers = Peers.Under(configuration, Names.Validator, Memory, time);
        Arming = new Arming(Settings, Peers, new EventLog(TextWriter.Null, false, time), time);
        Decisions = new Decisions(Settings, Peers, Memory, Arming, time);
        Opening = new Opening(Settings, Peers, time);
    }

    public Settings Settings { get; }

    /// <summary>Null when no gateway has run yet.</summary>
    public Spool? Spool { get; }
    public NameService Names { get; }
    public PeerMemory Memory { get; }
    public Peers Peers { get; }
    public Arming Arming { get; }
    public Decisions Decisions { get; }
    public Opening Opening { get; }

    public static GatewayAtRest Open(GatewayConfiguration configuration) => new(configuration, TimeProvider.System);

    /// <summary>The spool holds what is remembered of peers; a command makes none.</summary>
    public static Spool? ExistingSpool(GatewayConfiguration? configuration) =>
        configuration is not null && SpoolFile.IsThere(configuration.SpoolFile)
            ? Spool.Open(configuration.SpoolFile, running: false)
            : null;

    /// <summary>Our domain that this sender writes from: its own, else the first.</summary>
    public string SenderDomain(Smtp.Mailbox? from) =>
        from is not null
        && Domains.TryNormalise(from.Domain, out var domain)
        && Settings.Configuration.Domains.Contains(domain)
            ? domain
            : Settings.Configuration.Domains[0];

    public async ValueTask DisposeAsync()
    {
        if (Spool is not null)
            await Spool.DisposeAsync();
    }
}
