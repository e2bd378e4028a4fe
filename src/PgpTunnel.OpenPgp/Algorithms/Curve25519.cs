using System.Security.Cryptography;
using Org.BouncyCastle.Math.EC.Rfc7748;

namespace PgpTunnel.OpenPgp;

/// <summary>Curve25519 (RFC 7748): a secret is little-endian, a point its u-coordinate.</summary>
internal sealed class Curve25519 : AgreementCurve
{
    public static readonly Curve25519 Instance = new();

    private Curve25519()
        : base("X25519", "2B060104019755010501", 0x40, 32, 32) { }

    public override (byte[] Scalar, byte[] Point) Make()
    {
        var scalar = RandomNumberGenerator.GetBytes(32);
        // RFC 7748 5, and what OpenPGP stores
        (scalar[0], scalar[31]) = ((byte)(scalar[0] & 0xF8), (byte)((scalar[31] & 0x7F) | 0x40));
        return (scalar, PointOf(scalar));
    }

    public override byte[] PointOf(byte[] scalar)
    {
        var point = new byte[32];
        X25519.ScalarMultBase(scalar, 0, point, 0);
        return point;
    }

    public override byte[] Agree(byte[] scalar, byte[] point)
    {
        var shared = new byte[32];
        return X25519.CalculateAgreement(scalar, 0, point, 0, shared, 0)
            ? shared
            : throw new CryptographicException("a point of low order");
    }
}
