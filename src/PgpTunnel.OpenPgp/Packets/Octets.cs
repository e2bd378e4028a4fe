using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Memory for octets, from arrays that are used again.</summary>
public static class Octets
{
    /// <summary>Memory that is written whole before it is read: what was in it before stays until then.</summary>
    /// <param name="arrays">Where its array comes from, which may be longer; null = one of that size.</param>
    internal static Memory<byte> New(ArrayPool<byte>? arrays, int size) =>
        (arrays?.Rent(size) ?? GC.AllocateUninitializedArray<byte>(size)).AsMemory(0, size);

    /// <summary>
    /// Gives the array of these octets back for others to use. It is for who has it alone and last: none of it may be looked at afterwards.
    /// </summary>
    /// <param name="secret">They are cleared before.</param>
    public static void GiveBack(ArrayPool<byte>? arrays, ReadOnlyMemory<byte> octets, bool secret)
    {
        if (!MemoryMarshal.TryGetArray(octets, out var part))
            return;
        if (secret)
            CryptographicOperations.ZeroMemory(part.Array);
        arrays?.Return(part.Array!);
    }

    /// <summary>Octets of the array that these lie in.</summary>
    public static long Held(ReadOnlyMemory<byte> octets) =>
        MemoryMarshal.TryGetArray(octets, out var part) ? part.Array!.Length : octets.Length;
}
