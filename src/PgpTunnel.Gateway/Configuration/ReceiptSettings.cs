namespace PgpTunnel;

/// <summary>Whose NOTIFY is answered when a receipt shows that a message was relayed.</summary>
public enum TellSender
{
    /// <summary>Of who asked for it (NOTIFY=SUCCESS, RFC 3461).</summary>
    Asked,
    Never,
    Always,
}

/// <summary>The section <c>receipts</c>.</summary>
/// <param name="Every">How long a receipt that is owed waits for more at most.</param>
/// <param name="Overdue">How long after its handing over a parcel without a receipt is missed.</param>
/// <param name="Keep">How long a parcel's body is kept for its receipt at most.</param>
/// <param name="TellSender">Who is told.</param>
public sealed record ReceiptSettings(TimeSpan Every, TimeSpan Overdue, TimeSpan Keep, TellSender TellSender)
{
    internal static ReceiptSettings Read(ConfigurationNode root)
    {
        var receipts = root.Section("receipts");
        var settings = new ReceiptSettings(
            receipts.Time("every", TimeSpan.FromMinutes(1)),
            receipts.Time("overdue", TimeSpan.FromHours(4)),
            receipts.Time("keep", TimeSpan.FromDays(3)),
            receipts.Choice(
                "tellSender",
                TellSender.Asked,
                ("asked", TellSender.Asked),
                ("never", TellSender.Never),
                ("always", TellSender.Always)
            )
        );
        if (settings.Every >= settings.Overdue)
            receipts.Mistake("every", "is not shorter than receipts.overdue");
        receipts.Close();
        return settings;
    }
}
