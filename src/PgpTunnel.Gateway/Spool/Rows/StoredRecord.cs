using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>A log as it stands.</summary>
/// <param name="Edge">Its right edge.</param>
/// <param name="IsClosed">No record of ours is appended to it any more.</param>
internal sealed record StoredLog(long Number, LogOrigin Origin, TreeEdge Edge, bool IsClosed)
{
    /// <summary>It is a peer's, as receipts have brought it.</summary>
    public bool IsMirror { get; init; }

    /// <summary>The right edge where what is held of it begins: of our own logs, before the first record.</summary>
    public TreeEdge Start { get; init; } = new();

    public Checkpoint Head => new(Origin, Edge.Size, Edge.Root());
}

/// <summary>A record as it lies in the spool.</summary>
/// <param name="Log">Number of its log.</param>
/// <param name="Opening">The OpenPGP message that its opening is sealed in; null = it has none, or no more.</param>
/// <param name="Month">Of the key for that.</param>
internal sealed record StoredRecord(long Log, Record Record, byte[]? Opening, string? Month);
