using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Parameters;

namespace PgpTunnel.OpenPgp;

/// <summary>An AES key for one message: cipher id 7, 8 or 9 (RFC 9580 9.3) and 16, 24 or 32 octets.</summary>
internal sealed record SessionKey(int Cipher, byte[] Key)
{
    public static int KeySize(int cipher) =>
        cipher switch
        {
            7 => 16,
            8 => 24,
            9 => 32,
            _ => 0,
        };

    public static SessionKey Random(int cipher) => new(cipher, RandomNumberGenerator.GetBytes(KeySize(cipher)));

    /// <summary>Cipher id, key, and the sum of the key's octets (RFC 9580 5.1.3).</summary>
    public byte[] Encode()
    {
        var sum = 0;
        foreach (var octet in Key)
            sum += octet;
        return [(byte)Cipher, .. Key, (byte)(sum >> 8), (byte)sum];
    }

    /// <summary>Overwrites the key: nothing may use it afterwards.</summary>
    public void Wipe() => CryptographicOperations.ZeroMemory(Key);

    public static SessionKey? Decode(ReadOnlySpan<byte> encoded)
    {
        if (encoded.Length < 3 || KeySize(encoded[0]) != encoded.Length - 3)
            return null;
        var key = new SessionKey(encoded[0], encoded[1..^2].ToArray());
        return CryptographicOperations.FixedTimeEquals(key.Encode(), encoded) ? key : null;
    }

    /// <summary>A version 3 PKESK packet (RFC 9580 5.1) that only <paramref name="recipient"/> opens.</summary>
    public byte[] Wrap(PublicKey recipient)
    {
        var body = new PacketWriter().U8(3).Bytes(recipient.Fingerprint.AsSpan(12)).U8(recipient.Algorithm);
        switch (recipient.Algorithm)
        {
            case KeyAlgorithm.Rsa:
                using (var rsa = recipient.ToRsa())
                    body.Mpi(rsa.Encrypt(Encode(), RSAEncryptionPadding.Pkcs1));
                break;
            case KeyAlgorithm.X25519:
                var (point, shared) = Ephemeral(recipient);
                var wrapped = Rfc3394(true, X25519Kek(point, recipient, shared), Key);
                body.Bytes(point).U8(wrapped.Length + 1).U8(Cipher).Bytes(wrapped);
                break;
            default:
                var (ephemeral, secret) = Ephemeral(recipient);
                var padded = new byte[40]; // RFC 9580 11.5: PKCS #5 padding, always to the size of the largest key
                var encoded = Encode();
                Array.Fill(padded, (byte)(40 - encoded.Length));
                encoded.CopyTo(padded, 0);
                var kept = Rfc3394(true, EcdhKek(recipient, secret), padded);
                body.Mpi([PointPrefix(recipient), .. ephemeral]).U8(kept.Length).Bytes(kept);
                break;
        }
        return new PacketWriter().Packet(Tag.Pkesk, body.ToArray()).ToArray();
    }

    /// <summary>
    /// False for a key that looks right and cannot be used: a point off its curve or of low order, a modulus the platform refuses.
    /// </summary>
    public static bool CanWrap(PublicKey recipient)
    {
        try
        {
            return Random(9).Wrap(recipient).Length > 0;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>
    /// The session key of a PKESK body addressed to <paramref name="own"/>; null when anything about it is wrong. The caller goes on
    /// with a random key then, so that no one learns which step failed (RFC 9580 13.5).
    /// </summary>
    public static SessionKey? Unwrap(ReadOnlySpan<byte> body, SecretKey own)
    {
        try
        {
            var reader = new PacketReader(body);
            reader.Take(1 + 8 + 1); // version, key id, algorithm: matched by the caller
            var key = own.Public;
            if (key.Algorithm == KeyAlgorithm.Rsa)
                return Decode(own.RsaDecrypt(reader.Mpi(key.Point.Length)));
            if (key.Algorithm == KeyAlgorithm.X25519)
            {
                var point = reader.Take(32).ToArray();
                var field = reader.Take(reader.U8());
                var cipher = field[0];
                var unwrapped = Rfc3394(false, X25519Kek(point, key, own.Agree(point)), field[1..].ToArray());
                return unwrapped.Length == KeySize(cipher) ? new SessionKey(cipher, unwrapped) : null;
            }
            var ephemeral = reader.Mpi();
            if (ephemeral.Length != key.Point.Length + 1 || ephemeral[0] != PointPrefix(key))
                return null;
            var padded = Rfc3394(
                false,
                EcdhKek(key, own.Agree(ephemeral[1..].ToArray())),
                reader.Take(reader.U8()).ToArray()
            );
            int pad = padded[^1];
            return
                pad is > 0 && pad < padded.Length && padded.AsSpan(padded.Length - pad).IndexOfAnyExcept((byte)pad) < 0
                ? Decode(padded.AsSpan(0, padded.Length - pad))
                : null;
        }
        catch (Exception e)
            when (e
                    is OpenPgpException
                        or CryptographicException
                        or ArgumentException
                        or Org.BouncyCastle.Crypto.CryptoException
                        or InvalidOperationException
                        or IndexOutOfRangeException
            )
        {
            return null;
        }
    }

    /// <summary>RFC 9580 11.2: native form of a Montgomery curve, or uncompressed.</summary>
    private static byte PointPrefix(PublicKey key) => key.KeyCurve == PublicKey.Curve.X25519 ? (byte)0x40 : (byte)0x04;

    private static (byte[] Point, byte[] Shared) Ephemeral(PublicKey recipient)
    {
        using var ephemeral = SecretKey.Generate(KeyAlgorithm.Ecdh, recipient.KeyCurve, DateTimeOffset.UnixEpoch);
        return (ephemeral.Public.Point, ephemeral.Agree(recipient.Point));
    }

    /// <summary>RFC 9580 11.4: one round of the concatenation KDF over the key's own parameters.</summary>
    private static byte[] EcdhKek(PublicKey recipient, byte[] shared)
    {
        byte[] input =
        [
            0,
            0,
            0,
            1,
            .. shared,
            .. recipient.CurveOid,
            (byte)KeyAlgorithm.Ecdh,
            3,
            1,
            (byte)recipient.KdfHash,
            (byte)recipient.KdfCipher,
            .. "Anonymous Sender    "u8,
            .. recipient.Fingerprint,
        ];
        var digest = recipient.KdfHash switch
        {
            8 => SHA256.HashData(input),
            9 => SHA384.HashData(input),
            _ => SHA512.HashData(input),
        };
        var kek = digest[..KeySize(recipient.KdfCipher)];
        CryptographicOperations.ZeroMemory(digest);
        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(shared);
        return kek;
    }

    /// <summary>RFC 9580 5.1.6: HKDF-SHA256 over both public points and the shared secret.</summary>
    private static byte[] X25519Kek(byte[] ephemeral, PublicKey recipient, byte[] shared)
    {
        byte[] input = [.. ephemeral, .. recipient.Point, .. shared];
        var kek = HKDF.DeriveKey(HashAlgorithmName.SHA256, input, 16, info: "OpenPGP X25519"u8.ToArray());
        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(shared);
        return kek;
    }

    /// <param name="kek">Wiped: it is for this once.</param>
    private static byte[] Rfc3394(bool wrap, byte[] kek, byte[] value)
    {
        var engine = new AesWrapEngine();
        engine.Init(wrap, new KeyParameter(kek));
        CryptographicOperations.ZeroMemory(kek);
        return wrap ? engine.Wrap(value, 0, value.Length) : engine.Unwrap(value, 0, value.Length);
    }
}
