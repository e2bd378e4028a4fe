using System.Security.Cryptography;
using Org.BouncyCastle.Math.EC.Rfc8032;

namespace PgpTunnel.Dns;

/// <summary>
/// The signature algorithms of RFC 8624 that we verify: 8, 10, 13, 14, 15, 16. SHA-1 (5, 7) is not among them: a zone signed with
/// nothing else is treated as unsigned (RFC 4035 5.2), since its signatures can be forged at a cost.
/// </summary>
internal static class SignatureCheck
{
    public static bool IsSupported(byte algorithm) => algorithm is 8 or 10 or 13 or 14 or 15 or 16;

    /// <summary>The key as the platform has it; null where the platform has none of that algorithm, or the key is malformed.</summary>
    /// <exception cref="CryptographicException">The platform refuses it.</exception>
    public static AsymmetricAlgorithm? Import(DnsKey key) =>
        key.Algorithm switch
        {
            8 or 10 => Rsa(key.PublicKey),
            13 => Ecdsa(key.PublicKey, ECCurve.NamedCurves.nistP256, 32),
            14 => Ecdsa(key.PublicKey, ECCurve.NamedCurves.nistP384, 48),
            _ => null,
        };

    /// <param name="imported">What <see cref="Import"/> made of the key.</param>
    public static bool Verify(DnsKey key, AsymmetricAlgorithm? imported, byte[] data, byte[] signature) =>
        (key.Algorithm, imported) switch
        {
            (8, RSA rsa) => rsa.VerifyData(data, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
            (10, RSA rsa) => rsa.VerifyData(data, signature, HashAlgorithmName.SHA512, RSASignaturePadding.Pkcs1),
            (13, ECDsa ecdsa) => signature.Length == 64
                && ecdsa.VerifyData(
                    data,
                    signature,
                    HashAlgorithmName.SHA256,
                    DSASignatureFormat.IeeeP1363FixedFieldConcatenation
                ),
            (14, ECDsa ecdsa) => signature.Length == 96
                && ecdsa.VerifyData(
                    data,
                    signature,
                    HashAlgorithmName.SHA384,
                    DSASignatureFormat.IeeeP1363FixedFieldConcatenation
                ),
            (15, _) => key.PublicKey.Length == 32
                && signature.Length == 64
                && Ed25519.Verify(signature, 0, key.PublicKey.ToArray(), 0, data, 0, data.Length),
            (16, _) => key.PublicKey.Length == 57
                && signature.Length == 114
                && Ed448.Verify(signature, 0, key.PublicKey.ToArray(), 0, [], data, 0, data.Length),
            _ => false,
        };

    private static RSA? Rsa(ReadOnlySpan<byte> key)
    {
        // RFC 3110 2: one octet of exponent length, or zero and two.
        if (key.Length < 3)
            return null;
        var (start, length) = key[0] != 0 ? (1, (int)key[0]) : (3, (key[1] << 8) | key[2]);
        // A long exponent makes one verification cost as much as a signature; nobody publishes one in earnest.
        return length is 0 or > 8 || key.Length < start + length + 128 || key.Length > start + length + 512
            ? null
            : RSA.Create(
                new RSAParameters
                {
                    Exponent = key.Slice(start, length).ToArray(),
                    Modulus = key[(start + length)..].ToArray(),
                }
            );
    }

    private static ECDsa? Ecdsa(ReadOnlySpan<byte> key, ECCurve curve, int size) =>
        key.Length != 2 * size
            ? null
            : ECDsa.Create(
                new ECParameters
                {
                    Curve = curve,
                    Q = new ECPoint { X = key[..size].ToArray(), Y = key[size..].ToArray() },
                }
            );
}
