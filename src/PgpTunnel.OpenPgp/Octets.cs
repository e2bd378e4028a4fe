using System.Buffers;

namespace PgpTunnel.OpenPgp;

/// <summary>Memory for octets that are all written before they are read.</summary>
internal static class Octets
{
    /// <param name="arrays">Where its array comes from, which may be longer; null = one of that size.</param>
    public static Memory<byte> New(ArrayPool<byte>? arrays, int size) => (arrays?.Rent(size) ?? GC.AllocateUninitializedArray<byte>(size)).AsMemory(0, size);
}
