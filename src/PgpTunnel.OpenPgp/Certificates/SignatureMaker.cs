using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Makes version 4 signature packets.</summary>
internal static class SignatureMaker
{
    /// <param name="hash">Holds the signed data already.</param>
    public static byte[] Packet(
        int type,
        SecretKey key,
        IncrementalHash hash,
        int hashId,
        SubpacketWriter subpackets
    ) => new PacketWriter().Packet(Tag.Signature, Body(type, key, hash, hashId, subpackets)).ToArray();

    public static byte[] Body(int type, SecretKey key, IncrementalHash hash, int hashId, SubpacketWriter subpackets)
    {
        var hashed = subpackets.ToArray();
        var head = new PacketWriter()
            .U8(4)
            .U8(type)
            .U8(key.Public.Algorithm)
            .U8(hashId)
            .U16(hashed.Length)
            .Bytes(hashed)
            .ToArray();
        hash.AppendData(head);
        hash.AppendData(Signature.Trailer(head.Length));
        var digest = hash.GetHashAndReset();
        var unhashed = new SubpacketWriter().Add(16, key.Public.Fingerprint.AsSpan(12)).ToArray();
        return new PacketWriter()
            .Bytes(head)
            .U16(unhashed.Length)
            .Bytes(unhashed)
            .Bytes(digest.AsSpan(0, 2))
            .Bytes(key.Sign(hash.AlgorithmName, digest))
            .ToArray();
    }

    /// <summary>A signature over keys and User IDs: hashes <paramref name="parts"/> in order.</summary>
    public static byte[] OverKeys(
        int type,
        SecretKey key,
        SubpacketWriter subpackets,
        params ReadOnlySpan<byte[]> parts
    )
    {
        var hashId = key.Public.Part.HashId;
        using var hash = IncrementalHash.CreateHash(Signature.HashName(hashId)!.Value);
        foreach (var part in parts)
            hash.AppendData(part);
        return Body(type, key, hash, hashId, subpackets);
    }
}
