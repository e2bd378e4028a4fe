using System.Security.Cryptography;

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

    /// <summary>Cipher id, key, and the sum of the key's octets (RFC 9580 5.1.3); to be wiped by who asks for it.</summary>
    public byte[] Encode()
    {
        var sum = 0;
        foreach (var octet in Key)
            sum += octet;
        return [(byte)Cipher, .. Key, (byte)(sum >> 8), (byte)sum];
    }

    /// <summary>Overwrites the key: nothing may use it afterwards.</summary>
    public void Wipe() => CryptographicOperations.ZeroMemory(Key);

    /// <summary>What <see cref="Encode"/> made; null when it is not that.</summary>
    public static SessionKey? Decode(ReadOnlySpan<byte> encoded)
    {
        if (encoded.Length < 3 || KeySize(encoded[0]) != encoded.Length - 3)
            return null;
        var sum = 0;
        foreach (var octet in encoded[1..^2])
            sum += octet;
        // Both octets are looked at, whatever the first says (RFC 9580 13.5).
        return ((byte)(sum >> 8) == encoded[^2]) & ((byte)sum == encoded[^1])
            ? new SessionKey(encoded[0], encoded[1..^2].ToArray())
            : null;
    }

    /// <summary>A version 3 PKESK packet (RFC 9580 5.1) that only <paramref name="recipient"/> opens.</summary>
    public byte[] Wrap(PublicKey recipient)
    {
        var body = new PacketWriter()
            .U8(3)
            .Bytes(recipient.Fingerprint.AsSpan(12))
            .U8(recipient.Algorithm)
            .Bytes(recipient.Part.Wrap(this, recipient));
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
            return own.Unwrap(ref reader);
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
}
