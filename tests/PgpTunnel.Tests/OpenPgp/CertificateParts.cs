using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>The three keys of a gateway's certificate.</summary>
internal sealed record CertificateKeys(SecretKey Primary, SecretKey Signing, SecretKey Encryption)
{
    public static CertificateKeys Ed25519(DateTimeOffset made) =>
        new(
            SecretKey.Of(EdDsaLegacyPublic.Make(), made),
            SecretKey.Of(EdDsaLegacyPublic.Make(), made),
            SecretKey.Of(EcdhPublic.Make(Curve25519.Instance), made)
        );
}

/// <summary>A certificate before it is written; <c>with</c> makes one thing in it wrong.</summary>
internal sealed record CertificateParts(CertificateKeys Keys, DateTimeOffset Made)
{
    public string UserId { get; init; } = HostileCertificates.Gateway;
    public DateTimeOffset Signed { get; init; } = Made;
    public TimeSpan? Lifetime { get; init; }
    public int CertificationHash { get; init; } = 8;
    public Func<SubpacketWriter, SubpacketWriter> More { get; init; } = s => s;
    public byte? SigningFlags { get; init; } = 0x02;
    public SecretKey? BackSignedBy { get; init; } = Keys.Signing;
    public int BackHash { get; init; } = 8;
    public PublicKey Encryption { get; init; } = Keys.Encryption.Public;
    public byte? EncryptionFlags { get; init; } = 0x0C;
    public TimeSpan? EncryptionLifetime { get; init; }
    public int BindingHash { get; init; } = 8;

    private PublicKey Primary => Keys.Primary.Public;

    /// <summary>Primary key, User ID, certification, signing subkey, binding, encryption subkey, binding.</summary>
    public List<byte[]> Packets()
    {
        var id = Encoding.ASCII.GetBytes(UserId);
        return
        [
            Packet(Tag.PublicKey, Primary.Body),
            Packet(Tag.UserId, id),
            Sign(
                SignatureType.CertificationPositive,
                Keys.Primary,
                Signed,
                CertificationHash,
                s => More(Life(s.Add(27, [1]), Lifetime)),
                Primary.Hashed,
                HashedUserId
            ),
            Packet(Tag.PublicSubkey, Keys.Signing.Public.Body),
            Sign(
                SignatureType.SubkeyBinding,
                Keys.Primary,
                Made,
                8,
                s => BackSigned(Flags(s, SigningFlags)),
                Primary.Hashed,
                Keys.Signing.Public.Hashed
            ),
            Packet(Tag.PublicSubkey, Encryption.Body),
            Binds(Keys.Primary, Encryption, EncryptionFlags),
        ];
    }

    public byte[] Binds(SecretKey by, PublicKey subkey, byte? flags) =>
        Sign(
            SignatureType.SubkeyBinding,
            by,
            Made,
            BindingHash,
            s => Life(Flags(s, flags), EncryptionLifetime),
            Primary.Hashed,
            subkey.Hashed
        );

    public byte[] RevokesKey(
        SecretKey by,
        DateTimeOffset at,
        Func<SubpacketWriter, SubpacketWriter>? more = null,
        int hash = 8
    ) => Sign(SignatureType.KeyRevocation, by, at, hash, more ?? (s => s), Primary.Hashed);

    public byte[] RevokesSubkey(SecretKey by, PublicKey subkey, DateTimeOffset at) =>
        Sign(SignatureType.SubkeyRevocation, by, at, 8, s => s, Primary.Hashed, subkey.Hashed);

    public byte[] RevokesUserId(SecretKey by, DateTimeOffset at) =>
        Sign(SignatureType.CertificationRevocation, by, at, 8, s => s, Primary.Hashed, HashedUserId);

    private byte[] HashedUserId => [0xB4, 0, 0, 0, (byte)UserId.Length, .. Encoding.ASCII.GetBytes(UserId)];

    private SubpacketWriter BackSigned(SubpacketWriter binding) =>
        BackSignedBy is null
            ? binding
            : binding.Add(
                32,
                Sign(
                        SignatureType.PrimaryBinding,
                        BackSignedBy,
                        Made,
                        BackHash,
                        s => s,
                        Primary.Hashed,
                        Keys.Signing.Public.Hashed
                    )
                    .AsSpan(HeaderLength)
            );

    /// <summary>An embedded signature has no packet header; those of Ed25519 have one of two octets.</summary>
    private const int HeaderLength = 2;

    private static SubpacketWriter Flags(SubpacketWriter s, byte? flags) => flags is { } f ? s.Add(27, [f]) : s;

    private static SubpacketWriter Life(SubpacketWriter s, TimeSpan? life) =>
        life is { TotalSeconds: var seconds } ? s.Add(9, new PacketWriter().U32((uint)seconds).ToArray()) : s;

    private static byte[] Packet(int tag, byte[] body) => new PacketWriter().Packet(tag, body).ToArray();

    private static byte[] Sign(
        int type,
        SecretKey by,
        DateTimeOffset at,
        int hashId,
        Func<SubpacketWriter, SubpacketWriter> more,
        params byte[][] over
    )
    {
        using var hash = IncrementalHash.CreateHash(
            hashId switch
            {
                1 => HashAlgorithmName.MD5,
                2 => HashAlgorithmName.SHA1,
                _ => HashAlgorithmName.SHA256,
            }
        );
        foreach (var part in over)
            hash.AppendData(part);
        return SignatureMaker.Packet(type, by, hash, hashId, more(new SubpacketWriter().Created(at).Issuer(by.Public)));
    }
}
