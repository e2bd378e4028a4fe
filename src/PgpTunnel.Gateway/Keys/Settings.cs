namespace PgpTunnel;

/// <summary>Configuration and keys as they are now; a reload replaces both at once.</summary>
internal sealed class Settings(GatewayConfiguration configuration, KeyRing keys)
{
    private volatile Tuple<GatewayConfiguration, KeyRing> _current = Tuple.Create(configuration, keys);

    public GatewayConfiguration Configuration => _current.Item1;

    public KeyRing Keys => _current.Item2;

    public void Replace(GatewayConfiguration configuration, KeyRing keys) =>
        _current = Tuple.Create(configuration, keys);
}
