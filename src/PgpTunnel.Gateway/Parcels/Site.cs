namespace PgpTunnel;

/// <summary>What nearly everything here stands on.</summary>
internal sealed record Site(Settings Settings, Spool Spool, EventLog Log, TimeProvider Time)
{
    public GatewayConfiguration Configuration => Settings.Configuration;
}
