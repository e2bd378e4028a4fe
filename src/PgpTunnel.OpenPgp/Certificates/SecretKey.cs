using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A private key with its public packet: signs, or opens session keys. The secret leaves only through <see cref="WriteSecret"/>.
/// </summary>
internal sealed class SecretKey : IDisposable
{
    private readonly SecretPart _part;

    private SecretKey(PublicKey key, SecretPart part) => (Public, _part) = (key, part);

    public PublicKey Public { get; }

    /// <summary>A key that an algorithm has just made, with its date: <c>SecretKey.Of(EdDsaLegacyPublic.Make(), now)</c>.</summary>
    public static SecretKey Of(NewKey made, DateTimeOffset created)
    {
        var body = new PacketWriter().U8(4).U32((uint)created.ToUnixTimeSeconds()).U8(made.Algorithm);
        return new(PublicKey.Read(body.Bytes(made.Fields).ToArray()), made.Secret);
    }

    /// <summary>The signature fields over a finished digest.</summary>
    public byte[] Sign(HashAlgorithmName hash, byte[] digest) => _part.Sign(hash, digest);

    /// <summary>The session key in the fields of a PKESK for this key; null when anything about them is wrong.</summary>
    public SessionKey? Unwrap(ref PacketReader fields) => _part.Unwrap(ref fields, Public);

    /// <summary>The algorithm-specific secret fields (RFC 9580 5.5.5).</summary>
    public byte[] WriteSecret() => _part.Write();

    /// <summary>Reads what <see cref="WriteSecret"/> wrote and checks that it belongs to the public key.</summary>
    public static SecretKey ReadSecret(PublicKey key, ReadOnlySpan<byte> fields)
    {
        var reader = new PacketReader(fields);
        var part = key.Part.ReadSecret(ref reader);
        return reader.AtEnd
            ? new SecretKey(key, part)
            : throw new OpenPgpException("the secret key does not belong to its public key");
    }

    public void Dispose() => _part.Dispose();
}
