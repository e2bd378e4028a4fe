using System.Buffers;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>The message is addressed to none of our keys.</summary>
public sealed class NoKeyException() : Exception("no PKESK is for a key we hold");

/// <summary>
/// A message that decrypted with its integrity intact. That says nothing about who wrote it: <see cref="UnverifiedBody"/> may be
/// parsed to learn whose signature to look for, and is released only by <see cref="VerifiedBy"/>.
/// </summary>
public sealed class DecryptedMessage
{
    internal DecryptedMessage(
        ReadOnlyMemory<byte> body,
        Signature signature,
        (string Primary, string Subkey) fingerprints
    ) =>
        (UnverifiedBody, Signature, KeyFingerprint, SubkeyFingerprint) = (
            body,
            signature,
            fingerprints.Primary,
            fingerprints.Subkey
        );

    public ReadOnlyMemory<byte> UnverifiedBody { get; }

    internal Signature Signature { get; }

    /// <summary>Primary fingerprint of the gateway key that decrypted it.</summary>
    public string KeyFingerprint { get; }

    /// <summary>Fingerprint of the subkey of it that did so.</summary>
    public string SubkeyFingerprint { get; }

    /// <summary>
    /// The signature packet: beside <see cref="UnverifiedBody"/> it is a detached signature of it, as any OpenPGP program reads one.
    /// </summary>
    public byte[] SignaturePacket => new PacketWriter().Packet(Tag.Signature, Signature.Body).ToArray();

    /// <summary>SHA-256 of the literal body, what a replay is recognised by.</summary>
    public byte[] BodySha256 => _bodySha256 ??= SHA256.HashData(UnverifiedBody.Span);

    private byte[]? _bodySha256;

    /// <summary>
    /// A hash that holds the body. Most signatures are over SHA-256, and so is what a replay is recognised by: one pass for both.
    /// </summary>
    private IncrementalHash HashOfBody(HashAlgorithmName name)
    {
        var hash = IncrementalHash.CreateHash(name);
        hash.AppendData(UnverifiedBody.Span);
        if (name == HashAlgorithmName.SHA256)
            _bodySha256 ??= hash.GetCurrentHash();
        return hash;
    }

    /// <summary>When the signature says that it was made.</summary>
    public DateTimeOffset? Signed => Signature.Created;

    /// <summary>The signature is right in all but one: it was made when its key had expired.</summary>
    public bool IsByExpired(SignerKey peer, DateTimeOffset now) =>
        Signature.Hash is { } name
        && Signature is { HasUnknownCritical: false, Created: { } created }
        && IsForUs
        && IsTimely(created, now)
        && peer.Signing.Where(s => Claims(s.Key) && created >= s.Until && created >= s.From)
            .Any(s => IsBy(s.Key, name));

    /// <summary>The signature is right in all but one: by our clock it was made in the future.</summary>
    public bool IsEarly(SignerKey peer, DateTimeOffset now) =>
        Signature.Created is { } created && created > now + Ahead && VerifiedBy(peer, created, out _) is not null;

    /// <summary>An intended recipient, where stated, must be us (RFC 9580 5.2.3.36); GnuPG states none.</summary>
    private bool IsForUs =>
        Signature.IntendedRecipients.Count == 0
        || Signature.IntendedRecipients.Exists(f => Convert.ToHexStringLower(f) == KeyFingerprint);

    /// <summary>How far two clocks may be apart.</summary>
    private static readonly TimeSpan Ahead = TimeSpan.FromHours(1);

    /// <summary>Neither in the future nor over by its own lifetime.</summary>
    private bool IsTimely(DateTimeOffset created, DateTimeOffset now) =>
        created <= now + Ahead
        && (Signature.SignatureLifetime == 0 || created.AddSeconds(Signature.SignatureLifetime) > now);

    private bool IsBy(PublicKey key, HashAlgorithmName name)
    {
        using var hash = HashOfBody(name);
        return Signature.Algorithm == key.Algorithm && Signature.Finish(hash, key);
    }

    /// <summary>The body, if <paramref name="peer"/> signed it; else null and the reason, which is for the log only.</summary>
    public ReadOnlyMemory<byte>? VerifiedBy(SignerKey peer, DateTimeOffset now, out string why)
    {
        why = $"no signing key of {peer.Fingerprint} made the signature";
        if (Signature.Hash is not { } name)
        {
            why = $"the signature uses hash {Signature.HashId}";
            return null;
        }
        if (!IsForUs)
        {
            why = "the signature is intended for another recipient";
            return null;
        }
        foreach (var key in peer.Signing.Where(s => Claims(s.Key)))
        {
            // Expiry is judged at the time of signing.
            if (
                Signature.HasUnknownCritical
                || Signature.Created is not { } created
                || created < key.From
                || created >= key.Until
                || !IsTimely(created, now)
            )
            {
                why =
                    "the signature's time lies outside its key's validity or in the future, or it carries an unknown critical subpacket";
                continue;
            }
            if (IsBy(key.Key, name))
                return UnverifiedBody;
            why = $"the signature by {peer.Fingerprint} is wrong";
        }
        return null;
    }

    private bool Claims(PublicKey key) =>
        Signature.IssuerFingerprint is { } fingerprint
            ? fingerprint.AsSpan().SequenceEqual(key.Fingerprint)
            : Signature.IssuerKeyId == key.KeyId;
}
