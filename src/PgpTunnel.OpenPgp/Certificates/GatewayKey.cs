using System.Security.Cryptography;
using System.Text;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// Our own key: a primary that only certifies, a signing subkey, an encryption subkey, and a spool subkey that never leaves this
/// machine's key file. Kept as an OpenPGP transferable secret key, so that any OpenPGP program can read it.
/// </summary>
public sealed partial class GatewayKey
{
    private const int FlagCertify = 0x01,
        FlagSign = 0x02,
        FlagEncrypt = 0x0C,
        FlagSpool = 0x08;

    private readonly SecretKey _primary;
    private readonly byte[] _userId;
    private readonly byte[] _selfSignature;

    /// <summary>Certifications of the User ID by other keys: by the one this key succeeded.</summary>
    private readonly List<byte[]> _certifications;
    private readonly List<(SecretKey Key, byte[] Binding, int Flags)> _subkeys;
    private readonly SecretKey _encryption;

    private GatewayKey(
        SecretKey primary,
        byte[] userId,
        byte[] selfSignature,
        List<byte[]> certifications,
        List<(SecretKey, byte[], int)> subkeys
    )
    {
        (_primary, _userId, _selfSignature, _certifications, _subkeys) = (
            primary,
            userId,
            selfSignature,
            certifications,
            subkeys
        );
        Signing = Newest(f => (f & FlagSign) != 0, "signing");
        Spool = Newest(f => f == FlagSpool, "spool");
        SpoolSeal = new SpoolSeal(Spool);
        _encryption = Newest(IsEncryption, "encryption");
        // Old ones open parcels that are still on their way. The spool subkey is for what we write ourselves, and opens nothing that comes.
        Decrypting = [.. _subkeys.Where(s => IsEncryption(s.Flags)).Select(s => s.Key)];
    }

    /// <summary>Fingerprint of the primary key: 40 lower-case hex digits.</summary>
    public string Fingerprint => _primary.Public.FingerprintHex;

    public DateTimeOffset Created => _primary.Public.Created;

    /// <summary>The User ID: the gateway's mailbox.</summary>
    public string UserId => Encoding.UTF8.GetString(_userId);

    /// <summary>True when peers will find this key's User ID right for the gateway mailbox.</summary>
    public bool IsFor(string gateway) => Certificate.Names(_userId, gateway);

    /// <summary>What the key is made of, for people: <c>Ed25519</c>, <c>P-256</c>, <c>RSA-3072</c>.</summary>
    public string Algorithm => _primary.Public.Part.Name;

    /// <summary>The subkey that peers seal for, the newest one.</summary>
    public string EncryptionFingerprint => _encryption.Public.FingerprintHex;

    public DateTimeOffset EncryptionCreated => _encryption.Public.Created;

    /// <summary>Older encryption subkeys are held, for parcels still on their way.</summary>
    public bool HasOldEncryption => _subkeys.Count(s => IsEncryption(s.Flags)) > 1;

    internal SecretKey Signing { get; }
    internal SecretKey Spool { get; }
    internal SpoolSeal SpoolSeal { get; }
    internal IReadOnlyList<SecretKey> Decrypting { get; }

    /// <summary>Every spool subkey there ever was.</summary>
    internal IEnumerable<SecretKey> Spools => _subkeys.Where(s => s.Flags == FlagSpool).Select(s => s.Key);

    private static bool IsEncryption(int flags) => (flags & 0x04) != 0;

    private SecretKey Newest(Func<int, bool> flags, string what) =>
        _subkeys
            .Where(s => flags(s.Flags))
            .OrderByDescending(s => s.Key.Public.Created)
            .Select(s => s.Key)
            .FirstOrDefault()
        ?? throw new OpenPgpException($"the key has no {what} subkey");

    /// <summary>Makes a new key for a gateway mailbox. It does not expire: its DNS record is what keeps it alive.</summary>
    public static GatewayKey Generate(GatewayAlgorithm algorithm, string mailbox, DateTimeOffset now)
    {
        var created = DateTimeOffset.FromUnixTimeSeconds(now.ToUnixTimeSeconds());
        var suite = Suite.Of(algorithm);
        SecretKey Signer() => SecretKey.Of(suite.MakeSigning(), created);
        var (primary, signing) = (Signer(), Signer());
        var encryption = SecretKey.Of(suite.MakeEncryption(), created);
        var spool = NewSpool(created);
        var userId = Encoding.UTF8.GetBytes(mailbox);
        var self = SignatureMaker.OverKeys(
            SignatureType.CertificationPositive,
            primary,
            new SubpacketWriter()
                .Created(created)
                .Issuer(primary.Public)
                .Add(27, [FlagCertify])
                .Add(11, [9, 7])
                .Add(21, [10, 9, 8])
                .Add(22, [0])
                .Add(30, [0x01])
                .Add(25, [1]),
            primary.Public.Hashed,
            Certificate.HashedUserId(userId)
        );
        return new(
            primary,
            userId,
            self,
            [],
            [
                (signing, Bind(primary, signing, FlagSign, created), FlagSign),
                (encryption, Bind(primary, encryption, FlagEncrypt, created), FlagEncrypt),
                (spool, Bind(primary, spool, FlagSpool, created), FlagSpool),
            ]
        );
    }

    private static SecretKey NewSpool(DateTimeOffset created) =>
        SecretKey.Of(EcdhPublic.Make(Curve25519.Instance), created);

    /// <summary>A secret that nobody has who has not this key: the same each time for the same purpose.</summary>
    /// <returns>32 octets.</returns>
    public byte[] Derive(string purpose)
    {
        var secret = Spool.WriteSecret();
        var derived = HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, info: Encoding.ASCII.GetBytes(purpose));
        CryptographicOperations.ZeroMemory(secret);
        return derived;
    }

    /// <summary>This key with a new encryption subkey, which peers seal for once it is published; the old ones still open.</summary>
    public GatewayKey WithNewEncryption(DateTimeOffset now)
    {
        var created = DateTimeOffset.FromUnixTimeSeconds(
            Math.Max(now.ToUnixTimeSeconds(), EncryptionCreated.ToUnixTimeSeconds() + 1)
        ); // the newest is the one that counts
        var encryption = SecretKey.Of(Suite.Of(_primary.Public).MakeEncryption(), created);
        return new(
            _primary,
            _userId,
            _selfSignature,
            _certifications,
            [.. _subkeys, (encryption, Bind(_primary, encryption, FlagEncrypt, created), FlagEncrypt)]
        );
    }

    /// <summary>This key without its older encryption subkeys: what was sealed for them opens no more.</summary>
    public GatewayKey WithoutOldEncryption() =>
        new(
            _primary,
            _userId,
            _selfSignature,
            _certifications,
            [.. _subkeys.Where(s => !IsEncryption(s.Flags) || ReferenceEquals(s.Key, _encryption))]
        );

    /// <summary>True when a message is for one of the older encryption subkeys.</summary>
    public bool NeedsOldEncryption(ReadOnlySpan<byte> octets)
    {
        foreach (var (key, _, flags) in _subkeys)
            if (IsEncryption(flags) && !ReferenceEquals(key, _encryption) && MessageOpener.Names(octets, key))
                return true;
        return false;
    }

    private static byte[] Bind(SecretKey primary, SecretKey subkey, int flags, DateTimeOffset created)
    {
        var subpackets = new SubpacketWriter().Created(created).Issuer(primary.Public).Add(27, [(byte)flags]);
        if (flags == FlagSign)
            subpackets.Add(
                32,
                SignatureMaker.OverKeys(
                    SignatureType.PrimaryBinding,
                    subkey,
                    new SubpacketWriter().Created(created).Issuer(subkey.Public),
                    primary.Public.Hashed,
                    subkey.Public.Hashed
                )
            );
        return SignatureMaker.OverKeys(
            SignatureType.SubkeyBinding,
            primary,
            subpackets,
            primary.Public.Hashed,
            subkey.Public.Hashed
        );
    }

    /// <summary>This key, certified as the successor of <paramref name="former"/> (0x13 on the User ID, PROTOCOL.md 3).</summary>
    public GatewayKey CertifiedBy(GatewayKey former, DateTimeOffset now) =>
        new(
            _primary,
            _userId,
            _selfSignature,
            [
                .. _certifications,
                SignatureMaker.OverKeys(
                    SignatureType.CertificationPositive,
                    former._primary,
                    new SubpacketWriter().Created(now).Issuer(former._primary.Public),
                    _primary.Public.Hashed,
                    Certificate.HashedUserId(_userId)
                ),
            ],
            _subkeys
        );

    /// <summary>The certificate to publish, binary, without the spool subkey. Peers take the newest valid encryption subkey.</summary>
    /// <param name="revoked">When set, with a revocation of that time: key compromised (RFC 9580 5.2.3.31, reason 2).</param>
    public byte[] ExportCertificate(DateTimeOffset? revoked = null)
    {
        var writer = new PacketWriter().Packet(Tag.PublicKey, _primary.Public.Body);
        if (revoked is { } when)
            writer.Packet(Tag.Signature, Revocation(when, 2));
        writer.Packet(Tag.UserId, _userId).Packet(Tag.Signature, _selfSignature);
        foreach (var certification in _certifications)
            writer.Packet(Tag.Signature, certification);
        foreach (var (key, binding, _) in _subkeys.Where(s => s.Flags != FlagSpool))
            writer.Packet(Tag.PublicSubkey, key.Public.Body).Packet(Tag.Signature, binding);
        return writer.ToArray();
    }

    /// <summary>
    /// Octets that the certificate may come to have: certified by a former key, revoked, and with a second encryption subkey.
    /// </summary>
    public int LargestCertificate
    {
        get
        {
            var (when, binding) = (Created, _subkeys.First(s => ReferenceEquals(s.Key, _encryption)).Binding);
            var encryption = new PacketWriter()
                .Packet(Tag.PublicSubkey, _encryption.Public.Body)
                .Packet(Tag.Signature, binding);
            return CertifiedBy(this, when).ExportCertificate(when).Length + encryption.Length;
        }
    }

    /// <summary>A ready-made revocation (0x20, no reason given), armored, to be kept apart from the key.</summary>
    public byte[] RevocationCertificate(DateTimeOffset now)
    {
        return Armor.Encode(
            Armor.PublicKeyBlock,
            new PacketWriter().Packet(Tag.Signature, Revocation(now, 0)).ToArray()
        );
    }

    private byte[] Revocation(DateTimeOffset now, byte reason) =>
        SignatureMaker.OverKeys(
            SignatureType.KeyRevocation,
            _primary,
            new SubpacketWriter().Created(now).Issuer(_primary.Public).Add(29, [reason]),
            _primary.Public.Hashed
        );
}
