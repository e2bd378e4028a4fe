namespace PgpTunnel.Evidence;

/// <summary>The hashes that lead from one leaf to the root (RFC 6962 2.1.1), the nearest first.</summary>
public static class InclusionPath
{
    /// <param name="index">Of the leaf, below <paramref name="size"/>.</param>
    /// <param name="size">Of the tree that it is to be shown in.</param>
    /// <param name="leaf">The hash of a leaf.</param>
    /// <param name="block">The root of a whole block of <see cref="TreeEdge.Block"/> leaves, by its number.</param>
    /// <param name="start">The right edge where what is held of the tree begins; null = it is held from its first leaf on.</param>
    public static IReadOnlyList<byte[]> Make(
        long index,
        long size,
        Func<long, byte[]> leaf,
        Func<long, byte[]> block,
        TreeEdge? start = null
    )
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var path = new List<byte[]>();
        for (var (first, count) = (0L, size); count > 1; )
        {
            var left = TreeHash.Left(count);
            if (index - first < left)
            {
                path.Add(Root(first + left, count - left));
                count = left;
            }
            else
            {
                path.Add(Root(first, left));
                (first, count) = (first + left, count - left);
            }
        }
        path.Reverse();
        return path;

        byte[] Root(long from, long number) => RootOf(from, number, new(leaf, block, start));
    }

    /// <summary>The root of the tree of the first <paramref name="size"/> leaves; the rest as in <see cref="Make"/>.</summary>
    public static byte[] Root(long size, Func<long, byte[]> leaf, Func<long, byte[]> block, TreeEdge? start = null) =>
        size == 0 ? TreeHash.Empty : RootOf(0, size, new(leaf, block, start));

    /// <summary>The right edge of the tree of the first <paramref name="size"/> leaves; the rest as in <see cref="Make"/>.</summary>
    public static TreeEdge Edge(long size, Func<long, byte[]> leaf, Func<long, byte[]> block)
    {
        var hashes = new List<byte>();
        var first = 0L;
        for (var bit = 1L << 62; bit > 0; bit >>= 1)
            if ((size & bit) != 0)
            {
                hashes.AddRange(RootOf(first, bit, new(leaf, block, null)));
                first += bit;
            }
        return TreeEdge.Read(size, hashes.ToArray())!;
    }

    /// <summary>What is held of a tree.</summary>
    private sealed record Held(Func<long, byte[]> Leaf, Func<long, byte[]> Block, TreeEdge? Start);

    private static byte[] RootOf(long first, long count, Held held)
    {
        if (held.Start?.Hash(first, count) is { } known)
            return known;
        if (count == 1)
            return held.Leaf(first);
        if (count == TreeEdge.Block) // wherever a node has as many leaves, they begin at a multiple of that
            return held.Block(first / TreeEdge.Block);
        var left = TreeHash.Left(count);
        return TreeHash.Node(RootOf(first, left, held), RootOf(first + left, count - left, held));
    }

    /// <summary>The root that the path leads to from a leaf (RFC 9162 2.1.3.2).</summary>
    /// <returns>Null when a path of that length leads from no such leaf.</returns>
    public static byte[]? Follow(ReadOnlySpan<byte> leaf, long index, long size, IReadOnlyList<byte[]> path)
    {
        if (index < 0 || index >= size)
            return null;
        var (hash, at, last) = (leaf.ToArray(), index, size - 1);
        foreach (var step in path)
        {
            if (last == 0)
                return null;
            if ((at & 1) == 1 || at == last)
            {
                hash = TreeHash.Node(step, hash);
                while ((at & 1) == 0 && at != 0)
                    (at, last) = (at >> 1, last >> 1);
            }
            else
            {
                hash = TreeHash.Node(hash, step);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        return last == 0 ? hash : null;
    }
}
