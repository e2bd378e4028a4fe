namespace PgpTunnel;

/// <summary>The journal of what administrators did. It only grows: they are few, and each may be asked for years later.</summary>
internal sealed partial class Spool
{
    /// <param name="after">Those with a larger number.</param>
    public IReadOnlyList<OperatorAct> Acts(long after = 0) =>
        Read(s =>
            s.Rows(
                "SELECT number, time, who, what, subject, reason FROM act WHERE number > $after ORDER BY number",
                row => new OperatorAct(
                    Time(row.GetInt64(1)),
                    row.GetString(2),
                    row.GetString(3),
                    row.GetString(4),
                    row.GetString(5)
                )
                {
                    Number = row.GetInt64(0),
                },
                ("$after", after)
            )
        );

    /// <summary>The number of the last one; 0 = there is none.</summary>
    public long LastAct => Read(s => s.Number("SELECT coalesce(max(number), 0) FROM act"));

    /// <summary>The domain that an act is about: that of the parcel of that id, else the subject itself.</summary>
    private static string DomainOf(Statements statements, string subject) =>
        statements.Scalar("SELECT domain FROM parcel WHERE id = $id", ("$id", subject)) as string ?? subject;

    private static void Insert(Statements statements, OperatorAct act) =>
        statements.Execute(
            "INSERT INTO act(time, who, what, subject, reason) VALUES($time, $who, $what, $subject, $reason)",
            ("$time", act.Time.ToUnixTimeSeconds()),
            ("$who", act.Who),
            ("$what", act.What),
            ("$subject", act.Subject),
            ("$reason", act.Reason)
        );
}
