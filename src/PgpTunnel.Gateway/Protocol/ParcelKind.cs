namespace PgpTunnel;

/// <summary>What a parcel carries.</summary>
internal enum ParcelKind
{
    Message,

    /// <summary>A question from gateway to gateway whether all works, or its answer; no mail server sees it.</summary>
    Echo,

    /// <summary>The end of the sending gateway's log about the receiving one (PROTOCOL.md 11); no mail server sees it.</summary>
    Receipt,
}
