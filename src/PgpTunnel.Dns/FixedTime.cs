namespace PgpTunnel.Dns;

/// <summary>A clock that stands still: what is checked offline is checked for one moment.</summary>
public sealed class FixedTime(DateTimeOffset moment) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => moment;
}
