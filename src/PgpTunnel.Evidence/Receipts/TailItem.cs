namespace PgpTunnel.Evidence;

/// <summary>One record of a tail: whole, with its private part where it is told, or only its hash.</summary>
/// <param name="Leaf">Its leaf hash.</param>
/// <param name="Record">Null = only its hash is told.</param>
/// <param name="Opening">Null = it is not told.</param>
public sealed record TailItem(byte[] Leaf, Record? Record, RecordOpening? Opening)
{
    public TailItem(byte[] leaf)
        : this(leaf, null, null) { }

    public TailItem(Record record, RecordOpening? opening)
        : this(record.LeafHash, record, opening) { }
}
