using PgpTunnel.OpenPgp;

namespace PgpTunnel.Tests;

/// <summary>Certificates judged: each refusal with its reason. Hostile ones are cut and glued from the packets of good ones.</summary>
public class CertificateTests
{
    private const string Gateway = "pgptunnel@pgptunnel.b.example";
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_790_000_000);
    private static readonly GatewayKey Key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, Now.AddDays(-1));
    private static readonly GatewayKey Stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, Gateway, Now.AddDays(-1));

    // primary, user id, certification, signing subkey, binding, encryption subkey, binding
    private static List<byte[]> Packets(GatewayKey key)
    {
        var (octets, packets) = (key.ExportCertificate(), new List<byte[]>());
        for (var at = 0; at < octets.Length;)
        {
            int first = octets[at + 1], header = first < 192 ? 2 : 3, length = first < 192 ? first : ((first - 192) << 8) + octets[at + 2] + 192;
            packets.Add(octets[at..(at + header + length)]);
            at += header + length;
        }
        Assert.Equal(7, packets.Count);
        return packets;
    }

    private static Judgement Judge(IEnumerable<byte[]> packets, string gateway = Gateway, DateTimeOffset? now = null) =>
        Certificate.Read([.. packets.SelectMany(p => p)]).Judge(gateway, now ?? Now);

    private static void Refused(string why, IEnumerable<byte[]> packets, string gateway = Gateway, DateTimeOffset? now = null)
    {
        var judgement = Judge(packets, gateway, now);
        Assert.Null(judgement.Key);
        Assert.Contains(why, judgement.Refusal);
    }

    [Fact]
    public void Our_own_export_is_usable_and_holds_no_spool_subkey()
    {
        Assert.NotNull(Judge(Packets(Key)).Key);
        Assert.Equal(Key.Fingerprint, Certificate.Read(Key.ExportCertificate()).Fingerprint);
    }

    [Theory]
    [InlineData("pgptunnel@pgptunnel.B.example", true)]
    [InlineData("PGPTUNNEL@pgptunnel.b.example", false)]
    [InlineData("pgptunnel@pgptunnel.c.example", false)]
    [InlineData("gptunnel@pgptunnel.b.example", false)]
    public void The_user_id_must_be_the_gateway(string gateway, bool usable) => Assert.Equal(usable, Judge(Packets(Key), gateway).Key is not null);

    [Theory]
    [InlineData("Gateway of B <pgptunnel@pgptunnel.b.example>", true)]
    [InlineData("<pgptunnel@pgptunnel.b.example>", true)]
    [InlineData("pgptunnel@pgptunnel.b.example <other@c.example>", false)]
    [InlineData("<other@c.example> <pgptunnel@pgptunnel.b.example>", false)]
    [InlineData("Gateway <pgptunnel@pgptunnel.b.example> (main)", false)]
    public void User_ids_with_names_end_in_exactly_one_address(string userId, bool usable) =>
        Assert.Equal(usable, Certificate.Read(GatewayKey.Generate(GatewayAlgorithm.Ed25519, userId, Now.AddDays(-1)).ExportCertificate()).Judge(Gateway, Now).Key is not null);

    [Fact]
    public void Missing_or_foreign_parts()
    {
        var (own, foreign) = (Packets(Key), Packets(Stranger));
        Refused("User ID", [own[0], own[1], own[3], own[4], own[5], own[6]]);                             // no self-certification
        Refused("User ID", [own[0], own[1], foreign[2], own[3], own[4], own[5], own[6]]);                 // certified by a stranger
        Refused("encryption subkey", [.. own[..5]]);
        Refused("encryption subkey", [.. own[..5], own[5]]);                                              // unbound
        Refused("encryption subkey", [.. own[..5], foreign[5], foreign[6]]);                              // a foreign subkey glued on
        Refused("encryption subkey", [.. own[..5], foreign[5], own[6]]);
        Refused("signing key", [.. own[..3], own[5], own[6]]);
        Refused("signing key", [.. own[..3], foreign[3], foreign[4], own[5], own[6]]);
        Assert.NotNull(Judge([.. own, foreign[5], foreign[6]]).Key);                                       // passed over beside our own
        Assert.Throws<OpenPgpException>(() => Judge([.. own, .. foreign]));                               // two certificates
        Assert.Throws<OpenPgpException>(() => Judge([own[1]]));
        Assert.Throws<OpenPgpException>(() => Certificate.Read([]));
    }

    [Fact]
    public void A_signing_subkey_without_back_signature_does_not_count()
    {
        var primary = SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, Now.AddDays(-1));
        var (sub, enc) = (SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, Now.AddDays(-1)), SecretKey.Generate(KeyAlgorithm.Ecdh, PublicKey.Curve.X25519, Now.AddDays(-1)));
        Refused("signing key", Make(primary, sub, enc, backSignature: false));
        Assert.NotNull(Judge(Make(primary, sub, enc, backSignature: true)).Key);
    }

    [Fact]
    public void Expired_certificates_and_weak_signatures()
    {
        var primary = SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, Now.AddDays(-10));
        var (sub, enc) = (SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, Now.AddDays(-10)), SecretKey.Generate(KeyAlgorithm.Ecdh, PublicKey.Curve.X25519, Now.AddDays(-10)));
        Refused("expired", Make(primary, sub, enc, lifetime: TimeSpan.FromDays(9)));
        Assert.NotNull(Judge(Make(primary, sub, enc, lifetime: TimeSpan.FromDays(11))).Key);
        Refused("User ID", Make(primary, sub, enc, hash: 2)); // SHA-1 self-signature counts as absent
    }

    [Fact]
    public void Only_self_revocations_revoke()
    {
        var revocation = Armor.Decode(Armor.PublicKeyBlock, Key.RevocationCertificate(Now));
        var foreign = Armor.Decode(Armor.PublicKeyBlock, Stranger.RevocationCertificate(Now));
        var own = Packets(Key);
        Refused("revoked", [own[0], revocation, .. own[1..]]);
        Assert.NotNull(Judge([own[0], foreign, .. own[1..]]).Key);
        // wherever it stands, and behind packets that mean nothing
        byte[] marker = [0xCA, 3, 0x50, 0x47, 0x50];
        Refused("revoked", [.. own, revocation]);
        Refused("revoked", [own[0], marker, revocation, .. own[1..]]);
        Assert.Null(Judge([.. own, revocation]).Signer);
    }

    [Fact]
    public void Revocations_by_sha1_or_with_unknown_critical_subpackets_still_revoke()
    {
        var (primary, signing, encryption) = Keys(Now.AddDays(-1));
        var good = Make(primary, signing, encryption);
        using var sha1 = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA1);
        sha1.AppendData(primary.Public.Hashed);
        Refused("revoked", [good[0], SignatureMaker.Packet(SignatureType.KeyRevocation, primary, sha1, 2, new SubpacketWriter().Created(Now).Issuer(primary.Public)), .. good[1..]]);
        var critical = SignatureMaker.OverKeys(SignatureType.KeyRevocation, primary, new SubpacketWriter().Created(Now).Issuer(primary.Public).Add(99, [1], critical: true), primary.Public.Hashed);
        Refused("revoked", [good[0], new PacketWriter().Packet(Tag.Signature, critical).ToArray(), .. good[1..]]);
    }

    [Fact]
    public void Bindings_without_key_flags_grant_nothing()
    {
        var (primary, signing, encryption) = Keys(Now.AddDays(-1));
        Refused("signing key", Make(primary, signing, encryption, signFlags: null));
        Refused("encryption subkey", Make(primary, signing, encryption, encryptFlags: null));
    }

    [Fact]
    public void Points_that_cannot_be_used_make_no_key()
    {
        var (primary, signing, encryption) = Keys(Now.AddDays(-1));
        var zero = new PacketWriter().U8(4).U32((uint)Now.AddDays(-1).ToUnixTimeSeconds()).U8(KeyAlgorithm.Ecdh).Bytes(PublicKey.Oid(PublicKey.Curve.X25519)).Mpi([0x40, .. new byte[32]]).U8(3).U8(1).U8(8).U8(9).ToArray();
        Refused("encryption subkey", Make(primary, signing, encryption, encryptionKey: PublicKey.Read(zero)));
        var off = new PacketWriter().U8(4).U32((uint)Now.AddDays(-1).ToUnixTimeSeconds()).U8(KeyAlgorithm.Ecdh).Bytes(PublicKey.Oid(PublicKey.Curve.P256)).Mpi([0x04, .. Enumerable.Repeat((byte)7, 64)]).U8(3).U8(1).U8(8).U8(9).ToArray();
        Refused("encryption subkey", Make(primary, signing, encryption, encryptionKey: PublicKey.Read(off)));
    }

    [Fact]
    public void Keys_from_the_future_are_none()
    {
        var (primary, signing, encryption) = Keys(Now.AddDays(2));
        Refused("future", Make(primary, signing, encryption));
        var (now, sign, _) = Keys(Now.AddDays(-1));
        Refused("encryption subkey", Make(now, sign, encryption));
    }

    [Fact]
    public void An_expired_certificate_still_verifies_what_it_signed_before()
    {
        var (primary, signing, encryption) = Keys(Now.AddDays(-10));
        var expired = Judge(Make(primary, signing, encryption, lifetime: TimeSpan.FromDays(9)));
        Assert.Null(expired.Key);
        Assert.NotNull(expired.Signer);
        Assert.Equal(Now.AddDays(-1), Assert.Single(expired.Signer.Signing).Until);
    }

    private static (SecretKey Primary, SecretKey Signing, SecretKey Encryption) Keys(DateTimeOffset created) => (SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, created),
        SecretKey.Generate(KeyAlgorithm.EdDsaLegacy, PublicKey.Curve.Ed25519, created), SecretKey.Generate(KeyAlgorithm.Ecdh, PublicKey.Curve.X25519, created));

    [Theory]
    [InlineData(2048, "65537", "outside 3072")]
    [InlineData(3072, "3", "exponent")]
    [InlineData(3072, "65538", "exponent")]
    public void Weak_rsa_keys_are_refused_by_name(int bits, string exponent, string why)
    {
        var modulus = new byte[bits / 8];
        new System.Random(bits).NextBytes(modulus);
        (modulus[0], modulus[^1]) = ((byte)(modulus[0] | 0x80), (byte)(modulus[^1] | 1));
        var body = new PacketWriter().U8(4).U32(1).U8(KeyAlgorithm.Rsa).Mpi(modulus).Mpi(System.Numerics.BigInteger.Parse(exponent).ToByteArray(true, true)).ToArray();
        Assert.Contains(why, PublicKey.Read(body).Weakness());
    }

    [Fact]
    public void A_roca_modulus_is_recognised()
    {
        // Modulo every small prime a power of 65537: 65537^k itself is the simplest such number.
        var modulus = System.Numerics.BigInteger.Pow(65537, 192);
        var body = new PacketWriter().U8(4).U32(1).U8(KeyAlgorithm.Rsa).Mpi(modulus.ToByteArray(true, true)).Mpi([1, 0, 1]).ToArray();
        Assert.Contains("ROCA", PublicKey.Read(body).Weakness());
    }

    [Fact]
    public void Random_octets_and_flipped_certificates_throw_nothing_else()
    {
        var good = Key.ExportCertificate();
        var random = new System.Random(7);
        for (var i = 0; i < 5000; i++)
        {
            var octets = (byte[])good.Clone();
            for (var j = random.Next(1, 4); j > 0; j--)
                octets[random.Next(octets.Length)] = (byte)random.Next(256);
            try
            {
                Certificate.Read(octets.AsSpan(0, random.Next(octets.Length / 2, octets.Length + 1))).Judge(Gateway, Now);
            }
            catch (OpenPgpException)
            {
            }
        }
    }

    private static List<byte[]> Make(SecretKey primary, SecretKey signing, SecretKey encryption, bool backSignature = true, TimeSpan? lifetime = null, int hash = 8, byte? signFlags = 2, byte? encryptFlags = 0x0C, PublicKey? encryptionKey = null)
    {
        var userId = System.Text.Encoding.ASCII.GetBytes(Gateway);
        var created = primary.Public.Created;
        byte[] hashedId = [0xB4, 0, 0, 0, (byte)userId.Length, .. userId];
        var self = new SubpacketWriter().Created(created).Issuer(primary.Public).Add(27, [1]);
        if (lifetime is { } life)
            self.Add(9, [(byte)((int)life.TotalSeconds >> 24), (byte)((int)life.TotalSeconds >> 16), (byte)((int)life.TotalSeconds >> 8), (byte)life.TotalSeconds]);
        var signBinding = new SubpacketWriter().Created(created).Issuer(primary.Public);
        if (signFlags is { } sign)
            signBinding.Add(27, [sign]);
        var encryptBinding = new SubpacketWriter().Created(created).Issuer(primary.Public);
        if (encryptFlags is { } encrypt)
            encryptBinding.Add(27, [encrypt]);
        encryptionKey ??= encryption.Public;
        if (backSignature)
            signBinding.Add(32, SignatureMaker.OverKeys(SignatureType.PrimaryBinding, signing, new SubpacketWriter().Created(created).Issuer(signing.Public), primary.Public.Hashed, signing.Public.Hashed));
        using var digest = System.Security.Cryptography.IncrementalHash.CreateHash(hash == 2 ? System.Security.Cryptography.HashAlgorithmName.SHA1 : System.Security.Cryptography.HashAlgorithmName.SHA256);
        digest.AppendData(primary.Public.Hashed);
        digest.AppendData(hashedId);
        return
        [
            new PacketWriter().Packet(Tag.PublicKey, primary.Public.Body).ToArray(), new PacketWriter().Packet(Tag.UserId, userId).ToArray(),
            SignatureMaker.Packet(SignatureType.CertificationPositive, primary, digest, hash, self),
            new PacketWriter().Packet(Tag.PublicSubkey, signing.Public.Body).ToArray(),
            new PacketWriter().Packet(Tag.Signature, SignatureMaker.OverKeys(SignatureType.SubkeyBinding, primary, signBinding, primary.Public.Hashed, signing.Public.Hashed)).ToArray(),
            new PacketWriter().Packet(Tag.PublicSubkey, encryptionKey.Body).ToArray(),
            new PacketWriter().Packet(Tag.Signature, SignatureMaker.OverKeys(SignatureType.SubkeyBinding, primary, encryptBinding, primary.Public.Hashed, encryptionKey.Hashed)).ToArray(),
        ];
    }
}
