using System.Numerics;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>RSA, id 1 (RFC 9580 5.5.5.1).</summary>
internal sealed class RsaPublic(byte[] modulus, byte[] exponent) : PublicPart
{
    public static PublicPart Read(ref PacketReader fields) =>
        new RsaPublic(fields.Mpi().ToArray(), fields.Mpi().ToArray());

    /// <summary>A new key of 3072 bits.</summary>
    public static NewKey Make()
    {
        var rsa = RSA.Create(3072);
        var p = rsa.ExportParameters(false);
        var fields = new PacketWriter().Mpi(p.Modulus).Mpi(p.Exponent).ToArray();
        return new(KeyAlgorithm.Rsa, fields, new RsaSecret(rsa, p.Modulus!.Length));
    }

    public override string Name => $"RSA-{modulus.Length * 8}";
    public override bool CanSign => true;
    public override bool CanEncrypt => true;

    public override string? Weakness
    {
        get
        {
            var (n, e) = (Number(modulus), Number(exponent));
            return n.GetBitLength() is < 3072 or > 8192
                    ? $"its RSA key of {n.GetBitLength()} bits is outside 3072 to 8192"
                : e < 65537 || e.IsEven || e.GetBitLength() > 64
                    ? "its RSA exponent is even, smaller than 65537 or larger than 64 bits"
                : IsRoca(n) ? "its RSA key was made by the ROCA generator (CVE-2017-15361)"
                : null;
        }
    }

    /// <summary>ROCA moduli are, modulo every small prime, powers of 65537 (Nemec et al., CCS 2017).</summary>
    private static bool IsRoca(BigInteger n)
    {
        for (var p = 3; p <= 167; p += 2)
        {
            if (Enumerable.Range(2, (int)Math.Sqrt(p) - 1).Any(d => p % d == 0))
                continue;
            var (residue, power, found) = ((int)(n % p), 1, false);
            do
            {
                found |= power == residue;
                power = power * (65537 % p) % p;
            } while (power != 1 && !found);
            if (!found)
                return false;
        }
        return true;
    }

    public override bool Verify(HashAlgorithmName hash, byte[] digest, ref PacketReader fields)
    {
        using var rsa = Open();
        return rsa.VerifyHash(digest, fields.Mpi(modulus.Length), hash, RSASignaturePadding.Pkcs1);
    }

    public override byte[] Wrap(SessionKey session, PublicKey whole)
    {
        var encoded = session.Encode();
        try
        {
            using var rsa = Open();
            return new PacketWriter().Mpi(rsa.Encrypt(encoded, RSAEncryptionPadding.Pkcs1)).ToArray();
        }
        finally
        {
            CryptographicOperations.ZeroMemory(encoded);
        }
    }

    private RSA Open() => RSA.Create(new RSAParameters { Modulus = modulus, Exponent = exponent });

    /// <summary>OpenPGP stores u = p^-1 mod q with p &lt; q; .NET has q^-1 mod p: the primes change places (RFC 9580 5.5.5.1).</summary>
    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var half = (modulus.Length + 1) / 2;
        var d = fields.Mpi(modulus.Length);
        var (q, p, inverseQ) = (fields.Mpi(half), fields.Mpi(half), fields.Mpi(half));
        try
        {
            // It checks the parts against each other.
            return new RsaSecret(RSA.Create(Complete(d, p, q, inverseQ)), modulus.Length);
        }
        catch (Exception e) when (e is CryptographicException or DivideByZeroException or ArgumentException)
        {
            throw Foreign();
        }
    }

    /// <summary>With the CRT exponents, which OpenPGP does not store.</summary>
    private RSAParameters Complete(byte[] d, byte[] p, byte[] q, byte[] inverseQ)
    {
        byte[] Mod(byte[] prime)
        {
            var value = (Number(d) % (Number(prime) - 1)).ToByteArray(isUnsigned: true, isBigEndian: true);
            return [.. new byte[prime.Length - value.Length], .. value];
        }
        return new RSAParameters
        {
            Modulus = modulus,
            Exponent = exponent,
            D = d,
            P = p,
            Q = q,
            DP = Mod(p),
            DQ = Mod(q),
            InverseQ = inverseQ,
        };
    }

    private static BigInteger Number(byte[] octets) => new(octets, isUnsigned: true, isBigEndian: true);
}

/// <param name="size">Octets of the modulus.</param>
internal sealed class RsaSecret(RSA rsa, int size) : SecretPart
{
    public override byte[] Sign(HashAlgorithmName hash, byte[] digest) =>
        new PacketWriter().Mpi(rsa.SignHash(digest, hash, RSASignaturePadding.Pkcs1)).ToArray();

    public override SessionKey? Unwrap(ref PacketReader fields, PublicKey whole)
    {
        var encoded = rsa.Decrypt(fields.Mpi(size), RSAEncryptionPadding.Pkcs1);
        try
        {
            return SessionKey.Decode(encoded);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(encoded);
        }
    }

    public override byte[] Write()
    {
        var p = rsa.ExportParameters(true);
        return new PacketWriter().Mpi(p.D).Mpi(p.Q).Mpi(p.P).Mpi(p.InverseQ).ToArray();
    }

    public override void Dispose() => rsa.Dispose();
}
