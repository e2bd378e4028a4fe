namespace PgpTunnel.Evidence;

/// <summary>Where the hashes of a tree are had from.</summary>
/// <param name="Leaf">The hash of a leaf, by its index.</param>
/// <param name="Block">The root of a whole block of <see cref="TreeEdge.Block"/> leaves, by its number.</param>
public sealed record HeldTree(Func<long, byte[]> Leaf, Func<long, byte[]> Block)
{
    /// <summary>Leaves of a large block: a block of blocks.</summary>
    public const long Large = (long)TreeEdge.Block * TreeEdge.Block;

    /// <summary>The right edge where what is held of the tree begins; null = it is held from its first leaf on.</summary>
    public TreeEdge? Start { get; init; }

    /// <summary>
    /// The root of a whole large block, by its number and by how to make it: a place to keep it, for it stays as it is, and a tree has
    /// many blocks.
    /// </summary>
    public Func<long, Func<byte[]>, byte[]> Keep { get; init; } = (_, make) => make();
}
