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

    /// <summary>True when <paramref name="signature"/> is the key's over <paramref name="data"/>. Never throws for bad keys or signatures.</summary>
    public static bool Verify(DnsKey key, byte[] data, byte[] signature)
    {
        try
        {
            return key.Algorithm switch
            {
                8 => Rsa(key.PublicKey, data, signature, HashAlgorithmName.SHA256),
                10 => Rsa(key.PublicKey, data, signature, HashAlgorithmName.SHA512),
                13 => Ecdsa(key.PublicKey, data, signature, ECCurve.NamedCurves.nistP256, HashAlgorithmName.SHA256, 32),
                14 => Ecdsa(key.PublicKey, data, signature, ECCurve.NamedCurves.nistP384, HashAlgorithmName.SHA384, 48),
                15 => key.PublicKey.Length == 32 && signature.Length == 64
                    && Ed25519.Verify(signature, 0, key.PublicKey.ToArray(), 0, data, 0, data.Length),
                16 => key.PublicKey.Length == 57 && signature.Length == 114
                    && Ed448.Verify(signature, 0, key.PublicKey.ToArray(), 0, [], data, 0, data.Length),
                _ => false,
            };
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or InvalidOperationException)
        {
            return false; // a key that the platform refuses signs nothing
        }
    }

    private static bool Rsa(ReadOnlySpan<byte> key, byte[] data, byte[] signature, HashAlgorithmName hash)
    {
        // RFC 3110 2: one octet of exponent length, or zero and two.
        if (key.Length < 3)
            return false;
        var (start, length) = key[0] != 0 ? (1, (int)key[0]) : (3, (key[1] << 8) | key[2]);
        // A long exponent makes one verification cost as much as a signature; nobody publishes one in earnest.
        if (length is 0 or > 8 || key.Length < start + length + 128 || key.Length > start + length + 512)
            return false;
        using var rsa = RSA.Create(new RSAParameters { Exponent = key.Slice(start, length).ToArray(), Modulus = key[(start + length)..].ToArray() });
        return rsa.VerifyData(data, signature, hash, RSASignaturePadding.Pkcs1);
    }

    private static bool Ecdsa(ReadOnlySpan<byte> key, byte[] data, byte[] signature, ECCurve curve, HashAlgorithmName hash, int size)
    {
        if (key.Length != 2 * size || signature.Length != 2 * size)
            return false;
        using var ecdsa = ECDsa.Create(new ECParameters { Curve = curve, Q = new ECPoint { X = key[..size].ToArray(), Y = key[size..].ToArray() } });
        return ecdsa.VerifyData(data, signature, hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }
}
