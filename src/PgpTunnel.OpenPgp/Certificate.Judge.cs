using System.Globalization;
using System.Text;

namespace PgpTunnel.OpenPgp;

/// <summary>What a gateway needs of a peer's usable certificate. Only <see cref="Certificate.Judge"/> makes one, so nothing unjudged can be sealed for.</summary>
public sealed class PeerKey
{
    internal PeerKey(string fingerprint, PublicKey encryption, bool aes256, List<SigningKey> signing) =>
        (Fingerprint, Encryption, Aes256, Signing) = (fingerprint, encryption, aes256, signing);

    /// <summary>Fingerprint of the primary key, lower-case hex.</summary>
    public string Fingerprint { get; }

    /// <summary>Names exactly what a message was encrypted for: primary and subkey.</summary>
    public string Id => $"{Fingerprint}/{Encryption.FingerprintHex}";

    internal PublicKey Encryption { get; }
    internal bool Aes256 { get; }
    internal List<SigningKey> Signing { get; }

    internal sealed record SigningKey(PublicKey Key, DateTimeOffset From, DateTimeOffset Until);
}

public sealed partial class Certificate
{
    /// <summary>
    /// Decides whether this certificate may be used for the gateway mailbox <paramref name="gateway"/> now: self-signatures, bindings,
    /// back-signatures, revocation, expiry and strength, as PROTOCOL.md 3 says. Exactly one of the results is set.
    /// </summary>
    /// <param name="gateway">The gateway's mailbox, <c>local@domain</c>.</param>
    /// <returns>The usable key, or the reason why there is none.</returns>
    public (PeerKey? Key, string? Refusal) Judge(string gateway, DateTimeOffset now)
    {
        if (_primary.Weakness() is { } weakness)
            return (null, $"certificate {Fingerprint}: {weakness}");
        if (_direct.Exists(s => s.Type == SignatureType.KeyRevocation && s.IsBy(_primary, _primary.Hashed)))
            return (null, $"certificate {Fingerprint} is revoked");
        var direct = Newest(_direct.Where(s => s.Type == SignatureType.DirectKey), now, s => s.IsBy(_primary, _primary.Hashed));
        Signature? self = null;
        foreach (var (id, signatures) in _userIds.Where(u => Names(u.Id, gateway)))
            self ??= SelfCertification(id, signatures, now);
        if (self is null)
            return (null, $"certificate {Fingerprint} has no unrevoked, self-certified User ID <{gateway}>");
        if (Expired(_primary, self, now) || (direct is not null && Expired(_primary, direct, now)))
            return (null, $"certificate {Fingerprint} has expired");
        var bound = _subkeys.Where(k => k.Key.Weakness() is null).Select(k => (k.Key, Binding: Binding(k.Key, k.Signatures, now))).Where(k => k.Binding is not null).ToList();
        var encryption = bound.Where(k => k.Key.CanEncrypt && (k.Binding!.KeyFlags & 0x04) != 0 && !Expired(k.Key, k.Binding, now))
            .OrderByDescending(k => k.Key.Created).Select(k => k.Key).FirstOrDefault();
        if (encryption is null)
            return (null, $"certificate {Fingerprint} has no valid encryption subkey");
        var signing = bound.Where(k => k.Key.CanSign && (k.Binding!.KeyFlags & 0x02) != 0 && HasBackSignature(k.Key, k.Binding))
            .Select(k => new PeerKey.SigningKey(k.Key, k.Key.Created, End(k.Key, k.Binding!))).ToList();
        if (_primary.CanSign && ((self.KeyFlags ?? direct?.KeyFlags ?? 0) & 0x02) != 0)
            signing.Add(new(_primary, _primary.Created, End(_primary, self)));
        if (signing.Count == 0)
            return (null, $"certificate {Fingerprint} has no valid signing key");
        return (new PeerKey(Fingerprint, encryption, (self.PreferredCiphers ?? direct?.PreferredCiphers ?? []).Contains((byte)9), signing), null);
    }

    private Signature? SelfCertification(byte[] id, List<Signature> signatures, DateTimeOffset now)
    {
        byte[] hashed = [0xB4, (byte)(id.Length >> 24), (byte)(id.Length >> 16), (byte)(id.Length >> 8), (byte)id.Length, .. id];
        var certification = Newest(signatures.Where(s => s.Type is >= SignatureType.CertificationGeneric and <= SignatureType.CertificationPositive), now,
            s => s.IsBy(_primary, _primary.Hashed, hashed));
        var revoked = certification is not null && signatures.Exists(s =>
            s.Type == SignatureType.CertificationRevocation && s.Created >= certification.Created && s.IsBy(_primary, _primary.Hashed, hashed));
        return revoked ? null : certification;
    }

    /// <summary>The newest valid 0x18 by the primary; null when there is none or the subkey is revoked. A foreign subkey glued on has none.</summary>
    private Signature? Binding(PublicKey key, List<Signature> signatures, DateTimeOffset now) =>
        signatures.Exists(s => s.Type == SignatureType.SubkeyRevocation && s.IsBy(_primary, _primary.Hashed, key.Hashed)) ? null
        : Newest(signatures.Where(s => s.Type == SignatureType.SubkeyBinding), now, s => s.IsBy(_primary, _primary.Hashed, key.Hashed));

    /// <summary>RFC 9580 5.2.1.10: the signing subkey itself agrees to belong to the primary.</summary>
    private bool HasBackSignature(PublicKey key, Signature binding) => binding.Embedded.Exists(e =>
        TryReadSignature(e) is { Type: SignatureType.PrimaryBinding } back && back.IsBy(key, _primary.Hashed, key.Hashed));

    private static Signature? Newest(IEnumerable<Signature> signatures, DateTimeOffset now, Func<Signature, bool> valid) =>
        signatures.Where(s => s.Created is { } created && created <= now.AddHours(1) && (s.SignatureLifetime == 0 || created.AddSeconds(s.SignatureLifetime) > now))
            .OrderByDescending(s => s.Created).FirstOrDefault(valid);

    private static DateTimeOffset End(PublicKey key, Signature signature) =>
        signature.KeyLifetime == 0 ? DateTimeOffset.MaxValue : key.Created.AddSeconds(signature.KeyLifetime);

    private static bool Expired(PublicKey key, Signature signature, DateTimeOffset now) => End(key, signature) <= now;

    /// <summary>The User ID is the mailbox, or ends in exactly one <c>&lt;mailbox&gt;</c>.</summary>
    private static bool Names(byte[] userId, string gateway)
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
            return new IdnMapping().GetAscii(domain.TrimEnd('.')).ToLowerInvariant();
        }
        catch (ArgumentException)
        {
            return domain;
        }
    }
}
