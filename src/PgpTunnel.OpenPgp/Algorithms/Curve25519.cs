using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Curve25519 (RFC 7748), by libsodium: a secret is little-endian, a point its u-coordinate.</summary>
internal sealed class Curve25519 : AgreementCurve
{
    public static readonly Curve25519 Instance = new();

    private Curve25519()
        : base("X25519", "2B060104019755010501", 0x40, 32, 32) => Sodium.Start();

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
        return Sodium.BaseMultiple(point, Whole(scalar)) == 0
            ? point
            : throw new CryptographicException("a secret of no use");
    }

    public override byte[] Agree(byte[] scalar, byte[] point)
    {
        var shared = new byte[32];
        return Sodium.Multiple(shared, Whole(scalar), Whole(point)) == 0
            ? shared
            : throw new CryptographicException("a point of low order");
    }

    /// <summary>The library reads 32 octets, whatever it is given.</summary>
    private static byte[] Whole(byte[] octets) =>
        octets.Length == 32 ? octets : throw new CryptographicException($"{octets.Length} octets in the place of 32");

    /// <summary>
    /// The functions themselves: NSec, which brings the library, puts each secret into locked pages of its own, which takes longer than
    /// the agreement.
    /// </summary>
    private static class Sodium
    {
        private const string Library = "libsodium";

        /// <exception cref="CryptographicException">There is no source of randomness.</exception>
        public static void Start()
        {
            if (Initialize() < 0) // 1 = somebody has
                throw new CryptographicException("libsodium does not start");
        }

        [DllImport(Library, EntryPoint = "sodium_init")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
        private static extern int Initialize();

        /// <returns>Nonzero when nothing came of it but zeros.</returns>
        [DllImport(Library, EntryPoint = "crypto_scalarmult_curve25519")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
        public static extern int Multiple(byte[] result, byte[] scalar, byte[] point);

        [DllImport(Library, EntryPoint = "crypto_scalarmult_curve25519_base")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
        public static extern int BaseMultiple(byte[] result, byte[] scalar);
    }
}
