namespace PgpTunnel;

/// <summary>One line of the journal.</summary>
/// <param name="Reason">Null = none was asked for.</param>
internal sealed record ActView(long Number, string Time, string Who, string What, string Subject, string? Reason)
{
    public static ActView Of(OperatorAct act) =>
        new(
            act.Number,
            InnerHeader.Time(act.Time),
            act.Who,
            act.What,
            act.Subject,
            act.Reason.Length > 0 ? act.Reason : null
        );
}
