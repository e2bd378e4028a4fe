using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>
/// A signature packet beside what it signs (RFC 9580 10.4): version 4, type 0x00, as <c>gpg --verify</c> and <c>sq verify</c> read it.
/// </summary>
public static class DetachedSignature
{
    /// <summary>Signs with our newest signing subkey.</summary>
    /// <returns>The signature packet, binary.</returns>
    public static byte[] Make(ReadOnlySpan<byte> octets, GatewayKey signer, DateTimeOffset now)
    {
        var key = signer.Signing;
        var hashId = key.Public.Part.HashId;
        using var hash = IncrementalHash.CreateHash(Signature.HashName(hashId)!.Value);
        hash.AppendData(octets);
        var subpackets = new SubpacketWriter().Created(now).Issuer(key.Public);
        return SignatureMaker.Packet(SignatureType.Binary, key, hash, hashId, subpackets);
    }

    /// <returns>
    /// When it says that it was made; null when no signing key that <paramref name="peer"/> had at that time made it, or it is no
    /// signature packet alone.
    /// </returns>
    public static DateTimeOffset? Verify(ReadOnlySpan<byte> octets, ReadOnlySpan<byte> packet, SignerKey peer)
    {
        if (
            TryRead(packet)
            is not {
                Type: SignatureType.Binary,
                HasUnknownCritical: false,
                Hash: { } name,
                Created: { } created
            } signature
        )
            return null;
        foreach (var (key, from, until) in peer.Signing)
        {
            if (signature.Algorithm != key.Algorithm || created < from || created >= until)
                continue;
            using var hash = IncrementalHash.CreateHash(name);
            hash.AppendData(octets);
            if (signature.Finish(hash, key))
                return created;
        }
        return null;
    }

    private static Signature? TryRead(ReadOnlySpan<byte> packet)
    {
        try
        {
            var reader = new PacketReader(packet);
            var body = reader.Packet(out var tag);
            return tag == Tag.Signature && reader.AtEnd ? Signature.Read(body) : null;
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }
}
