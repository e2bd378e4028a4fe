namespace PgpTunnel.Commands;

/// <summary>The gateway's inside without a running gateway, for commands that look up, decide, seal or open.</summary>
internal sealed class Session : IAsyncDisposable
{
    private readonly Spool? _spool;

    private Session(GatewayConfiguration configuration, TimeProvider time)
    {
        Settings = new Settings(configuration, KeyRing.Load(configuration));
        _spool = ExistingSpool(configuration);
        var memory = new PeerMemory(_spool, null, time);
        var peers = new Peers(Trust.Validator(configuration, time), memory, domain => configuration.Partners.GetValueOrDefault(domain), time);
        Arming = new Arming(Settings, peers, new EventLog(TextWriter.Null, false, time), time);
        Decisions = new Decisions(Settings, peers, memory, Arming, time);
        Opening = new Opening(Settings, peers, time);
    }

    public Settings Settings { get; }
    public Arming Arming { get; }
    public Decisions Decisions { get; }
    public Opening Opening { get; }

    public static Session Open(GatewayConfiguration configuration) => new(configuration, TimeProvider.System);

    /// <summary>The spool holds what is remembered of peers; a command makes none.</summary>
    public static Spool? ExistingSpool(GatewayConfiguration? configuration) =>
        configuration is not null && File.Exists(configuration.SpoolFile) ? Spool.Open(configuration.SpoolFile, running: false) : null;

    /// <summary>Our domain that this sender writes from: its own, else the first.</summary>
    public string SenderDomain(Smtp.Mailbox? from) =>
        from is not null && Domains.TryNormalise(from.Domain, out var domain) && Settings.Configuration.Domains.Contains(domain) ? domain : Settings.Configuration.Domains[0];

    public async ValueTask DisposeAsync()
    {
        if (_spool is not null)
            await _spool.DisposeAsync();
    }
}
