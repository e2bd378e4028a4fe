using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>OpenPGP's CFB without resynchronisation, zero IV (RFC 9580 5.13.1, 12.9), on the platform's AES.</summary>
internal static class Cfb
{
    public const int Block = 16;
    private const int Chunk = 32 * 1024;

    private const int Small = 4 * 1024; // octets, below which the platform's CFB costs less than two calls of it

    /// <summary>Encrypts in place what is there as a whole.</summary>
    public static void Encrypt(byte[] key, Span<byte> octets)
    {
        if (octets.Length < Small)
        {
            EncryptSmall(key, octets);
            return;
        }
        using var encryptor = new Encryptor(key);
        encryptor.Encrypt(octets);
    }

    private static void EncryptSmall(byte[] key, Span<byte> octets)
    {
        using var aes = Aes.Create();
        aes.Key = key;
        Span<byte> zero = stackalloc byte[Block];
        zero.Clear();
        // The platform wants whole blocks, whatever the padding, when a block is its feedback.
        Span<byte> whole = stackalloc byte[Small];
        whole = whole[..((octets.Length + Block - 1) / Block * Block)];
        octets.CopyTo(whole);
        aes.EncryptCfb(whole, zero, whole, PaddingMode.None, Block * 8);
        whole[..octets.Length].CopyTo(octets);
    }

    /// <summary>
    /// Encrypts in place, piece after piece. The key stream is what CBC makes of the same plaintext, with the first octets of the key
    /// stream as its IV: <c>S[1] = E(0)</c>, and <c>S[n+1] = E(C[n]) = E(P[n] xor S[n])</c>. The platform has a fast CBC, not a fast CFB.
    /// </summary>
    public sealed class Encryptor : IDisposable
    {
        private readonly Aes _aes = Aes.Create();
        private readonly byte[] _stream = ArrayPool<byte>.Shared.Rent(Chunk + Block);
        private int _used = Block;

        public Encryptor(byte[] key)
        {
            _aes.Key = key;
            Span<byte> zero = stackalloc byte[Block];
            zero.Clear();
            _aes.EncryptEcb(zero, _stream, PaddingMode.None);
        }

        /// <param name="octets">Whole blocks; only the last piece of all may end within one.</param>
        public void Encrypt(Span<byte> octets)
        {
            for (; !octets.IsEmpty; octets = octets[Math.Min(Chunk, octets.Length)..])
            {
                var part = octets[..Math.Min(Chunk, octets.Length)];
                var whole = part.Length / Block * Block;
                _aes.EncryptCbc(part[..whole], _stream.AsSpan(0, Block), _stream.AsSpan(Block), PaddingMode.None);
                Xor(part, _stream, part);
                _stream.AsSpan(whole, Block).CopyTo(_stream);
                _used = Math.Max(_used, whole + Block);
            }
        }

        public void Dispose()
        {
            _aes.Dispose();
            CryptographicOperations.ZeroMemory(_stream.AsSpan(0, _used)); // with the ciphertext it is the plaintext
            ArrayPool<byte>.Shared.Return(_stream);
        }
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
