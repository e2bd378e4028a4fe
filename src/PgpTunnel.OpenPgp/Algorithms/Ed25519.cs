using System.Security.Cryptography;
using Rfc8032 = Org.BouncyCastle.Math.EC.Rfc8032;
using Sodium = NSec.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Ed25519, id 27 (RFC 9580 5.5.5.9).</summary>
internal sealed class Ed25519Public(byte[] point) : PublicPart
{
    public static PublicPart Read(ref PacketReader fields) => new Ed25519Public(fields.Take(32).ToArray());

    public override string Name => "Ed25519";
    public override bool CanSign => true;

    public override bool Verify(HashAlgorithmName hash, byte[] digest, ref PacketReader fields) =>
        EdwardsKey.Verify(point, digest, fields.Take(64));

    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var scalar = fields.Take(32).ToArray();
        return EdwardsKey.PointOf(scalar).AsSpan().SequenceEqual(point) ? new Ed25519Secret(scalar) : throw Foreign();
    }
}

internal sealed class Ed25519Secret(byte[] scalar) : SecretPart
{
    private readonly EdwardsKey _key = new(scalar);

    public override byte[] Sign(HashAlgorithmName hash, byte[] digest) => _key.Sign(digest);

    public override byte[] Write() => [.. scalar];

    public override void Dispose() => _key.Dispose();
}

/// <summary>What both ids of Ed25519 (RFC 8032) do, by libsodium, which signs in a quarter of the time.</summary>
/// <param name="scalar">The secret, wiped in the end.</param>
internal sealed class EdwardsKey(byte[] scalar) : IDisposable
{
    // Made when first used.
    private readonly Lazy<Sodium.Key> _key = new(() =>
        Sodium.Key.Import(Sodium.SignatureAlgorithm.Ed25519, scalar, Sodium.KeyBlobFormat.RawPrivateKey)
    );

    public byte[] Sign(byte[] digest) => Sodium.SignatureAlgorithm.Ed25519.Sign(_key.Value, digest);

    public static bool Verify(byte[] point, byte[] digest, ReadOnlySpan<byte> signature) =>
        Sodium.PublicKey.TryImport(
            Sodium.SignatureAlgorithm.Ed25519,
            point,
            Sodium.KeyBlobFormat.RawPublicKey,
            out var key
        )
        && key is not null
        && Sodium.SignatureAlgorithm.Ed25519.Verify(key, digest, signature);

    public static byte[] PointOf(byte[] scalar)
    {
        var point = new byte[32];
        Rfc8032.Ed25519.GeneratePublicKey(scalar, 0, point, 0);
        return point;
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(scalar);
        if (_key.IsValueCreated)
            _key.Value.Dispose();
    }
}
