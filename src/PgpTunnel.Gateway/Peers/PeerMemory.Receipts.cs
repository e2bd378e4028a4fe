namespace PgpTunnel;

/// <summary>That a domain's gateway gives receipts (PROTOCOL.md 11): who has said so is held to it for as long as it said.</summary>
internal sealed partial class PeerMemory
{
    public bool RemembersReceipts(PeerRecord record) => record.ReceiptsUntil > Sure;

    private void SayIfWithdrawn(PeerRecord before, PolicyRecord policy)
    {
        if (policy.GivesReceipts || !RemembersReceipts(before))
            return;
        log?.Write(
            "receipts-withdrawn",
            ("domain", before.Domain),
            ("alarm", true),
            ("why", "its policy said that its gateway gives receipts (rct=1), and does not say so any more"),
            ("do", $"ask its administrator; receipts are waited for until {InnerHeader.Time(before.ReceiptsUntil)}")
        );
    }
}
