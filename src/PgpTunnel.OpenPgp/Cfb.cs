using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>OpenPGP's CFB without resynchronisation, zero IV (RFC 9580 5.13.1, 12.9), on the platform's AES.</summary>
internal static class Cfb
{
    public const int Block = 16;
    private const int Chunk = 64 * 1024;

    /// <summary>Encrypts in place, a piece at a time: each block needs the one before it.</summary>
    public static void Encrypt(byte[] key, Span<byte> octets)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        Span<byte> iv = stackalloc byte[Block];
        iv.Clear();
        var whole = octets.Length / Block * Block;
        var piece = ArrayPool<byte>.Shared.Rent(Math.Min(Chunk, whole));
        for (var at = 0; at < whole; at += Chunk)
        {
            var part = octets[at..Math.Min(whole, at + Chunk)];
            aes.EncryptCfb(part, iv, piece, PaddingMode.None, 128);
            piece.AsSpan(0, part.Length).CopyTo(part);
            part[^Block..].CopyTo(iv);
        }
        ArrayPool<byte>.Shared.Return(piece); // ciphertext only
        Span<byte> stream = stackalloc byte[Block];
        aes.EncryptEcb(iv, stream, PaddingMode.None);
        for (var i = whole; i < octets.Length; i++)
            octets[i] ^= stream[i - whole];
    }

    /// <summary>
    /// Decrypts. The key stream of CFB decryption depends on ciphertext only, so blocks are independent: one ECB call a chunk and an
    /// XOR run several times faster than the platform's CFB.
    /// </summary>
    public static void Decrypt(byte[] key, ReadOnlySpan<byte> input, Span<byte> output)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        var most = Math.Min(Chunk, (input.Length + Block - 1) / Block * Block);
        var (feed, stream) = (ArrayPool<byte>.Shared.Rent(most + Block), ArrayPool<byte>.Shared.Rent(most));
        feed.AsSpan(0, Block).Clear(); // the zero IV
        for (var at = 0; at < input.Length; at += Chunk)
        {
            var part = input[at..Math.Min(input.Length, at + Chunk)];
            var blocks = (part.Length + Block - 1) / Block * Block;
            part.CopyTo(feed.AsSpan(Block));
            aes.EncryptEcb(feed.AsSpan(0, blocks), stream.AsSpan(0, blocks), PaddingMode.None);
            Xor(part, stream, output.Slice(at, part.Length));
            if (part.Length == Chunk)
                feed.AsSpan(Chunk, Block).CopyTo(feed);
        }
        ArrayPool<byte>.Shared.Return(feed);
        ArrayPool<byte>.Shared.Return(stream, clearArray: true); // with the ciphertext it is the plaintext
    }

    private static void Xor(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<byte> result)
    {
        var va = MemoryMarshal.Cast<byte, Vector<byte>>(a);
        var vb = MemoryMarshal.Cast<byte, Vector<byte>>(b);
        var vr = MemoryMarshal.Cast<byte, Vector<byte>>(result);
        for (var i = 0; i < va.Length; i++)
            vr[i] = va[i] ^ vb[i];
        for (var i = va.Length * Vector<byte>.Count; i < a.Length; i++)
            result[i] = (byte)(a[i] ^ b[i]);
    }
}
