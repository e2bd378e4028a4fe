using System.Globalization;
using System.Text;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// What verifies a peer's signatures: the signing keys of a certificate that is not revoked, each for the time it was valid.
/// </summary>
public class SignerKey
{
    internal SignerKey(Certificate certificate, List<SigningKey> signing) =>
        (Certificate, Fingerprint, Signing) = (certificate.Octets, certificate.Fingerprint, signing);

    /// <summary>The certificate that was judged, binary.</summary>
    public byte[] Certificate { get; }

    /// <summary>Fingerprint of the primary key, lower-case hex.</summary>
    public string Fingerprint { get; }

    internal List<SigningKey> Signing { get; }

    internal sealed record SigningKey(PublicKey Key, DateTimeOffset From, DateTimeOffset Until);
}

/// <summary>
/// A peer's usable certificate: it verifies, and can be sealed for. Only <see cref="Certificate.Judge"/> makes one, so nothing unjudged
/// can be sealed for.
/// </summary>
public sealed class PeerKey : SignerKey
{
    internal PeerKey(
        Certificate certificate,
        PublicKey encryption,
        bool aes256,
        List<SigningKey> signing,
        DateTimeOffset end
    )
        : base(certificate, signing) =>
        (Encryption, Aes256, Expires) = (encryption, aes256, end == DateTimeOffset.MaxValue ? null : end);

    /// <summary>Names exactly what a message was encrypted for: primary and subkey.</summary>
    public string Id => $"{Fingerprint}/{EncryptionFingerprint}";

    public string EncryptionFingerprint => Encryption.FingerprintHex;

    /// <summary>When it can be sealed for no longer; null = it does not expire.</summary>
    public DateTimeOffset? Expires { get; }

    internal PublicKey Encryption { get; }
    internal bool Aes256 { get; }
}

/// <summary>What became of judging a certificate.</summary>
/// <param name="Key">Usable now; null with <paramref name="Refusal"/> otherwise.</param>
/// <param name="Signer">Still good to verify what was signed while it was valid: an expired certificate has only this, a revoked one not
/// even this.</param>
public sealed record Judgement(PeerKey? Key, SignerKey? Signer, string? Refusal);

public sealed partial class Certificate
{
    /// <summary>
    /// Decides whether this certificate may be used for the gateway mailbox <paramref name="gateway"/> now: self-signatures, bindings,
    /// back-signatures, revocation, expiry and strength, as PROTOCOL.md 3 says.
    /// </summary>
    /// <param name="gateway">The gateway's mailbox, <c>local@domain</c>.</param>
    public Judgement Judge(string gateway, DateTimeOffset now)
    {
        if (_primary.Part.Weakness is { } weakness)
            return Refused(weakness);
        if (_primary.Created > now + ClockSkew)
            return Refused("it was made in the future (is this machine's clock right?)");
        if (Revocations.Any())
            return Refused("it is revoked");
        var direct = Newest(
            _direct.Where(s => s.Type == SignatureType.DirectKey),
            now,
            s => s.IsBy(_primary, _primary.Hashed)
        );
        Signature? self = null;
        foreach (var (id, signatures) in _userIds.Where(u => Names(u.Id, gateway)))
            self ??= SelfCertification(id, signatures, now);
        if (self is null)
            return Refused($"it has no unrevoked, self-certified User ID <{gateway}>");
        var end = Earlier(End(_primary, self), direct is null ? DateTimeOffset.MaxValue : End(_primary, direct));
        var bound = Bound(now);
        var signing = bound
            .Where(k =>
                k.Key.Part.CanSign && ((k.Binding.KeyFlags ?? 0) & 0x02) != 0 && HasBackSignature(k.Key, k.Binding)
            )
            .Select(k => new SignerKey.SigningKey(k.Key, k.Key.Created, Earlier(end, End(k.Key, k.Binding))))
            .ToList();
        if (_primary.Part.CanSign && ((self.KeyFlags ?? direct?.KeyFlags ?? 0) & 0x02) != 0)
            signing.Add(new(_primary, _primary.Created, end));
        if (signing.Count > MaxSigning)
            signing = [.. signing.OrderByDescending(s => s.From).Take(MaxSigning)];
        if (signing.Count == 0)
            return Refused("it has no valid signing key");
        var signer = new SignerKey(this, signing);
        if (end <= now)
            return Refused("it has expired", signer);
        var encryption = NewestEncryption(bound, 0x04, now);
        return encryption.Key is null
            ? Refused("it has no valid encryption subkey", signer)
            : new(
                new PeerKey(
                    this,
                    encryption.Key,
                    (self.PreferredCiphers ?? direct?.PreferredCiphers ?? []).Contains((byte)9),
                    signing,
                    Earlier(end, End(encryption.Key, encryption.Binding))
                ),
                signer,
                null
            );
    }

    /// <summary>
    /// Decides whether this certificate, of a person, can be encrypted to now: not revoked, not expired, with a valid encryption subkey.
    /// What its User IDs say is for whoever names it in a configuration to know.
    /// </summary>
    public (ReaderKey? Key, string? Refusal) JudgeReader(DateTimeOffset now)
    {
        (ReaderKey?, string?) Refuse(string why) => (null, $"certificate {Fingerprint}: {why}");
        if (_primary.Part.Weakness is { } weakness)
            return Refuse(weakness);
        if (Revocations.Any())
            return Refuse("it is revoked");
        var selves = _userIds
            .Select(u => SelfCertification(u.Id, u.Signatures, now))
            .Append(
                Newest(
                    _direct.Where(s => s.Type == SignatureType.DirectKey),
                    now,
                    s => s.IsBy(_primary, _primary.Hashed)
                )
            )
            .OfType<Signature>()
            .ToList();
        if (selves.Count == 0)
            return Refuse("nothing in it is signed by itself");
        if (selves.TrueForAll(s => End(_primary, s) <= now))
            return Refuse("it has expired");
        var encryption = NewestEncryption(Bound(now), 0x0C, now);
        return encryption.Key is null
            ? Refuse("it has no valid encryption subkey")
            : (new ReaderKey(encryption.Key), null);
    }

    private List<(PublicKey Key, Signature Binding)> Bound(DateTimeOffset now) =>
        [
            .. _subkeys
                .Where(k => k.Key.Part.Weakness is null && k.Key.Created <= now + ClockSkew)
                .Select(k => (k.Key, Binding: Binding(k.Key, k.Signatures, now)!))
                .Where(k => k.Binding is not null),
        ];

    /// <param name="flags">Key flags of which it must have one (RFC 9580 5.2.3.29).</param>
    private static (PublicKey Key, Signature Binding) NewestEncryption(
        List<(PublicKey Key, Signature Binding)> bound,
        int flags,
        DateTimeOffset now
    ) =>
        bound
            .Where(k =>
                k.Key.Part.CanEncrypt
                && ((k.Binding.KeyFlags ?? 0) & flags) != 0
                && End(k.Key, k.Binding) > now
                && SessionKey.CanWrap(k.Key)
            )
            .OrderByDescending(k => k.Key.Created)
            .FirstOrDefault();

    private static readonly TimeSpan ClockSkew = TimeSpan.FromHours(1);

    /// <summary>Signing keys that are looked at in one certificate, the newest.</summary>
    private const int MaxSigning = 8;

    private Judgement Refused(string why, SignerKey? signer = null) =>
        new(null, signer, $"certificate {Fingerprint}: {why}");

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;

    /// <summary>
    /// True when the key of <paramref name="former"/> certifies this certificate's gateway User ID (0x13, SHA-256 or better): a successor
    /// inherits its trust. A hard-revoked key certifies nothing; one that was only superseded or retired, what it certified before.
    /// </summary>
    /// <param name="until">Certifications that say they are later do not count.</param>
    public bool IsSuccessorOf(Certificate former, string gateway, DateTimeOffset until) =>
        !former.IsHardRevoked
        && former._primary.Part.Weakness is null
        && _userIds
            .Where(u => Names(u.Id, gateway))
            .Any(u =>
                u.Signatures.Exists(s =>
                    s.Type == SignatureType.CertificationPositive
                    && s.Created <= until
                    && !former.Revocations.Any(r => r.Created <= s.Created)
                    && s.IssuerFingerprint is { } issuer
                    && issuer.AsSpan().SequenceEqual(former._primary.Fingerprint)
                    && s.IsBy(former._primary, _primary.Hashed, HashedUserId(u.Id))
                )
            );

    private IEnumerable<Signature> Revocations =>
        _direct.Where(s => s.Type == SignatureType.KeyRevocation && s.IsBy(_primary, _primary.Hashed));

    /// <summary>
    /// The key itself says that it is compromised, or gives no reason (RFC 9580 5.2.3.31, reasons 2 and 0): for ever, back in time too.
    /// </summary>
    public bool IsHardRevoked => Revocations.Any(r => r.RevocationReason is null or 0 or 2);

    /// <summary>A User ID as certifications hash it (RFC 9580 5.2.4).</summary>
    internal static byte[] HashedUserId(byte[] id) =>
        [0xB4, (byte)(id.Length >> 24), (byte)(id.Length >> 16), (byte)(id.Length >> 8), (byte)id.Length, .. id];

    private Signature? SelfCertification(byte[] id, List<Signature> signatures, DateTimeOffset now)
    {
        var hashed = HashedUserId(id);
        var certification = Newest(
            signatures.Where(s =>
                s.Type is >= SignatureType.CertificationGeneric and <= SignatureType.CertificationPositive
            ),
            now,
            s => s.IsBy(_primary, _primary.Hashed, hashed)
        );
        var revoked =
            certification is not null
            && signatures.Exists(s =>
                s.Type == SignatureType.CertificationRevocation
                && s.Created >= certification.Created
                && s.IsBy(_primary, _primary.Hashed, hashed)
            );
        return revoked ? null : certification;
    }

    /// <summary>
    /// The newest valid 0x18 by the primary; null when there is none or the subkey is revoked. A foreign subkey glued on has none.
    /// </summary>
    private Signature? Binding(PublicKey key, List<Signature> signatures, DateTimeOffset now) =>
        signatures.Exists(s =>
            s.Type == SignatureType.SubkeyRevocation && s.IsBy(_primary, _primary.Hashed, key.Hashed)
        )
            ? null
            : Newest(
                signatures.Where(s => s.Type == SignatureType.SubkeyBinding),
                now,
                s => s.IsBy(_primary, _primary.Hashed, key.Hashed)
            );

    /// <summary>RFC 9580 5.2.1.10: the signing subkey itself agrees to belong to the primary.</summary>
    private bool HasBackSignature(PublicKey key, Signature binding) =>
        binding.BackSignatures.Any(back =>
            back.Type == SignatureType.PrimaryBinding && back.IsBy(key, _primary.Hashed, key.Hashed)
        );

    private static Signature? Newest(
        IEnumerable<Signature> signatures,
        DateTimeOffset now,
        Func<Signature, bool> valid
    ) =>
        signatures
            .Where(s =>
                s.Created is { } created
                && created <= now + ClockSkew
                && (s.SignatureLifetime == 0 || created.AddSeconds(s.SignatureLifetime) > now)
            )
            .OrderByDescending(s => s.Created)
            .FirstOrDefault(valid);

    private static DateTimeOffset End(PublicKey key, Signature signature) =>
        signature.KeyLifetime == 0 ? DateTimeOffset.MaxValue : key.Created.AddSeconds(signature.KeyLifetime);

    /// <summary>The User ID is the mailbox, or ends in exactly one <c>&lt;mailbox&gt;</c>.</summary>
    internal static bool Names(byte[] userId, string gateway)
    {
        var text = Encoding.UTF8.GetString(userId);
        if (text.EndsWith('>'))
        {
            var open = text.IndexOf('<');
            if (open < 0 || text.LastIndexOf('<') != open || text.IndexOf('>') != text.Length - 1)
                return false;
            text = text[(open + 1)..^1];
        }
        var (at, wanted) = (text.LastIndexOf('@'), gateway.LastIndexOf('@'));
        return at > 0 && text[..at] == gateway[..wanted] && ALabel(text[(at + 1)..]) == ALabel(gateway[(wanted + 1)..]);
    }

    private static string ALabel(string domain)
    {
        try
        {
            return new IdnMapping().GetAscii(domain.TrimEnd('.').ToLowerInvariant());
        }
        catch (ArgumentException)
        {
            return domain;
        }
    }
}
