namespace PgpTunnel;

/// <summary>What an administrator has done, on record in the spool.</summary>
/// <param name="Who">The name at this machine.</param>
/// <param name="What">One word or two: <c>hold</c>, <c>override clear</c>, <c>key revoke</c>.</param>
/// <param name="Subject">A parcel's id, a domain, or a fingerprint.</param>
/// <param name="Reason">In the administrator's words; empty = none was asked for.</param>
public sealed record OperatorAct(DateTimeOffset Time, string Who, string What, string Subject, string Reason)
{
    /// <summary>In the order of the record, from 1; 0 = not on record yet.</summary>
    public long Number { get; init; }
}
