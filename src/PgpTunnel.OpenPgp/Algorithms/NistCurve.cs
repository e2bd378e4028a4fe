using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>P-256 and P-384: a secret is big-endian, a point its two coordinates.</summary>
internal sealed class NistCurve : AgreementCurve
{
    public static readonly NistCurve P256 = new("P-256", "2A8648CE3D030107", 32, ECCurve.NamedCurves.nistP256);
    public static readonly NistCurve P384 = new("P-384", "2B81040022", 48, ECCurve.NamedCurves.nistP384);
    public static readonly NistCurve[] All = [P256, P384];

    private readonly ECCurve _curve;

    private NistCurve(string name, string oid, int size, ECCurve curve)
        : base(name, oid, 0x04, 2 * size, size) => _curve = curve;

    public override (byte[] Scalar, byte[] Point) Make()
    {
        using var key = ECDsa.Create(_curve);
        var p = key.ExportParameters(true);
        return (p.D!, Joined(p.Q));
    }

    public override byte[] PointOf(byte[] scalar)
    {
        using var key = ECDsa.Create(new ECParameters { Curve = _curve, D = scalar });
        return Joined(key.ExportParameters(false).Q);
    }

    public override byte[] Agree(byte[] scalar, byte[] point)
    {
        using var own = ECDiffieHellman.Create(new ECParameters { Curve = _curve, D = scalar });
        using var peer = ECDiffieHellman.Create(Parameters(point));
        return own.DeriveRawSecretAgreement(peer.PublicKey);
    }

    public ECParameters Parameters(byte[] point) =>
        new()
        {
            Curve = _curve,
            Q = new ECPoint { X = point[..ScalarSize], Y = point[ScalarSize..] },
        };

    private static byte[] Joined(ECPoint point) => [.. point.X!, .. point.Y!];
}
