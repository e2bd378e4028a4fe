using System.Numerics;
using System.Security.Cryptography;

namespace PgpTunnel.Evidence;

/// <summary>The hashes of RFC 6962 2.1, by SHA-256: 32 octets each.</summary>
public static class TreeHash
{
    public const int Length = SHA256.HashSizeInBytes;

    private const int Usual = 2048; // octets of a record

    /// <summary>The root of a tree without leaves.</summary>
    public static byte[] Empty => SHA256.HashData([]);

    /// <summary>Of one record. The octet in front keeps a record from being taken for a node.</summary>
    public static byte[] Leaf(ReadOnlySpan<byte> record)
    {
        Span<byte> octets = record.Length < Usual ? stackalloc byte[1 + record.Length] : new byte[1 + record.Length];
        octets[0] = 0;
        record.CopyTo(octets[1..]);
        return SHA256.HashData(octets);
    }

    public static byte[] Node(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        Span<byte> both = stackalloc byte[1 + 2 * Length];
        both[0] = 1;
        left.CopyTo(both[1..]);
        right.CopyTo(both[(1 + Length)..]);
        return SHA256.HashData(both);
    }

    /// <summary>How many of the leaves stand under the left child of a node: the largest power of two below their number.</summary>
    /// <param name="leaves">At least two.</param>
    internal static long Left(long leaves) => 1L << (63 - BitOperations.LeadingZeroCount((ulong)(leaves - 1)));
}
