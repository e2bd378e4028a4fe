using System.Numerics;

namespace PgpTunnel.Evidence;

/// <summary>
/// The right edge of a tree: the roots of the whole subtrees that its leaves fill, the largest first. It is all that is needed to append
/// a leaf and to know the root, and at most 63 hashes.
/// </summary>
public sealed class TreeEdge
{
    /// <summary>Leaves under one block, whose root <see cref="Append"/> tells.</summary>
    public const int Block = 256;

    private readonly List<byte[]> _hashes;

    private TreeEdge(long size, List<byte[]> hashes) => (Size, _hashes) = (size, hashes);

    public TreeEdge()
        : this(0, []) { }

    /// <summary>Leaves in the tree.</summary>
    public long Size { get; private set; }

    /// <summary>What <see cref="Write"/> wrote; null when those octets are no edge of a tree of that size.</summary>
    public static TreeEdge? Read(long size, ReadOnlySpan<byte> octets)
    {
        if (size < 0 || octets.Length != BitOperations.PopCount((ulong)size) * TreeHash.Length)
            return null;
        var hashes = new List<byte[]>();
        for (; !octets.IsEmpty; octets = octets[TreeHash.Length..])
            hashes.Add(octets[..TreeHash.Length].ToArray());
        return new(size, hashes);
    }

    /// <summary>The hashes one behind the other.</summary>
    public byte[] Write() => [.. _hashes.SelectMany(h => h)];

    public IReadOnlyList<byte[]> Hashes => _hashes;

    /// <returns>The root over so many leaves from <paramref name="first"/> on; null when that is no hash of the edge.</returns>
    internal byte[]? Hash(long first, long count)
    {
        var at = 0L;
        foreach (var hash in _hashes)
        {
            var leaves = 1L << (63 - BitOperations.LeadingZeroCount((ulong)(Size - at)));
            if (at == first)
                return leaves == count ? hash : null;
            at += leaves;
        }
        return null;
    }

    /// <summary>The same, to be appended to by itself.</summary>
    public TreeEdge Copy() => new(Size, [.. _hashes]);

    /// <summary>The root of the tree (RFC 6962 2.1).</summary>
    public byte[] Root()
    {
        if (_hashes.Count == 0)
            return TreeHash.Empty;
        var root = _hashes[^1];
        for (var i = _hashes.Count - 2; i >= 0; i--)
            root = TreeHash.Node(_hashes[i], root);
        return root;
    }

    /// <returns>The root of the block that this leaf fills; null when it fills none.</returns>
    public byte[]? Append(byte[] leaf)
    {
        byte[]? block = null;
        var (hash, leaves) = (leaf, 1);
        for (var size = Size; (size & 1) == 1; size >>= 1)
        {
            hash = TreeHash.Node(_hashes[^1], hash);
            _hashes.RemoveAt(_hashes.Count - 1);
            leaves <<= 1;
            if (leaves == Block)
                block = hash;
        }
        _hashes.Add(hash);
        Size++;
        return block;
    }
}
