using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Ed25519 as version 4 keys have it, id 22 (RFC 9580 5.5.5.5): native octets in integers.</summary>
internal sealed class EdDsaLegacyPublic(byte[] point) : PublicPart
{
    private sealed class EdwardsCurve() : Curve("Ed25519", "2B06010401DA470F01", 0x40, 32, 32)
    {
        public override (byte[] Scalar, byte[] Point) Make()
        {
            var scalar = RandomNumberGenerator.GetBytes(32);
            return (scalar, PointOf(scalar));
        }

        public override byte[] PointOf(byte[] scalar) => EdwardsKey.PointOf(scalar);
    }

    private static readonly EdwardsCurve Ed25519 = new();

    public static PublicPart Read(ref PacketReader fields) =>
        new EdDsaLegacyPublic(Curve.ReadKey(ref fields, [Ed25519]).Point);

    public static NewKey Make()
    {
        var (scalar, point) = Ed25519.Make();
        return new(KeyAlgorithm.EdDsaLegacy, Ed25519.WriteKey(point).ToArray(), new EdDsaLegacySecret(scalar));
    }

    public override string Name => Ed25519.Name;
    public override bool CanSign => true;

    public override bool Verify(HashAlgorithmName hash, byte[] digest, ref PacketReader fields) =>
        EdwardsKey.Verify(point, digest, [.. fields.Mpi(32), .. fields.Mpi(32)]);

    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var scalar = fields.Mpi(32);
        return EdwardsKey.PointOf(scalar).AsSpan().SequenceEqual(point)
            ? new EdDsaLegacySecret(scalar)
            : throw Foreign();
    }
}

internal sealed class EdDsaLegacySecret(byte[] scalar) : SecretPart
{
    private readonly EdwardsKey _key = new(scalar);

    public override byte[] Sign(HashAlgorithmName hash, byte[] digest)
    {
        var signature = _key.Sign(digest);
        return new PacketWriter().Mpi(signature.AsSpan(0, 32)).Mpi(signature.AsSpan(32)).ToArray();
    }

    public override byte[] Write() => new PacketWriter().Mpi(scalar).ToArray();

    public override void Dispose() => _key.Dispose();
}
