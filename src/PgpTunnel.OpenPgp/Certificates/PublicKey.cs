using System.Numerics;
using System.Security.Cryptography;
using Sodium = NSec.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Public-key algorithm ids (RFC 9580 9.1) that gateways use.</summary>
internal static class KeyAlgorithm
{
    public const int Rsa = 1,
        Ecdh = 18,
        Ecdsa = 19,
        EdDsaLegacy = 22,
        X25519 = 25,
        Ed25519 = 27;
}

/// <summary>A version 4 public key or subkey packet (RFC 9580 5.5.2.2) and what can be done with it.</summary>
internal sealed class PublicKey
{
    private static readonly byte[] OidEd25519 = Convert.FromHexString("2B06010401DA470F01");
    private static readonly byte[] OidCurve25519 = Convert.FromHexString("2B060104019755010501");
    private static readonly byte[] OidP256 = Convert.FromHexString("2A8648CE3D030107");
    private static readonly byte[] OidP384 = Convert.FromHexString("2B81040022");

    /// <summary>The curve of an EC key.</summary>
    public enum Curve
    {
        None,
        Ed25519,
        X25519,
        P256,
        P384,
    }

    public required byte[] Body { get; init; }
    public required DateTimeOffset Created { get; init; }
    public required int Algorithm { get; init; }
    public required Curve KeyCurve { get; init; }

    /// <summary>RSA modulus, or the EC point without its prefix octet.</summary>
    public required byte[] Point { get; init; }
    public byte[] Exponent { get; private init; } = [];
    public int KdfHash { get; private init; }
    public int KdfCipher { get; private init; }

    /// <summary>The curve's OID as ECDH key derivation needs it, length octet first.</summary>
    public byte[] CurveOid { get; private init; } = [];
    public required byte[] Fingerprint { get; init; }
    public string FingerprintHex => Convert.ToHexStringLower(Fingerprint);
    public ulong KeyId => System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(Fingerprint.AsSpan(12));
    public int CoordinateSize => KeyCurve == Curve.P384 ? 48 : 32;
    public bool CanSign =>
        Algorithm is KeyAlgorithm.Rsa or KeyAlgorithm.Ecdsa or KeyAlgorithm.EdDsaLegacy or KeyAlgorithm.Ed25519;
    public bool CanEncrypt => Algorithm is KeyAlgorithm.Rsa or KeyAlgorithm.Ecdh or KeyAlgorithm.X25519;

    /// <summary>What signatures and fingerprints hash of this key (RFC 9580 5.2.4).</summary>
    public byte[] Hashed => [0x99, (byte)(Body.Length >> 8), (byte)Body.Length, .. Body];

    /// <exception cref="OpenPgpException">Another version, an algorithm or curve that is not accepted, or not a key.</exception>
    public static PublicKey Read(ReadOnlySpan<byte> body)
    {
        var reader = new PacketReader(body);
        var key = Read(ref reader, body);
        return reader.AtEnd ? key : throw new OpenPgpException("a key packet is longer than its key");
    }

    /// <summary>Reads the public part at the start of a packet; the reader is left behind it.</summary>
    internal static PublicKey Read(ref PacketReader reader, ReadOnlySpan<byte> packet)
    {
        var version = reader.U8();
        if (version != 4)
            throw new OpenPgpException($"a key of version {version}; version 4 is accepted");
        var created = DateTimeOffset.FromUnixTimeSeconds(reader.U32());
        int algorithm = reader.U8(),
            hash = 0,
            cipher = 0;
        var (curve, point, exponent, oid) = (Curve.None, Array.Empty<byte>(), Array.Empty<byte>(), Array.Empty<byte>());
        switch (algorithm)
        {
            case KeyAlgorithm.Rsa:
                point = reader.Mpi().ToArray();
                exponent = reader.Mpi().ToArray();
                break;
            case KeyAlgorithm.Ed25519 or KeyAlgorithm.X25519:
                curve = algorithm == KeyAlgorithm.Ed25519 ? Curve.Ed25519 : Curve.X25519;
                point = reader.Take(32).ToArray();
                break;
            case KeyAlgorithm.EdDsaLegacy or KeyAlgorithm.Ecdsa or KeyAlgorithm.Ecdh:
                var size = reader.U8();
                oid = [size, .. reader.Take(size)];
                curve = CurveOf(algorithm, oid.AsSpan(1));
                var encoded = reader.Mpi();
                if (encoded.IsEmpty)
                    throw new OpenPgpException("an elliptic-curve point is missing");
                point = encoded[1..].ToArray();
                var expected = curve switch
                {
                    Curve.P256 => (0x04, 64),
                    Curve.P384 => (0x04, 96),
                    _ => (0x40, 32),
                };
                if ((encoded[0], point.Length) != expected)
                    throw new OpenPgpException("an elliptic-curve point has the wrong form");
                if (algorithm == KeyAlgorithm.Ecdh)
                {
                    if (reader.U8() != 3 || reader.U8() != 1)
                        throw new OpenPgpException("the ECDH parameters of a key are unknown");
                    (hash, cipher) = (reader.U8(), reader.U8());
                    if (hash is not (8 or 9 or 10) || cipher is not (7 or 8 or 9))
                        throw new OpenPgpException(
                            "the ECDH parameters of a key name a hash or cipher that is not accepted"
                        );
                }
                break;
            default:
                throw new OpenPgpException($"a key of algorithm {algorithm}, which is not accepted");
        }
        var own = packet[..^reader.Remaining].ToArray();
        return new PublicKey
        {
            Body = own,
            Created = created,
            Algorithm = algorithm,
            KeyCurve = curve,
            Point = point,
            Exponent = exponent,
            CurveOid = oid,
            KdfHash = hash,
            KdfCipher = cipher,
            Fingerprint = SHA1.HashData([0x99, (byte)(own.Length >> 8), (byte)own.Length, .. own]),
        };
    }

    private static Curve CurveOf(int algorithm, ReadOnlySpan<byte> oid) =>
        algorithm == KeyAlgorithm.EdDsaLegacy && oid.SequenceEqual(OidEd25519) ? Curve.Ed25519
        : algorithm == KeyAlgorithm.Ecdh && oid.SequenceEqual(OidCurve25519) ? Curve.X25519
        : algorithm != KeyAlgorithm.EdDsaLegacy && oid.SequenceEqual(OidP256) ? Curve.P256
        : algorithm != KeyAlgorithm.EdDsaLegacy && oid.SequenceEqual(OidP384) ? Curve.P384
        : throw new OpenPgpException("a key on a curve that is not accepted");

    /// <summary>The OID octets of a curve, length first, as key packets carry them.</summary>
    public static byte[] Oid(Curve curve)
    {
        var oid = curve switch
        {
            Curve.Ed25519 => OidEd25519,
            Curve.X25519 => OidCurve25519,
            Curve.P256 => OidP256,
            _ => OidP384,
        };
        return [(byte)oid.Length, .. oid];
    }

    /// <summary>Why this key is too weak to be used, or null.</summary>
    public string? Weakness()
    {
        if (Algorithm != KeyAlgorithm.Rsa)
            return null;
        var (n, e) = (new BigInteger(Point, true, true), new BigInteger(Exponent, true, true));
        return n.GetBitLength() is < 3072 or > 8192 ? $"its RSA key of {n.GetBitLength()} bits is outside 3072 to 8192"
            : e < 65537 || e.IsEven || e.GetBitLength() > 64
                ? "its RSA exponent is even, smaller than 65537 or larger than 64 bits"
            : IsRoca(n) ? "its RSA key was made by the ROCA generator (CVE-2017-15361)"
            : null;
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

    /// <summary>Checks a signature over a finished digest. False for anything that is not a valid signature.</summary>
    public bool Verify(HashAlgorithmName hash, byte[] digest, ReadOnlySpan<byte> signatureFields)
    {
        try
        {
            var reader = new PacketReader(signatureFields);
            var signature = Algorithm switch
            {
                KeyAlgorithm.Rsa => reader.Mpi(Point.Length),
                KeyAlgorithm.Ed25519 => reader.Take(64).ToArray(),
                _ => [.. reader.Mpi(CoordinateSize), .. reader.Mpi(CoordinateSize)],
            };
            if (!reader.AtEnd)
                return false;
            switch (Algorithm)
            {
                case KeyAlgorithm.Rsa:
                    using (var rsa = ToRsa())
                        return rsa.VerifyHash(digest, signature, hash, RSASignaturePadding.Pkcs1);
                case KeyAlgorithm.Ecdsa when digest.Length < CoordinateSize: // RFC 9580 5.2.3.2
                    return false;
                case KeyAlgorithm.Ecdsa:
                    using (var ecdsa = ECDsa.Create(ToEc()))
                        return ecdsa.VerifyHash(digest, signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
                case KeyAlgorithm.EdDsaLegacy or KeyAlgorithm.Ed25519:
                    return Sodium.PublicKey.TryImport(
                            Sodium.SignatureAlgorithm.Ed25519,
                            Point,
                            Sodium.KeyBlobFormat.RawPublicKey,
                            out var point
                        )
                        && point is not null
                        && Sodium.SignatureAlgorithm.Ed25519.Verify(point, digest, signature);
                default:
                    return false;
            }
        }
        catch (Exception e)
            when (e is OpenPgpException or CryptographicException or ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    public RSA ToRsa() => RSA.Create(new RSAParameters { Modulus = Point, Exponent = Exponent });

    public ECParameters ToEc() =>
        new()
        {
            Curve = KeyCurve == Curve.P384 ? ECCurve.NamedCurves.nistP384 : ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = Point[..CoordinateSize], Y = Point[CoordinateSize..] },
        };
}
