using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>A version 4 public key or subkey packet (RFC 9580 5.5.2.2).</summary>
internal sealed class PublicKey
{
    public required byte[] Body { get; init; }
    public required DateTimeOffset Created { get; init; }

    /// <summary>Its id, one of <see cref="KeyAlgorithm"/>.</summary>
    public required int Algorithm { get; init; }

    /// <summary>What its algorithm has in it.</summary>
    public required PublicPart Part { get; init; }
    public required byte[] Fingerprint { get; init; }
    public string FingerprintHex => Convert.ToHexStringLower(Fingerprint);
    public ulong KeyId => System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(Fingerprint.AsSpan(12));

    /// <summary>What signatures and fingerprints hash of this key (RFC 9580 5.2.4).</summary>
    public byte[] Hashed => HashedOf(Body);

    /// <exception cref="OpenPgpException">Another version, an algorithm or curve that is not accepted, or not a key.</exception>
    public static PublicKey Read(ReadOnlySpan<byte> body)
    {
        var reader = new PacketReader(body);
        var key = Read(ref reader, body);
        return reader.AtEnd ? key : throw new OpenPgpException("a key packet is longer than its key");
    }

    /// <summary>Reads the public part at the start of a packet; the reader is left behind it.</summary>
    internal static PublicKey Read(ref PacketReader reader, ReadOnlySpan<byte> packet)
    {
        var version = reader.U8();
        if (version != 4)
            throw new OpenPgpException($"a key of version {version}; version 4 is accepted");
        var created = DateTimeOffset.FromUnixTimeSeconds(reader.U32());
        var algorithm = reader.U8();
        var part = KeyAlgorithm.Read(algorithm, ref reader);
        var own = packet[..^reader.Remaining].ToArray();
        return new PublicKey
        {
            Body = own,
            Created = created,
            Algorithm = algorithm,
            Part = part,
            Fingerprint = SHA1.HashData(HashedOf(own)),
        };
    }

    private static byte[] HashedOf(byte[] body) => [0x99, (byte)(body.Length >> 8), (byte)body.Length, .. body];

    /// <summary>Checks a signature over a finished digest. False for anything that is not a valid signature.</summary>
    public bool Verify(HashAlgorithmName hash, byte[] digest, ReadOnlySpan<byte> signatureFields)
    {
        try
        {
            var reader = new PacketReader(signatureFields);
            return Part.Verify(hash, digest, ref reader) && reader.AtEnd;
        }
        catch (Exception e)
            when (e is OpenPgpException or CryptographicException or ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }
}
