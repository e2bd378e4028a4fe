using System.Security.Cryptography;
using Org.BouncyCastle.Math.EC.Rfc7748;
using Org.BouncyCastle.Math.EC.Rfc8032;
using Sodium = NSec.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A private key with its public packet: signs, or opens session keys. The secret leaves only through <see cref="WriteSecret"/>.
/// </summary>
internal sealed class SecretKey : IDisposable
{
    /// <summary>The 25519 secret, little-endian as RFC 7748 and 8032 use it, or a P-256/P-384 scalar, big-endian.</summary>
    private readonly byte[] _scalar = [];
    private readonly RSA? _rsa;

    /// <summary>The 25519 secret for libsodium, which signs in a quarter of the time, made when first used.</summary>
    private readonly Lazy<Sodium.Key>? _ed25519;

    private SecretKey(PublicKey key, byte[] scalar)
    {
        (Public, _scalar) = (key, scalar);
        if (key.KeyCurve == PublicKey.Curve.Ed25519)
            _ed25519 = new(() =>
                Sodium.Key.Import(Sodium.SignatureAlgorithm.Ed25519, _scalar, Sodium.KeyBlobFormat.RawPrivateKey)
            );
    }

    private SecretKey(PublicKey key, RSA rsa) => (Public, _rsa) = (key, rsa);

    public PublicKey Public { get; }

    /// <summary>Makes a key. RSA keys have 3072 bits.</summary>
    public static SecretKey Generate(int algorithm, PublicKey.Curve curve, DateTimeOffset created)
    {
        var body = new PacketWriter().U8(4).U32((uint)created.ToUnixTimeSeconds()).U8(algorithm);
        if (algorithm == KeyAlgorithm.Rsa)
        {
            var rsa = RSA.Create(3072);
            var p = rsa.ExportParameters(false);
            return new(PublicKey.Read(body.Mpi(p.Modulus).Mpi(p.Exponent).ToArray()), rsa);
        }
        var (scalar, point) = curve switch
        {
            PublicKey.Curve.Ed25519 => Make25519(
                scalar =>
                {
                    var q = new byte[32];
                    Ed25519.GeneratePublicKey(scalar, 0, q, 0);
                    return q;
                },
                false
            ),
            PublicKey.Curve.X25519 => Make25519(
                scalar =>
                {
                    var q = new byte[32];
                    X25519.ScalarMultBase(scalar, 0, q, 0);
                    return q;
                },
                true
            ),
            _ => MakeNist(curve),
        };
        body.Bytes(PublicKey.Oid(curve))
            .Mpi([(byte)(curve is PublicKey.Curve.P256 or PublicKey.Curve.P384 ? 0x04 : 0x40), .. point]);
        if (algorithm == KeyAlgorithm.Ecdh)
            body.U8(3).U8(1).U8(8).U8(9); // KDF SHA-256, wrapping AES-256
        return new SecretKey(PublicKey.Read(body.ToArray()), scalar);
    }

    private static (byte[] Scalar, byte[] Point) Make25519(Func<byte[], byte[]> publish, bool clamp)
    {
        var scalar = RandomNumberGenerator.GetBytes(32);
        if (clamp) // RFC 7748 5, and what OpenPGP stores
            (scalar[0], scalar[31]) = ((byte)(scalar[0] & 0xF8), (byte)((scalar[31] & 0x7F) | 0x40));
        return (scalar, publish(scalar));
    }

    private static (byte[] Scalar, byte[] Point) MakeNist(PublicKey.Curve curve)
    {
        using var key = ECDsa.Create(
            curve == PublicKey.Curve.P384 ? ECCurve.NamedCurves.nistP384 : ECCurve.NamedCurves.nistP256
        );
        var p = key.ExportParameters(true);
        return (p.D!, [.. p.Q.X!, .. p.Q.Y!]);
    }

    /// <summary>The signature fields over a finished digest.</summary>
    public byte[] Sign(HashAlgorithmName hash, byte[] digest)
    {
        switch (Public.Algorithm)
        {
            case KeyAlgorithm.Rsa:
                return new PacketWriter().Mpi(_rsa!.SignHash(digest, hash, RSASignaturePadding.Pkcs1)).ToArray();
            case KeyAlgorithm.Ecdsa:
                using (var ecdsa = ECDsa.Create(PrivateEc()))
                {
                    var rs = ecdsa.SignHash(digest, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
                    return new PacketWriter()
                        .Mpi(rs.AsSpan(0, Public.CoordinateSize))
                        .Mpi(rs.AsSpan(Public.CoordinateSize))
                        .ToArray();
                }
            case KeyAlgorithm.EdDsaLegacy or KeyAlgorithm.Ed25519:
                var signature = Sodium.SignatureAlgorithm.Ed25519.Sign(_ed25519!.Value, digest);
                return Public.Algorithm == KeyAlgorithm.Ed25519
                    ? signature
                    : new PacketWriter().Mpi(signature.AsSpan(0, 32)).Mpi(signature.AsSpan(32)).ToArray();
            default:
                throw new InvalidOperationException("this key does not sign");
        }
    }

    /// <summary>The shared secret with a peer's ephemeral point (curve form without prefix octet).</summary>
    public byte[] Agree(byte[] point)
    {
        if (Public.KeyCurve == PublicKey.Curve.X25519)
        {
            var shared = new byte[32];
            return X25519.CalculateAgreement(_scalar, 0, point, 0, shared, 0)
                ? shared
                : throw new CryptographicException("a point of low order");
        }
        using var own = ECDiffieHellman.Create(PrivateEc());
        using var peer = ECDiffieHellman.Create(
            new ECParameters
            {
                Curve = PrivateEc().Curve,
                Q = new ECPoint { X = point[..Public.CoordinateSize], Y = point[Public.CoordinateSize..] },
            }
        );
        return own.DeriveRawSecretAgreement(peer.PublicKey);
    }

    /// <summary>PKCS#1 v1.5 decryption; throws <see cref="CryptographicException"/> on bad padding.</summary>
    public byte[] RsaDecrypt(byte[] value) => _rsa!.Decrypt(value, RSAEncryptionPadding.Pkcs1);

    private ECParameters PrivateEc() => Public.ToEc() with { D = _scalar };

    /// <summary>The algorithm-specific secret fields (RFC 9580 5.5.5).</summary>
    public byte[] WriteSecret()
    {
        var writer = new PacketWriter();
        if (_rsa is not null)
        {
            var p = _rsa.ExportParameters(true);
            // OpenPGP stores u = p^-1 mod q with p < q; .NET has q^-1 mod p: the primes change places (RFC 9580 5.5.5.1).
            return writer.Mpi(p.D).Mpi(p.Q).Mpi(p.P).Mpi(p.InverseQ).ToArray();
        }
        return Public.Algorithm is KeyAlgorithm.Ed25519 or KeyAlgorithm.X25519 ? [.. _scalar]
            : Public.KeyCurve == PublicKey.Curve.X25519 ? writer.Mpi(Reversed(_scalar)).ToArray() // stored big-endian
            : writer.Mpi(_scalar).ToArray();
    }

    /// <summary>Reads what <see cref="WriteSecret"/> wrote and checks that it belongs to the public key.</summary>
    public static SecretKey ReadSecret(PublicKey key, ReadOnlySpan<byte> fields)
    {
        var reader = new PacketReader(fields);
        SecretKey secret;
        if (key.Algorithm == KeyAlgorithm.Rsa)
        {
            var half = (key.Point.Length + 1) / 2;
            var (d, q, p, inverseQ) = (
                reader.Mpi(key.Point.Length),
                reader.Mpi(half),
                reader.Mpi(half),
                reader.Mpi(half)
            );
            try
            {
                secret = new(key, RSA.Create(Rsa.Complete(key, d, p, q, inverseQ)));
            }
            catch (Exception e) when (e is CryptographicException or DivideByZeroException or ArgumentException)
            {
                throw new OpenPgpException("the secret RSA key does not belong to its public key");
            }
        }
        else
        {
            var scalar = key.Algorithm is KeyAlgorithm.Ed25519 or KeyAlgorithm.X25519
                ? reader.Take(32).ToArray()
                : reader.Mpi(key.CoordinateSize);
            secret = new SecretKey(
                key,
                key.Algorithm == KeyAlgorithm.Ecdh && key.KeyCurve == PublicKey.Curve.X25519 ? Reversed(scalar) : scalar
            );
        }
        if (!reader.AtEnd || !secret.Fits())
            throw new OpenPgpException("the secret key does not belong to its public key");
        return secret;
    }

    private bool Fits()
    {
        var point = new byte[32];
        switch (Public.KeyCurve)
        {
            case PublicKey.Curve.Ed25519:
                Ed25519.GeneratePublicKey(_scalar, 0, point, 0);
                return point.AsSpan().SequenceEqual(Public.Point);
            case PublicKey.Curve.X25519:
                X25519.ScalarMultBase(_scalar, 0, point, 0);
                return point.AsSpan().SequenceEqual(Public.Point);
            case PublicKey.Curve.None:
                return true; // RSA.Create has checked the parts against each other
            default:
                using (var key = ECDsa.Create(PrivateEc() with { Q = default }))
                    return Public
                        .Point.AsSpan()
                        .SequenceEqual([.. key.ExportParameters(false).Q.X!, .. key.ExportParameters(false).Q.Y!]);
        }
    }

    private static byte[] Reversed(byte[] value)
    {
        var copy = (byte[])value.Clone();
        Array.Reverse(copy);
        return copy;
    }

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_scalar);
        _rsa?.Dispose();
        if (_ed25519 is { IsValueCreated: true })
            _ed25519.Value.Dispose();
    }

    private static class Rsa
    {
        /// <summary>The CRT exponents, which OpenPGP does not store.</summary>
        public static RSAParameters Complete(PublicKey key, byte[] d, byte[] p, byte[] q, byte[] inverseQ)
        {
            var big = (byte[] v) => new System.Numerics.BigInteger(v, true, true);
            byte[] Mod(byte[] prime)
            {
                var value = (big(d) % (big(prime) - 1)).ToByteArray(true, true);
                return [.. new byte[prime.Length - value.Length], .. value];
            }
            return new RSAParameters
            {
                Modulus = key.Point,
                Exponent = key.Exponent,
                D = d,
                P = p,
                Q = q,
                DP = Mod(p),
                DQ = Mod(q),
                InverseQ = inverseQ,
            };
        }
    }
}
