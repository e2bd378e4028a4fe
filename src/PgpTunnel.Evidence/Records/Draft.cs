namespace PgpTunnel.Evidence;

/// <summary>
/// An event that is to become a record: what it tells. Its place in a log and its time are added when it gets them.
/// </summary>
/// <param name="ev">What happened, a word of PROTOCOL.md 10.</param>
/// <param name="fields">A value is a string, a whole number, or a list of such; null = left out.</param>
public sealed class Draft(string ev, params (string Name, object? Value)[] fields)
{
    /// <summary>The octets of the record.</summary>
    /// <param name="at">By the clock.</param>
    /// <param name="last">The time of the record before. Time does not go back in a log: where the clock does, it stands still, and the
    /// record says by how many seconds.</param>
    /// <param name="n">Its index in the log.</param>
    public (byte[] Record, DateTimeOffset At) Write(DateTimeOffset at, DateTimeOffset last, long n)
    {
        var behind = at < last ? (long?)(at - last).TotalSeconds : null;
        var time = at < last ? last : at;
        (string, object?)[] placed =
        [
            ("ev", ev),
            ("v", Record.Version),
            ("n", n),
            ("at", RecordTime.Write(time)),
            ("clock", behind),
        ];
        return (JsonFields.Write([.. fields, .. placed]), time);
    }
}
