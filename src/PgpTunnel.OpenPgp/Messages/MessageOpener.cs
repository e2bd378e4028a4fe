using System.Buffers;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

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
    /// <exception cref="OpenPgpException">Any failure from the first packet to the signature's form; the message tells which, for the log
    /// only.</exception>
    /// <exception cref="NoKeyException">No PKESK is for a key we hold.</exception>
    public static DecryptedMessage Decrypt(
        ReadOnlySpan<byte> octets,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays = null
    )
    {
        return OpenFirst(octets, keys, arrays, ReadSigned);
    }

    /// <summary>
    /// The body of a message that was verified when it came, by the rules of that time: only what is needed to read it is asked.
    /// </summary>
    /// <inheritdoc cref="Decrypt"/>
    public static ReadOnlyMemory<byte> ReadVerified(
        ReadOnlySpan<byte> octets,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays = null
    ) => OpenFirst(octets, keys, arrays, ReadBody);

    /// <summary>Decrypts for the first PKESK that names a key of ours.</summary>
    private static T OpenFirst<T>(
        ReadOnlySpan<byte> octets,
        IReadOnlyList<GatewayKey> keys,
        ArrayPool<byte>? arrays,
        Func<ReadOnlyMemory<byte>, (string Primary, string Subkey), T> read
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
                return read(packets, (own.Fingerprint, secret.Public.FingerprintHex));
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
        var kept = ReadSpooled(spoolKey, keys);
        var session = SessionKey.Decode(kept.Span);
        Octets.GiveBack(null, kept, secret: true);
        if (session is null)
            throw new OpenPgpException("what is kept as session key is none");
        return ReadSigned(OpenOnce(ReadShape(octets).Encrypted, session, arrays), default).UnverifiedBody;
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

    /// <summary>Has the shape of a message that is sealed for somebody: one to four PKESK, then what they open.</summary>
    /// <exception cref="OpenPgpException">It has another.</exception>
    public static bool IsSealed(ReadOnlySpan<byte> octets) => ReadShape(octets).Pkesks.Count > 0;

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

    private static ReadOnlyMemory<byte> ReadBody(ReadOnlyMemory<byte> packets, (string Primary, string Subkey) key)
    {
        var reader = new PacketReader(packets.Span);
        reader.Packet(out _);
        return Literal(packets, ref reader).Body;
    }

    /// <param name="packets">What the reader reads.</param>
    private static (byte Format, ReadOnlyMemory<byte> Body) Literal(
        ReadOnlyMemory<byte> packets,
        ref PacketReader reader
    )
    {
        var literal = reader.Packet(out var tag);
        if (tag != Tag.Literal || literal.Length < 6 || literal.Length < 6 + literal[1])
            throw new OpenPgpException($"a packet of type {tag} stands where the literal belongs");
        var skip = 2 + literal[1] + 4;
        // Where the literal came in one piece its body is a slice of the buffer; in parts it has been put together elsewhere.
        return packets.Span.Overlaps(literal, out var offset)
            ? (literal[0], packets.Slice(offset + skip, literal.Length - skip))
            : (literal[0], literal[skip..].ToArray());
    }

    private static DecryptedMessage ReadSigned(ReadOnlyMemory<byte> packets, (string Primary, string Subkey) key)
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
        var (format, body) = Literal(packets, ref reader);
        // RFC 9580 5.9: text would be changed in its line ends, or its charset, by whoever reads it so.
        if (format != (byte)'b')
            throw new OpenPgpException($"the literal has format {format:X2}, not 'b'");
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
        return new DecryptedMessage(body, signature, key);
    }
}
