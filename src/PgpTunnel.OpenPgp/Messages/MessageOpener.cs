using System.Buffers;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>The message is addressed to none of our keys.</summary>
public sealed class NoKeyException() : Exception("no PKESK is for a key we hold");

/// <summary>
/// A message that decrypted with its integrity intact. That says nothing about who wrote it: <see cref="UnverifiedBody"/> may be
/// parsed to learn whose signature to look for, and is released only by <see cref="VerifiedBy"/>.
/// </summary>
public sealed class DecryptedMessage
{
    internal DecryptedMessage(ReadOnlyMemory<byte> body, Signature signature, string keyFingerprint) =>
        (UnverifiedBody, Signature, KeyFingerprint) = (body, signature, keyFingerprint);

    public ReadOnlyMemory<byte> UnverifiedBody { get; }

    internal Signature Signature { get; }

    /// <summary>Primary fingerprint of the gateway key that decrypted it.</summary>
    public string KeyFingerprint { get; }

    /// <summary>SHA-256 of the literal body, what a replay is recognised by.</summary>
    public byte[] BodySha256 => _bodySha256 ??= SHA256.HashData(UnverifiedBody.Span);

    private byte[]? _bodySha256;

    /// <summary>A hash that holds the body. Most signatures are over SHA-256, and so is what a replay is recognised by: one pass for both.</summary>
    private IncrementalHash HashOfBody(HashAlgorithmName name)
    {
        var hash = IncrementalHash.CreateHash(name);
        hash.AppendData(UnverifiedBody.Span);
        if (name == HashAlgorithmName.SHA256)
            _bodySha256 ??= hash.GetCurrentHash();
        return hash;
    }

    /// <summary>When the signature says that it was made.</summary>
    public DateTimeOffset? Signed => Signature.Created;

    /// <summary>The signature is right in all but one: it was made when its key had expired.</summary>
    public bool IsByExpired(SignerKey peer, DateTimeOffset now) =>
        Signature.Hash is { } name
        && Signature is { HasUnknownCritical: false, Created: { } created }
        && IsForUs
        && IsTimely(created, now)
        && peer.Signing.Where(s => Claims(s.Key) && created >= s.Until && created >= s.From)
            .Any(s => IsBy(s.Key, name));

    /// <summary>An intended recipient, where stated, must be us (RFC 9580 5.2.3.36); GnuPG states none.</summary>
    private bool IsForUs =>
        Signature.IntendedRecipients.Count == 0
        || Signature.IntendedRecipients.Exists(f => Convert.ToHexStringLower(f) == KeyFingerprint);

    /// <summary>Neither in the future nor over by its own lifetime.</summary>
    private bool IsTimely(DateTimeOffset created, DateTimeOffset now) =>
        created <= now.AddHours(1)
        && (Signature.SignatureLifetime == 0 || created.AddSeconds(Signature.SignatureLifetime) > now);

    private bool IsBy(PublicKey key, HashAlgorithmName name)
    {
        using var hash = HashOfBody(name);
        return Signature.Algorithm == key.Algorithm && Signature.Finish(hash, key);
    }

    /// <summary>The body, if <paramref name="peer"/> signed it; else null and the reason, which is for the log only.</summary>
    public ReadOnlyMemory<byte>? VerifiedBy(SignerKey peer, DateTimeOffset now, out string why)
    {
        why = $"no signing key of {peer.Fingerprint} made the signature";
        if (Signature.Hash is not { } name)
        {
            why = $"the signature uses hash {Signature.HashId}";
            return null;
        }
        if (!IsForUs)
        {
            why = "the signature is intended for another recipient";
            return null;
        }
        foreach (var key in peer.Signing.Where(s => Claims(s.Key)))
        {
            // Expiry is judged at the time of signing.
            if (
                Signature.HasUnknownCritical
                || Signature.Created is not { } created
                || created < key.From
                || created >= key.Until
                || !IsTimely(created, now)
            )
            {
                why =
                    "the signature's time lies outside its key's validity or in the future, or it carries an unknown critical subpacket";
                continue;
            }
            if (IsBy(key.Key, name))
                return UnverifiedBody;
            why = $"the signature by {peer.Fingerprint} is wrong";
        }
        return null;
    }

    private bool Claims(PublicKey key) =>
        Signature.IssuerFingerprint is { } fingerprint
            ? fingerprint.AsSpan().SequenceEqual(key.Fingerprint)
            : Signature.IssuerKeyId == key.KeyId;
}

/// <summary>
/// Opens the one packet shape that <see cref="MessageSealer"/> makes, with the latitude PROTOCOL.md 4 grants. Nothing of a message
/// leaves before its integrity has been checked whole.
/// </summary>
public static class MessageOpener
{
    private const int MaxPkesk = 4,
        Prefix = Cfb.Block + 2,
        MdcLength = 22;

    /// <summary>Decrypts with whichever of our keys a PKESK names.</summary>
    /// <param name="arrays">Where the array of the decrypted octets comes from; null = one of their size.</param>
    /// <exception cref="OpenPgpException">Any failure from the first packet to the signature's form; the message tells which, for the log only.</exception>
    /// <exception cref="NoKeyException">No PKESK is for a key we hold.</exception>
    public static DecryptedMessage Decrypt(
        ReadOnlySpan<byte> octets,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays = null
    )
    {
        var shape = ReadShape(octets);
        if (shape.Pkesks.Count == 0)
            throw new OpenPgpException("there is no PKESK");
        foreach (var (start, length) in shape.Pkesks)
        {
            if (FindKey(octets.Slice(start, length), keys, k => k.Decrypting) is not var (own, secret))
                continue;
            var session = SessionKey.Unwrap(octets.Slice(start, length), secret) ?? SessionKey.Random(9);
            var packets = OpenOnce(shape.Encrypted, session, arrays);
            try
            {
                return ReadSigned(packets, own.Fingerprint);
            }
            catch (OpenPgpException)
            {
                Octets.GiveBack(arrays, packets, secret: true);
                throw;
            }
        }
        throw new NoKeyException();
    }

    /// <summary>The body of a message we sealed for a peer, with the session key kept beside it in the spool.</summary>
    /// <param name="arrays">Where the array of the decrypted octets comes from; null = one of their size.</param>
    /// <exception cref="OpenPgpException">It is not as we made it.</exception>
    /// <exception cref="NoKeyException">The key of that time is gone.</exception>
    public static ReadOnlyMemory<byte> ReadSealed(
        ReadOnlySpan<byte> octets,
        ReadOnlySpan<byte> spoolKey,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays = null
    )
    {
        var session =
            SessionKey.Decode(ReadSpooled(spoolKey, keys).Span)
            ?? throw new OpenPgpException("what is kept as session key is none");
        return ReadSigned(OpenOnce(ReadShape(octets).Encrypted, session, arrays), "").UnverifiedBody;
    }

    /// <summary>What <see cref="MessageSealer.SealForSpool"/> has made.</summary>
    /// <param name="arrays">Where the array of the decrypted octets comes from; null = one of their size.</param>
    /// <exception cref="OpenPgpException">It is not as we made it.</exception>
    /// <exception cref="NoKeyException">The key of that time is gone.</exception>
    public static ReadOnlyMemory<byte> ReadSpooled(
        ReadOnlySpan<byte> octets,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays = null
    )
    {
        var shape = ReadShape(octets);
        var pkesk = shape.Pkesks is [var (start, length), ..]
            ? octets.Slice(start, length)
            : throw new OpenPgpException("there is no key with it");
        var (own, _) = FindKey(pkesk, keys, k => k.Spools) ?? throw new NoKeyException();
        var clear = Open(
            shape.Encrypted,
            own.SpoolSeal.Open(pkesk) ?? throw new OpenPgpException("the spool key does not open"),
            arrays
        );
        var reader = new PacketReader(clear.Span);
        var literal = reader.Packet(out var tag);
        return tag == Tag.Literal && reader.AtEnd && literal.Length >= 6
            ? clear[^(literal.Length - 6)..]
            : throw new OpenPgpException("it is not what a spool holds");
    }

    /// <summary>True when a message is for a spool subkey of ours.</summary>
    /// <exception cref="OpenPgpException">It is no encrypted message.</exception>
    public static bool IsSpooled(ReadOnlySpan<byte> octets, IReadOnlyList<GatewayKey> keys) =>
        ReadShape(octets).Pkesks is [var (start, length)]
        && FindKey(octets.Slice(start, length), keys, k => k.Spools) is not null;

    private readonly ref struct Shape(List<(int Start, int Length)> pkesks, ReadOnlySpan<byte> encrypted)
    {
        public List<(int Start, int Length)> Pkesks { get; } = pkesks;
        public ReadOnlySpan<byte> Encrypted { get; } = encrypted;
    }

    private static Shape ReadShape(ReadOnlySpan<byte> octets)
    {
        var reader = new PacketReader(octets);
        var pkesks = new List<(int, int)>();
        while (true)
        {
            if (reader.AtEnd)
                throw new OpenPgpException("there is no encrypted data");
            var body = reader.Packet(out var tag);
            if (tag == Tag.Seipd)
            {
                if (!reader.AtEnd)
                    throw new OpenPgpException("something follows the encrypted data");
                if (body.Length < 1 + Prefix + MdcLength || body[0] != 1)
                    throw new OpenPgpException("the encrypted data is not SEIPD version 1");
                return new Shape(pkesks, body[1..]);
            }
            if (tag != Tag.Pkesk)
                throw new OpenPgpException($"a packet of type {tag} stands before the encrypted data");
            if (pkesks.Count == MaxPkesk)
                throw new OpenPgpException($"more than {MaxPkesk} PKESK packets");
            pkesks.Add((octets.Length - reader.Remaining - body.Length, body.Length));
        }
    }

    /// <summary>True when a PKESK of the message names that key.</summary>
    internal static bool Names(ReadOnlySpan<byte> octets, SecretKey key)
    {
        foreach (var (start, length) in ReadShape(octets).Pkesks)
        {
            var pkesk = octets.Slice(start, length);
            if (
                length >= 10
                && pkesk[0] == 3
                && System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(pkesk[1..]) == key.Public.KeyId
            )
                return true;
        }
        return false;
    }

    /// <summary>PKESKs of other versions, algorithms and readers, and the anonymous key id 0, are passed over.</summary>
    private static (GatewayKey Own, SecretKey Secret)? FindKey(
        ReadOnlySpan<byte> pkesk,
        IReadOnlyList<GatewayKey> keys,
        Func<GatewayKey, IEnumerable<SecretKey>> among
    )
    {
        if (pkesk.Length < 10 || pkesk[0] != 3)
            return null;
        var id = System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(pkesk[1..]);
        foreach (var key in keys)
        foreach (var secret in among(key))
            if (secret.Public.KeyId == id && secret.Public.Algorithm == pkesk[9])
                return (key, secret);
        return null;
    }

    /// <summary>As <see cref="Open"/>, with a key that is for this message alone, and wiped afterwards.</summary>
    private static ReadOnlyMemory<byte> OpenOnce(
        ReadOnlySpan<byte> encrypted,
        SessionKey session,
        ArrayPool<byte>? arrays
    )
    {
        try
        {
            return Open(encrypted, session, arrays);
        }
        finally
        {
            session.Wipe();
        }
    }

    /// <summary>The packets inside, when the integrity of all is right.</summary>
    private static ReadOnlyMemory<byte> Open(ReadOnlySpan<byte> encrypted, SessionKey session, ArrayPool<byte>? arrays)
    {
        var memory = Octets.New(arrays, encrypted.Length);
        var clear = memory.Span;
        Cfb.Decrypt(session.Key, encrypted, clear);
        Span<byte> mdc = stackalloc byte[20];
        SHA1.HashData(clear[..^20], mdc);
        // One condition for a wrong key, a flipped octet and a bad prefix alike (RFC 9580 13.4, 13.5).
        var intact =
            CryptographicOperations.FixedTimeEquals(mdc, clear[^20..])
            & clear[^22] == 0xD3
            & clear[^21] == 0x14
            & clear[Cfb.Block - 2] == clear[Cfb.Block]
            & clear[Cfb.Block - 1] == clear[Cfb.Block + 1];
        if (!intact)
        {
            Octets.GiveBack(arrays, memory, secret: true);
            throw new OpenPgpException("the session key or the encrypted data is wrong");
        }
        return memory[Prefix..^MdcLength];
    }

    private static DecryptedMessage ReadSigned(ReadOnlyMemory<byte> packets, string keyFingerprint)
    {
        var reader = new PacketReader(packets.Span);
        var onePass = reader.Packet(out var tag);
        if (tag != Tag.OnePass)
            throw new OpenPgpException(
                tag == Tag.Compressed
                    ? "the message is compressed"
                    : $"a packet of type {tag} stands where a one-pass signature belongs"
            );
        if (onePass.Length != 13 || onePass[0] != 3 || onePass[12] != 1)
            throw new OpenPgpException("the one-pass signature is not of version 3 or not the last");
        var literal = reader.Packet(out tag);
        if (tag != Tag.Literal || literal.Length < 6 || literal.Length < 6 + literal[1])
            throw new OpenPgpException($"a packet of type {tag} stands where the literal belongs");
        // RFC 9580 5.9: text would be changed in its line ends, or its charset, by whoever reads it so.
        if (literal[0] != (byte)'b')
            throw new OpenPgpException($"the literal has format {literal[0]:X2}, not 'b'");
        var skip = 2 + literal[1] + 4;
        // Where the literal came in one piece its body is a slice of the buffer; in parts it has been put together elsewhere.
        ReadOnlyMemory<byte> body = packets.Span.Overlaps(literal, out var offset)
            ? packets.Slice(offset + skip, literal.Length - skip)
            : literal[skip..].ToArray();
        var signature = Signature.Read(
            reader.Packet(out tag) is var octets && tag == Tag.Signature
                ? octets
                : throw new OpenPgpException($"a packet of type {tag} stands where the signature belongs")
        );
        if (!reader.AtEnd)
            throw new OpenPgpException("something follows the signature");
        if (
            signature.Type != SignatureType.Binary
            || onePass[1] != SignatureType.Binary
            || onePass[2] != signature.HashId
            || onePass[3] != signature.Algorithm
        )
            throw new OpenPgpException("the one-pass signature and the signature differ");
        var keyId = System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(onePass[4..]);
        if (
            (signature.IssuerKeyId is { } issuer && issuer != keyId)
            || (
                signature.IssuerFingerprint is { Length: 20 } fpr
                && System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(fpr.AsSpan(12)) != keyId
            )
        )
            throw new OpenPgpException("the one-pass signature and the signature name different keys");
        return new DecryptedMessage(body, signature, keyFingerprint);
    }
}
