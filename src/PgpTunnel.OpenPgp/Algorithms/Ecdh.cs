using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>ECDH, id 18 (RFC 9580 5.5.5.6 and 11.4), on Curve25519 and the NIST curves.</summary>
/// <param name="kdfHash">Hash id of the key derivation.</param>
/// <param name="kdfCipher">Cipher id that wraps the session key.</param>
internal sealed class EcdhPublic(AgreementCurve curve, byte[] point, int kdfHash, int kdfCipher) : PublicPart
{
    private static readonly AgreementCurve[] Curves = [Curve25519.Instance, .. NistCurve.All];

    public static PublicPart Read(ref PacketReader fields)
    {
        var (curve, point) = Curve.ReadKey(ref fields, Curves);
        if (fields.U8() != 3 || fields.U8() != 1)
            throw new OpenPgpException("the ECDH parameters of a key are unknown");
        var (hash, cipher) = (fields.U8(), fields.U8());
        return Signature.HashName(hash) is not null && SessionKey.KeySize(cipher) > 0
            ? new EcdhPublic(curve, point, hash, cipher)
            : throw new OpenPgpException("the ECDH parameters of a key name a hash or cipher that is not accepted");
    }

    public static NewKey Make(AgreementCurve curve)
    {
        var (scalar, point) = curve.Make();
        var fields = curve.WriteKey(point).U8(3).U8(1).U8(8).U8(9); // KDF SHA-256, wrapping AES-256
        var secret = new EcdhSecret(curve, new EcdhPublic(curve, point, 8, 9), scalar);
        return new(KeyAlgorithm.Ecdh, fields.ToArray(), secret);
    }

    public override string Name => curve.Name;
    public override bool CanEncrypt => true;

    public override byte[] Wrap(SessionKey session, PublicKey whole)
    {
        var (scalar, ephemeral) = curve.Make();
        var encoded = session.Encode();
        var padded = new byte[40]; // RFC 9580 11.5: PKCS #5 padding, always to the size of the largest key
        Array.Fill(padded, (byte)(40 - encoded.Length));
        encoded.CopyTo(padded, 0);
        try
        {
            var wrapped = KeyWrap.Wrap(Kek(whole, curve.Agree(scalar, point)), padded);
            return [.. curve.WritePoint(ephemeral), (byte)wrapped.Length, .. wrapped];
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
            CryptographicOperations.ZeroMemory(encoded);
            CryptographicOperations.ZeroMemory(padded);
        }
    }

    /// <summary>One round of the concatenation KDF over the key's own parameters (RFC 9580 11.4).</summary>
    /// <param name="shared">Wiped.</param>
    public byte[] Kek(PublicKey whole, byte[] shared)
    {
        byte[] input =
        [
            0,
            0,
            0,
            1,
            .. shared,
            .. curve.Oid,
            (byte)KeyAlgorithm.Ecdh,
            3,
            1,
            (byte)kdfHash,
            (byte)kdfCipher,
            .. "Anonymous Sender    "u8,
            .. whole.Fingerprint,
        ];
        var digest = CryptographicOperations.HashData(Signature.HashName(kdfHash)!.Value, input);
        var kek = digest[..SessionKey.KeySize(kdfCipher)];
        CryptographicOperations.ZeroMemory(digest);
        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(shared);
        return kek;
    }

    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var scalar = EcdhSecret.Stored(curve, fields.Mpi(curve.ScalarSize));
        return curve.PointOf(scalar).AsSpan().SequenceEqual(point)
            ? new EcdhSecret(curve, this, scalar)
            : throw Foreign();
    }
}

internal sealed class EcdhSecret(AgreementCurve curve, EcdhPublic open, byte[] scalar) : SecretPart
{
    public override SessionKey? Unwrap(ref PacketReader fields, PublicKey whole)
    {
        var ephemeral = curve.ReadPoint(ref fields);
        var wrapped = fields.Take(fields.U8()).ToArray();
        var padded = KeyWrap.Unwrap(open.Kek(whole, curve.Agree(scalar, ephemeral)), wrapped);
        int pad = padded[^1];
        var session =
            pad is > 0 && pad < padded.Length && padded.AsSpan(padded.Length - pad).IndexOfAnyExcept((byte)pad) < 0
                ? SessionKey.Decode(padded.AsSpan(0, padded.Length - pad))
                : null;
        CryptographicOperations.ZeroMemory(padded);
        return session;
    }

    public override byte[] Write() => new PacketWriter().Mpi(Stored(curve, scalar)).ToArray();

    /// <summary>Integers are big-endian, and so the secret of Curve25519 is turned round (RFC 9580 5.5.5.6.1.1).</summary>
    public static byte[] Stored(AgreementCurve curve, byte[] scalar) =>
        curve == Curve25519.Instance ? [.. scalar.Reverse()] : scalar;

    public override void Dispose() => CryptographicOperations.ZeroMemory(scalar);
}
