using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>X25519, id 25 (RFC 9580 5.5.5.7 and 5.1.6).</summary>
internal sealed class X25519Public(byte[] point) : PublicPart
{
    public static PublicPart Read(ref PacketReader fields) => new X25519Public(fields.Take(32).ToArray());

    public override string Name => "X25519";
    public override bool CanEncrypt => true;

    public override byte[] Wrap(SessionKey session, PublicKey whole)
    {
        var (scalar, ephemeral) = Curve25519.Instance.Make();
        try
        {
            var kek = Kek(ephemeral, Curve25519.Instance.Agree(scalar, point));
            var wrapped = KeyWrap.Wrap(kek, session.Key);
            return [.. ephemeral, (byte)(wrapped.Length + 1), (byte)session.Cipher, .. wrapped];
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
        }
    }

    /// <summary>HKDF-SHA256 over both public points and the shared secret (RFC 9580 5.1.6).</summary>
    /// <param name="shared">Wiped.</param>
    public byte[] Kek(byte[] ephemeral, byte[] shared)
    {
        byte[] input = [.. ephemeral, .. point, .. shared];
        var kek = HKDF.DeriveKey(HashAlgorithmName.SHA256, input, 16, info: "OpenPGP X25519"u8.ToArray());
        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(shared);
        return kek;
    }

    public override SecretPart ReadSecret(ref PacketReader fields)
    {
        var scalar = fields.Take(32).ToArray();
        return Curve25519.Instance.PointOf(scalar).AsSpan().SequenceEqual(point)
            ? new X25519Secret(this, scalar)
            : throw Foreign();
    }
}

internal sealed class X25519Secret(X25519Public open, byte[] scalar) : SecretPart
{
    public override SessionKey? Unwrap(ref PacketReader fields, PublicKey whole)
    {
        var ephemeral = fields.Take(32).ToArray();
        var wrapped = fields.Take(fields.U8());
        var cipher = wrapped[0];
        var kek = open.Kek(ephemeral, Curve25519.Instance.Agree(scalar, ephemeral));
        var key = KeyWrap.Unwrap(kek, wrapped[1..].ToArray());
        return key.Length == SessionKey.KeySize(cipher) ? new SessionKey(cipher, key) : null;
    }

    public override byte[] Write() => [.. scalar];

    public override void Dispose() => CryptographicOperations.ZeroMemory(scalar);
}
