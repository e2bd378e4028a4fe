using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>RSA keys that sign well and are worth nothing.</summary>
internal static class WeakRsa
{
    public static SecretKey OfSize(int bits, DateTimeOffset made)
    {
        using var rsa = RSA.Create(bits);
        return Read(rsa.ExportParameters(true), made);
    }

    public static SecretKey WithExponent3(DateTimeOffset made) =>
        FromPrimes(
            3,
            made,
            () =>
                Prime(
                    () =>
                        new BigInteger(RandomNumberGenerator.GetBytes(192), true, true)
                        | (BigInteger.One << 1535 | BigInteger.One << 1534 | 1),
                    3
                )
        );

    /// <summary>
    /// As the flawed library did: every prime is k·M + (65537^a mod M), M the product of the first 126 primes (Nemec et al., CCS 2017).
    /// </summary>
    public static SecretKey Roca(DateTimeOffset made)
    {
        var m = Enumerable
            .Range(2, 700)
            .Where(n => Enumerable.Range(2, (int)Math.Sqrt(n) - 1).All(d => n % d != 0))
            .Aggregate(BigInteger.One, (product, prime) => product * prime);
        var residue = BigInteger.ModPow(65537, new BigInteger(RandomNumberGenerator.GetBytes(16), true), m);
        var top = ((BigInteger.One << 1535) | (BigInteger.One << 1534)) / m + 1;
        return FromPrimes(
            65537,
            made,
            () => Prime(() => (top + new BigInteger(RandomNumberGenerator.GetBytes(60), true)) * m + residue, 65537)
        );
    }

    private static BigInteger Prime(Func<BigInteger> candidate, int exponent)
    {
        while (true)
            if (
                candidate() is var p
                && p % exponent != 1
                && new Org.BouncyCastle.Math.BigInteger(p.ToString()).IsProbablePrime(40)
            )
                return p;
    }

    private static SecretKey FromPrimes(int exponent, DateTimeOffset made, Func<BigInteger> prime)
    {
        var (p, q) = (prime(), prime());
        var phi = (p - 1) * (q - 1);
        // The inverse of a small e: (1 + k·phi) / e for the one k below e that divides.
        var k = Enumerable.Range(1, exponent).First(k => (1 + k * (phi % exponent)) % exponent == 0);
        byte[] Fixed(BigInteger value, int size) =>
            [.. new byte[size - value.GetByteCount(true)], .. value.ToByteArray(true, true)];
        return Read(
            new RSAParameters
            {
                Modulus = Fixed(p * q, 384),
                Exponent = new BigInteger(exponent).ToByteArray(true, true),
                D = Fixed((1 + k * phi) / exponent, 384),
                P = Fixed(p, 192),
                Q = Fixed(q, 192),
                InverseQ = Fixed(BigInteger.ModPow(q, p - 2, p), 192),
            },
            made
        );
    }

    private static SecretKey Read(RSAParameters rsa, DateTimeOffset made)
    {
        var key = PublicKey.Read(
            new PacketWriter()
                .U8(4)
                .U32((uint)made.ToUnixTimeSeconds())
                .U8(KeyAlgorithm.Rsa)
                .Mpi(rsa.Modulus)
                .Mpi(rsa.Exponent)
                .ToArray()
        );
        return SecretKey.ReadSecret(
            key,
            new PacketWriter().Mpi(rsa.D).Mpi(rsa.Q).Mpi(rsa.P).Mpi(rsa.InverseQ).ToArray()
        );
    }
}
