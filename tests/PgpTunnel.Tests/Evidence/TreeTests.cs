using System.Globalization;
using System.Security.Cryptography;
using PgpTunnel.Evidence;

namespace PgpTunnel.Tests;

/// <summary>The tree of RFC 6962: the vectors of others, and the definition itself for every size up to some hundred.</summary>
public sealed class TreeTests
{
    private static readonly IReadOnlyList<string[]> Lines =
    [
        .. Vectors.Lines("merkle.txt").Select(l => l.Data.Split(' ')),
    ];

    private static readonly byte[][] Leaves =
    [
        .. Lines.Where(l => l[0] == "leaf").Select(l => TreeHash.Leaf(l[1] == "-" ? [] : Convert.FromHexString(l[1]))),
    ];

    public static TheoryData<string> Roots => [.. Named("root")];

    public static TheoryData<string> Paths => [.. Named("path")];

    private static IEnumerable<string> Named(string what) =>
        Lines.Where(l => l[0] == what).Select(l => string.Join(' ', l[1..]));

    [Theory, MemberData(nameof(Roots))]
    public void A_root_is_that_of_the_vectors(string line)
    {
        var (size, root) = (int.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture), line.Split(' ')[1]);
        Assert.Equal(root, Convert.ToHexStringLower(Edge(Leaves[..size]).Root()));
    }

    [Theory, MemberData(nameof(Paths))]
    public void A_path_is_that_of_the_vectors(string line)
    {
        var words = line.Split(' ');
        var (index, size) = (
            long.Parse(words[0], CultureInfo.InvariantCulture),
            int.Parse(words[1], CultureInfo.InvariantCulture)
        );
        var path = InclusionPath.Make(index, size, new(n => Leaves[n], NoBlock));
        Assert.Equal(words[2..], path.Select(Convert.ToHexStringLower));
        Assert.Equal(Edge(Leaves[..size]).Root(), InclusionPath.Follow(Leaves[index], index, size, path));
    }

    [Fact]
    public void For_every_size_root_and_paths_are_as_defined()
    {
        var leaves = Many(70);
        var edge = new TreeEdge();
        for (var size = 0; size <= leaves.Length; size++)
        {
            var root = Defined(leaves[..size]);
            Assert.Equal(root, edge.Root());
            Assert.Equal(root, TreeEdge.Read(size, edge.Write())!.Root());
            for (var i = 0; i < size; i++)
            {
                var path = InclusionPath.Make(i, size, new(n => leaves[n], NoBlock));
                Assert.Equal(root, InclusionPath.Follow(leaves[i], i, size, path));
            }
            if (size < leaves.Length)
                edge.Append(leaves[size]);
        }
    }

    [Fact]
    public void Whole_blocks_give_the_same_paths_as_their_leaves()
    {
        var (leaves, blocks, edge) = (Many(3 * TreeEdge.Block + 7), new List<byte[]>(), new TreeEdge());
        foreach (var leaf in leaves)
            if (edge.Append(leaf) is { } block)
                blocks.Add(block);
        Assert.Equal(3, blocks.Count);
        foreach (var size in new[] { TreeEdge.Block, TreeEdge.Block + 1, 2 * TreeEdge.Block, leaves.Length })
        foreach (var index in new[] { 0, 1, size / 2, size - 1 })
        {
            var read = new HashSet<long>();
            var path = InclusionPath.Make(
                index,
                size,
                new(
                    n =>
                    {
                        read.Add(n);
                        return leaves[n];
                    },
                    b => blocks[(int)b]
                )
            );
            Assert.Equal(Edge(leaves[..size]).Root(), InclusionPath.Follow(leaves[index], index, size, path));
            Assert.True(read.Count < 2 * TreeEdge.Block, $"{read.Count} leaves were read");
        }
    }

    [Fact]
    public void Large_blocks_are_made_once_and_give_the_same_as_their_leaves()
    {
        var (leaves, blocks, edge) = (Many((int)(2 * HeldTree.Large) + 300), new List<byte[]>(), new TreeEdge());
        foreach (var leaf in leaves)
            if (edge.Append(leaf) is { } block)
                blocks.Add(block);
        var (kept, asked) = (new Dictionary<long, byte[]>(), 0);
        byte[] Block(long number)
        {
            asked++;
            return blocks[(int)number];
        }
        var tree = new HeldTree(n => leaves[n], Block)
        {
            Keep = (number, make) => kept.TryGetValue(number, out var root) ? root : kept[number] = make(),
        };
        Assert.Equal(edge.Root(), InclusionPath.Root(leaves.Length, tree));
        Assert.Equal(2 * TreeEdge.Block + 1, asked);
        Assert.Equal(edge.Write(), InclusionPath.Edge(leaves.Length, tree).Write());
        foreach (var index in new[] { 0, HeldTree.Large - 1, HeldTree.Large, leaves.Length - 1 })
        {
            var path = InclusionPath.Make(index, leaves.Length, tree);
            Assert.Equal(edge.Root(), InclusionPath.Follow(leaves[index], index, leaves.Length, path));
        }
        Assert.Equal([0L, 1L], kept.Keys.Order());
    }

    [Fact]
    public void A_path_that_is_changed_leads_elsewhere_or_nowhere()
    {
        var (leaves, size) = (Many(13), 13);
        var root = Defined(leaves);
        for (var i = 0; i < size; i++)
        {
            var path = InclusionPath.Make(i, size, new(n => leaves[n], NoBlock));
            foreach (var (wrong, index, of) in Wrong([.. path], i, size))
                Assert.NotEqual(root, InclusionPath.Follow(leaves[i], index, of, wrong));
            Assert.NotEqual(root, InclusionPath.Follow(leaves[(i + 1) % size], i, size, path));
        }
    }

    private static IEnumerable<(byte[][] Path, long Index, long Size)> Wrong(byte[][] path, long index, long size)
    {
        yield return (path[1..], index, size);
        yield return (path[..^1], index, size);
        yield return ([.. path, path[0]], index, size);
        yield return ([.. path.Reverse()], index, size);
        for (var step = 0; step < path.Length; step++)
        {
            byte[][] flipped = [.. path.Select(p => (byte[])p.Clone())];
            flipped[step][7] ^= 1;
            yield return (flipped, index, size);
        }
        yield return (path, index + 1, size);
        yield return (path, -1, size);
        yield return (path, size, size);
    }

    [Theory]
    [InlineData(3, 32)]
    [InlineData(3, 96)]
    [InlineData(-1, 0)]
    [InlineData(0, 32)]
    public void An_edge_of_another_size_is_none(long size, int octets) =>
        Assert.Null(TreeEdge.Read(size, new byte[octets]));

    /// <summary>RFC 6962 2.1, word for word.</summary>
    private static byte[] Defined(byte[][] leaves)
    {
        if (leaves.Length == 0)
            return SHA256.HashData([]);
        if (leaves.Length == 1)
            return leaves[0];
        var k = 1;
        while (k * 2 < leaves.Length)
            k *= 2;
        return SHA256.HashData([1, .. Defined(leaves[..k]), .. Defined(leaves[k..])]);
    }

    private static TreeEdge Edge(byte[][] leaves)
    {
        var edge = new TreeEdge();
        Array.ForEach(leaves, l => edge.Append(l));
        return edge;
    }

    private static byte[][] Many(int count) =>
        [.. Enumerable.Range(0, count).Select(i => SHA256.HashData([0, (byte)i, (byte)(i >> 8)]))];

    private static byte[] NoBlock(long number) => throw new InvalidOperationException($"block {number}");
}
