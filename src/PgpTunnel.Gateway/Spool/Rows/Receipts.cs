using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>The end of a peer's log as a receipt brought it, to be put behind what is held of that log.</summary>
/// <param name="Held">Records of it that are held already: the first so many of the tail are passed over.</param>
/// <param name="Records">What is kept of each record from there on.</param>
/// <param name="At">When it came.</param>
internal sealed record MirroredTail(LogTail Tail, long Held, IReadOnlyList<KeptRecord> Records, DateTimeOffset At);

/// <param name="Octets">The record, or its leaf hash where only that is told.</param>
/// <param name="Opening">Its private part, sealed; null = it is not told.</param>
/// <param name="Tags">What it is found by.</param>
internal sealed record KeptRecord(byte[] Leaf, byte[] Octets, SealedOpening? Opening, byte[] Tags);

/// <summary>How far a peer has our log about it, and what it is owed.</summary>
/// <param name="Due">Since when a receipt is owed; null = none is.</param>
/// <param name="Log">Number of the log that the sizes are of.</param>
/// <param name="Sent">Records that were sent.</param>
/// <param name="Acked">Records that the peer has said it holds.</param>
/// <param name="At">When the last receipt was sent.</param>
/// <param name="Parcel">Id of that; empty = none was.</param>
internal sealed record OwedReceipt(
    string Own,
    string Peer,
    DateTimeOffset? Due,
    long Log,
    long Sent,
    long Acked,
    DateTimeOffset At,
    string Parcel
);

/// <param name="Log">Number of the log that it is the end of.</param>
/// <param name="Size">Records of that log that the peer has with it.</param>
/// <param name="Parcel">Its id.</param>
internal sealed record ReceiptSent(string Own, string Peer, long Log, long Size, DateTimeOffset At, string Parcel);

/// <summary>The head of a peer's log as it came with a parcel or a receipt, and was signed.</summary>
/// <param name="Cert">SHA-256 of the certificate of who signed it, in hex, where that is kept; else empty.</param>
/// <param name="At">When it came.</param>
/// <param name="Dns">SHA-256 of the proof of the DNS by which that key was the peer's, in hex; empty where there is none.</param>
internal sealed record WitnessedHead(Checkpoint Head, byte[] Signature, string Cert, string Dns, DateTimeOffset At);
