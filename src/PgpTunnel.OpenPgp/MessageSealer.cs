using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A sealed message and the session key that reads it, wrapped for our own spool. The wrapped key stays here; only
/// <see cref="Octets"/> travel.
/// </summary>
/// <param name="Octets">PKESK, SEIPD, binary.</param>
/// <param name="SpoolKey">A PKESK packet for our spool subkey.</param>
public sealed record SealedMessage(byte[] Octets, byte[] SpoolKey);

/// <summary>Makes exactly one packet shape: <c>PKESK, SEIPDv1{ One-Pass-Signature, Literal, Signature }</c> (PROTOCOL.md 4).</summary>
public static class MessageSealer
{
    private const int Prefix = Cfb.Block + 2, MdcLength = 22;

    /// <summary>Signs with our newest signing subkey and encrypts to the peer's encryption subkey.</summary>
    /// <param name="body">The literal body in parts: inner header, message and padding.</param>
    public static SealedMessage Seal(IReadOnlyList<ReadOnlyMemory<byte>> body, GatewayKey signer, PeerKey recipient, DateTimeOffset now) =>
        Seal(body, signer, recipient.Encryption, Convert.FromHexString(recipient.Fingerprint), recipient.Aes256 ? 9 : 7, now);

    /// <summary>Seals to our own spool subkey what must not lie on disk in clear.</summary>
    public static SealedMessage SealForSpool(IReadOnlyList<ReadOnlyMemory<byte>> body, GatewayKey own, DateTimeOffset now) =>
        Seal(body, own, own.Spool.Public, Convert.FromHexString(own.Fingerprint), 9, now);

    /// <summary>The message is put together once, where it will stay, and encrypted in its place.</summary>
    private static SealedMessage Seal(IReadOnlyList<ReadOnlyMemory<byte>> body, GatewayKey signer, PublicKey recipient, byte[] recipientPrimary, int cipher, DateTimeOffset now)
    {
        var session = SessionKey.Random(cipher);
        var signature = Sign(body, signer.Signing, recipientPrimary, now);
        var bodyLength = body.Sum(p => p.Length);
        var literal = PacketWriter.Header(Tag.Literal, bodyLength + 6);
        byte[] onePass = [3, SignatureType.Binary, (byte)HashId(signer.Signing), (byte)signer.Signing.Public.Algorithm, .. signer.Signing.Public.Fingerprint.AsSpan(12), 1];
        var wrapped = session.Wrap(recipient);
        int Clear(byte[] header) => Prefix + header.Length + onePass.Length + literal.Length + 6 + bodyLength + signature.Length + MdcLength;
        int Whole(byte[] header) => wrapped.Length + PacketWriter.Header(Tag.Seipd, Clear(header) + 1).Length + 1 + Clear(header);
        // A length in five octets is as good as in one (RFC 9580 4.2.1.3). Taken where the armor would else end without padding and
        // need the checksum that costs more than the encryption.
        var onePassHeader = PacketWriter.Header(Tag.OnePass, onePass.Length);
        if (Whole(onePassHeader) % 3 == 0)
            onePassHeader = [0xC0 | Tag.OnePass, 255, 0, 0, 0, (byte)onePass.Length];

        var octets = new byte[Whole(onePassHeader)];
        var writer = new SpanWriter(octets);
        writer.Put(wrapped);
        writer.Put(PacketWriter.Header(Tag.Seipd, Clear(onePassHeader) + 1));
        writer.Put([1]);
        var clear = octets.AsSpan(octets.Length - Clear(onePassHeader));
        RandomNumberGenerator.Fill(writer.Next(Cfb.Block));
        writer.Put(clear.Slice(Cfb.Block - 2, 2)); // RFC 9580 5.13.1: the last two octets again
        writer.Put(onePassHeader);
        writer.Put(onePass);
        writer.Put(literal);
        writer.Put([(byte)'b', 0, 0, 0, 0, 0]); // binary, no file name, no date
        foreach (var part in body)
            writer.Put(part.Span);
        writer.Put(signature);
        writer.Put([0xD3, 0x14]);
        SHA1.HashData(clear[..^20], writer.Next(20));
        Cfb.Encrypt(session.Key, clear);
        return new(octets, session.Wrap(signer.Spool.Public));
    }

    private static byte[] Sign(IReadOnlyList<ReadOnlyMemory<byte>> body, SecretKey key, byte[] recipientPrimary, DateTimeOffset now)
    {
        var hashId = HashId(key);
        using var hash = IncrementalHash.CreateHash(Signature.HashName(hashId)!.Value);
        foreach (var part in body)
            hash.AppendData(part.Span);
        // GnuPG refuses a version 4 signature in which Intended Recipient is critical, so it is not.
        var subpackets = new SubpacketWriter().Created(now).Issuer(key.Public).Add(35, [4, .. recipientPrimary]);
        return SignatureMaker.Packet(SignatureType.Binary, key, hash, hashId, subpackets);
    }

    private static int HashId(SecretKey key) => key.Public.KeyCurve == PublicKey.Curve.P384 ? 9 : 8;

    private ref struct SpanWriter(Span<byte> target)
    {
        private Span<byte> _rest = target;

        public Span<byte> Next(int count)
        {
            var span = _rest[..count];
            _rest = _rest[count..];
            return span;
        }

        public void Put(ReadOnlySpan<byte> octets) => octets.CopyTo(Next(octets.Length));
    }
}

/// <summary>Makes version 4 signature packets.</summary>
internal static class SignatureMaker
{
    /// <param name="hash">Holds the signed data already.</param>
    public static byte[] Packet(int type, SecretKey key, IncrementalHash hash, int hashId, SubpacketWriter subpackets) =>
        new PacketWriter().Packet(Tag.Signature, Body(type, key, hash, hashId, subpackets)).ToArray();

    public static byte[] Body(int type, SecretKey key, IncrementalHash hash, int hashId, SubpacketWriter subpackets)
    {
        var hashed = subpackets.ToArray();
        var head = new PacketWriter().U8(4).U8(type).U8(key.Public.Algorithm).U8(hashId).U16(hashed.Length).Bytes(hashed).ToArray();
        hash.AppendData(head);
        hash.AppendData(Signature.Trailer(head.Length));
        var digest = hash.GetHashAndReset();
        var unhashed = new SubpacketWriter().Add(16, key.Public.Fingerprint.AsSpan(12)).ToArray();
        return new PacketWriter().Bytes(head).U16(unhashed.Length).Bytes(unhashed).Bytes(digest.AsSpan(0, 2)).Bytes(key.Sign(hash.AlgorithmName, digest)).ToArray();
    }

    /// <summary>A signature over keys and User IDs: hashes <paramref name="parts"/> in order. SHA-256, SHA-384 for P-384.</summary>
    public static byte[] OverKeys(int type, SecretKey key, SubpacketWriter subpackets, params ReadOnlySpan<byte[]> parts)
    {
        var hashId = key.Public.KeyCurve == PublicKey.Curve.P384 ? 9 : 8;
        using var hash = IncrementalHash.CreateHash(Signature.HashName(hashId)!.Value);
        foreach (var part in parts)
            hash.AppendData(part);
        return Body(type, key, hash, hashId, subpackets);
    }
}
