using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>ECDSA on the NIST curves, id 19 (RFC 9580 5.5.5.4).</summary>
internal sealed class EcdsaPublic(NistCurve curve, byte[] point) : PublicPart
{
    public static PublicPart Read(ref PacketReader fields)
    {
        var (curve, point) = Curve.ReadKey(ref fields, NistCurve.All);
        return new EcdsaPublic(curve, point);
    }

    public static NewKey Make(NistCurve curve)
    {
        var (scalar, point) = curve.Make();
        var secret = new EcdsaSecret(curve, point, scalar);
        return new(KeyAlgorithm.Ecdsa, curve.WriteKey(point).ToArray(), secret);
    }

    public override string Name => curve.Name;
    public override bool CanSign => true;
    public override int HashId => curve == NistCurve.P384 ? 9 : 8;

    public override bool Verify(HashAlgorithmName hash, byte[] digest, ref PacketReader fields)
    {
        byte[] signature = [.. fields.Mpi(curve.ScalarSize), .. fields.Mpi(curve.ScalarSize)];
        if (digest.Length < curve.ScalarSize) // RFC 9580 5.2.3.2
            return false;
        using var ecdsa = ECDsa.Create(curve.Parameters(point));
        return ecdsa.VerifyHash(digest, signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var scalar = fields.Mpi(curve.ScalarSize);
        return curve.PointOf(scalar).AsSpan().SequenceEqual(point)
            ? new EcdsaSecret(curve, point, scalar)
            : throw Foreign();
    }
}

internal sealed class EcdsaSecret(NistCurve curve, byte[] point, byte[] scalar) : SecretPart
{
    public override byte[] Sign(HashAlgorithmName hash, byte[] digest)
    {
        using var ecdsa = ECDsa.Create(curve.Parameters(point) with { D = scalar });
        var rs = ecdsa.SignHash(digest, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        return new PacketWriter().Mpi(rs.AsSpan(0, curve.ScalarSize)).Mpi(rs.AsSpan(curve.ScalarSize)).ToArray();
    }

    public override byte[] Write() => new PacketWriter().Mpi(scalar).ToArray();

    public override void Dispose() => CryptographicOperations.ZeroMemory(scalar);
}
