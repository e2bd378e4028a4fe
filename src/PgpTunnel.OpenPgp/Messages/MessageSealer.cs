using System.Buffers;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A sealed message and the session key that reads it, wrapped for our own spool. The wrapped key stays here; only
/// <see cref="Octets"/> travel.
/// </summary>
/// <param name="Octets">PKESK, SEIPD, binary.</param>
/// <param name="SpoolKey">The session key, as <see cref="MessageSealer.SealForSpool"/> makes it.</param>
/// <param name="BodySha256">Of the literal body, what its reader recognises a replay by.</param>
public sealed record SealedMessage(ReadOnlyMemory<byte> Octets, byte[] SpoolKey, byte[] BodySha256);

/// <summary>Makes exactly one packet shape: <c>PKESK, SEIPDv1{ One-Pass-Signature, Literal, Signature }</c> (PROTOCOL.md 4).</summary>
public static class MessageSealer
{
    private const int Prefix = Cfb.Block + 2,
        MdcLength = 22;

    /// <summary>Signs with our newest signing subkey and encrypts to the peer's encryption subkey.</summary>
    /// <param name="body">The literal body in parts: inner header, message and padding.</param>
    /// <param name="arrays">Where the array of the sealed message comes from; null = one of its size.</param>
    public static SealedMessage Seal(
        IReadOnlyList<ReadOnlyMemory<byte>> body,
        GatewayKey signer,
        PeerKey recipient,
        DateTimeOffset now,
        ArrayPool<byte>? arrays = null
    )
    {
        var session = SessionKey.Random(recipient.Aes256 ? 9 : 7);
        var encoded = session.Encode();
        var (signature, sha256) = Sign(body, signer.Signing, Convert.FromHexString(recipient.Fingerprint), now);
        byte[] onePass =
        [
            3,
            SignatureType.Binary,
            (byte)signer.Signing.Public.Part.HashId,
            (byte)signer.Signing.Public.Algorithm,
            .. signer.Signing.Public.Fingerprint.AsSpan(12),
            1,
        ];
        var wrapped = session.Wrap(recipient.Encryption);
        IReadOnlyList<ReadOnlyMemory<byte>> Inner(byte[] onePassHeader) =>
            [onePassHeader, onePass, .. Literal(body), signature];
        // A length in five octets is as good as in one (RFC 9580 4.2.1.3). Taken where the armor would else end without padding and
        // need the checksum that costs more than the encryption.
        var inner = Inner(PacketWriter.Header(Tag.OnePass, onePass.Length));
        if (Whole(wrapped, inner) % 3 == 0)
            inner = Inner([0xC0 | Tag.OnePass, 255, 0, 0, 0, (byte)onePass.Length]);
        var sealedMessage = new SealedMessage(
            Encrypt(wrapped, session, inner, arrays),
            SealForSpool([encoded], signer).ToArray(),
            sha256
        );
        session.Wipe();
        CryptographicOperations.ZeroMemory(encoded);
        return sealedMessage;
    }

    /// <summary>
    /// Encrypts to our own spool subkey what must not lie on disk in clear: <c>PKESK, SEIPDv1{ Literal }</c>. Nobody but we put it there,
    /// so it is not signed.
    /// </summary>
    /// <param name="arrays">Where the array of the sealed octets comes from; null = one of their size.</param>
    public static ReadOnlyMemory<byte> SealForSpool(
        IReadOnlyList<ReadOnlyMemory<byte>> body,
        GatewayKey own,
        ArrayPool<byte>? arrays = null
    )
    {
        var (session, wrapped) = own.SpoolSeal.Use();
        return Encrypt(wrapped, session, Literal(body), arrays);
    }

    /// <summary>A literal packet: binary, no file name, no date.</summary>
    private static List<ReadOnlyMemory<byte>> Literal(IReadOnlyList<ReadOnlyMemory<byte>> body) =>
        [(byte[])[.. PacketWriter.Header(Tag.Literal, body.Sum(p => p.Length) + 6), (byte)'b', 0, 0, 0, 0, 0], .. body];

    private static int Clear(IReadOnlyList<ReadOnlyMemory<byte>> inner) =>
        Prefix + inner.Sum(p => p.Length) + MdcLength;

    private static int Whole(byte[] wrapped, IReadOnlyList<ReadOnlyMemory<byte>> inner) =>
        wrapped.Length + PacketWriter.Header(Tag.Seipd, Clear(inner) + 1).Length + 1 + Clear(inner);

    /// <summary>
    /// The message is put together once, where it will stay, and hashed and encrypted in its place: a piece at a time, while it is in the
    /// processor's cache.
    /// </summary>
    private static ReadOnlyMemory<byte> Encrypt(
        byte[] wrapped,
        SessionKey session,
        IReadOnlyList<ReadOnlyMemory<byte>> inner,
        ArrayPool<byte>? arrays
    )
    {
        var octets = Octets.New(arrays, Whole(wrapped, inner));
        byte[] head = [.. wrapped, .. PacketWriter.Header(Tag.Seipd, Clear(inner) + 1), 1];
        head.CopyTo(octets);
        using var target = new SealedPart(octets, head.Length, session);
        Span<byte> prefix = stackalloc byte[Prefix];
        RandomNumberGenerator.Fill(prefix[..Cfb.Block]);
        prefix[(Cfb.Block - 2)..Cfb.Block].CopyTo(prefix[Cfb.Block..]); // RFC 9580 5.13.1: the last two octets again
        target.Put(prefix);
        foreach (var part in inner)
            target.Put(part.Span);
        target.Finish();
        return octets;
    }

    /// <summary>The encrypted part of a message while it grows: what is put into it is hashed and encrypted where it stands.</summary>
    /// <param name="start">Where in the message it begins.</param>
    private sealed class SealedPart(Memory<byte> message, int start, SessionKey session) : IDisposable
    {
        private const int Piece = 32 * 1024;

        private readonly IncrementalHash _sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        private readonly Cfb.Encryptor _cfb = new(session.Key);
        private int _done = start,
            _filled = start; // up to where it is encrypted, and put

        public void Put(ReadOnlySpan<byte> octets)
        {
            while (!octets.IsEmpty)
            {
                var part = octets[..Math.Min(octets.Length, _done + Piece - _filled)];
                part.CopyTo(message.Span[_filled..]);
                _sha1.AppendData(part);
                _filled += part.Length;
                octets = octets[part.Length..];
                if (_filled == _done + Piece)
                    Encrypt();
            }
        }

        private void Encrypt()
        {
            _cfb.Encrypt(message.Span[_done.._filled]);
            _done = _filled;
        }

        /// <summary>Ends it with the modification detection code (RFC 9580 5.13.1).</summary>
        public void Finish()
        {
            Put([0xD3, 0x14]);
            Put(_sha1.GetHashAndReset());
            Encrypt();
        }

        public void Dispose()
        {
            _sha1.Dispose();
            _cfb.Dispose();
        }
    }

    /// <summary>
    /// As <see cref="SealForSpool"/>, for what is kept in great number: the PKESK packets, which many have alike, are not with it.
    /// </summary>
    /// <returns>SEIPDv1{ Literal }.</returns>
    internal static byte[] SealWithout(SessionKey session, ReadOnlySpan<byte> octets)
    {
        byte[] literal = [.. PacketWriter.Header(Tag.Literal, octets.Length + 6), (byte)'b', 0, 0, 0, 0, 0];
        var length = Prefix + literal.Length + octets.Length + MdcLength;
        byte[] head = [.. PacketWriter.Header(Tag.Seipd, length + 1), 1];
        var whole = new byte[head.Length + length];
        head.CopyTo(whole, 0);
        var clear = whole.AsSpan(head.Length);
        RandomNumberGenerator.Fill(clear[..Cfb.Block]);
        clear[(Cfb.Block - 2)..Cfb.Block].CopyTo(clear[Cfb.Block..]); // RFC 9580 5.13.1
        literal.CopyTo(clear[Prefix..]);
        octets.CopyTo(clear[(Prefix + literal.Length)..]);
        clear[^MdcLength] = 0xD3;
        clear[^(MdcLength - 1)] = 0x14;
        SHA1.HashData(clear[..^20], clear[^20..]);
        Cfb.Encrypt(session.Key, clear);
        return whole;
    }

    /// <summary>
    /// Most signatures are over SHA-256, and so is what a replay is recognised by: one pass for both.
    /// </summary>
    private static (byte[] Packet, byte[] BodySha256) Sign(
        IReadOnlyList<ReadOnlyMemory<byte>> body,
        SecretKey key,
        byte[] recipientPrimary,
        DateTimeOffset now
    )
    {
        var hashId = key.Public.Part.HashId;
        using var hash = IncrementalHash.CreateHash(Signature.HashName(hashId)!.Value);
        foreach (var part in body)
            hash.AppendData(part.Span);
        var sha256 = hash.AlgorithmName == HashAlgorithmName.SHA256 ? hash.GetCurrentHash() : Sha256(body);
        // GnuPG refuses a version 4 signature in which Intended Recipient is critical, so it is not.
        var subpackets = new SubpacketWriter().Created(now).Issuer(key.Public).Add(35, [4, .. recipientPrimary]);
        return (SignatureMaker.Packet(SignatureType.Binary, key, hash, hashId, subpackets), sha256);
    }

    private static byte[] Sha256(IReadOnlyList<ReadOnlyMemory<byte>> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var part in body)
            hash.AppendData(part.Span);
        return hash.GetHashAndReset();
    }
}
