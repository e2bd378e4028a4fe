namespace PgpTunnel.Evidence;

/// <summary>The hashes that lead from one leaf to the root (RFC 6962 2.1.1), the nearest first.</summary>
public static class InclusionPath
{
    /// <param name="index">Of the leaf, below <paramref name="size"/>.</param>
    /// <param name="size">Of the tree that it is to be shown in.</param>
    public static IReadOnlyList<byte[]> Make(long index, long size, HeldTree tree)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var path = new List<byte[]>();
        for (var (first, count) = (0L, size); count > 1; )
        {
            var left = TreeHash.Left(count);
            if (index - first < left)
            {
                path.Add(RootOf(first + left, count - left, tree));
                count = left;
            }
            else
            {
                path.Add(RootOf(first, left, tree));
                (first, count) = (first + left, count - left);
            }
        }
        path.Reverse();
        return path;
    }

    /// <summary>The root of the tree of the first <paramref name="size"/> leaves.</summary>
    public static byte[] Root(long size, HeldTree tree) => size == 0 ? TreeHash.Empty : RootOf(0, size, tree);

    /// <summary>The right edge of the tree of the first <paramref name="size"/> leaves.</summary>
    public static TreeEdge Edge(long size, HeldTree tree)
    {
        var hashes = new List<byte>();
        var first = 0L;
        for (var bit = 1L << 62; bit > 0; bit >>= 1)
            if ((size & bit) != 0)
            {
                hashes.AddRange(RootOf(first, bit, tree));
                first += bit;
            }
        return TreeEdge.Read(size, hashes.ToArray())!;
    }

    private static byte[] RootOf(long first, long count, HeldTree tree) =>
        tree.Start?.Hash(first, count)
        ?? count switch
        {
            1 => tree.Leaf(first),
            // Wherever a node has as many leaves, they begin at a multiple of that.
            TreeEdge.Block => tree.Block(first / TreeEdge.Block),
            HeldTree.Large => tree.Keep(first / HeldTree.Large, () => NodeOf(first, count, tree)),
            _ => NodeOf(first, count, tree),
        };

    private static byte[] NodeOf(long first, long count, HeldTree tree)
    {
        var left = TreeHash.Left(count);
        return TreeHash.Node(RootOf(first, left, tree), RootOf(first + left, count - left, tree));
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
