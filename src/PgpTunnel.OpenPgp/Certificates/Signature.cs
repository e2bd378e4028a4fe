using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace PgpTunnel.OpenPgp;

/// <summary>Signature type ids (RFC 9580 5.2.1).</summary>
internal static class SignatureType
{
    public const int Binary = 0x00,
        CertificationGeneric = 0x10,
        CertificationPositive = 0x13,
        SubkeyBinding = 0x18,
        PrimaryBinding = 0x19,
        DirectKey = 0x1F,
        KeyRevocation = 0x20,
        SubkeyRevocation = 0x28,
        CertificationRevocation = 0x30;
}

/// <summary>A version 4 signature packet (RFC 9580 5.2.3), its subpackets laid open.</summary>
internal sealed class Signature
{
    public required int Type { get; init; }
    public required int Algorithm { get; init; }
    public required int HashId { get; init; }
    public required byte[] HashedPart { get; init; }
    public required ushort Left16 { get; init; }
    public required byte[] Fields { get; init; }

    /// <summary>The packet body as read.</summary>
    public required byte[] Body { get; init; }
    public DateTimeOffset? Created { get; private set; }
    public uint SignatureLifetime { get; private set; }
    public uint KeyLifetime { get; private set; }
    public int? KeyFlags { get; private set; }

    /// <summary>Of a revocation (RFC 9580 5.2.3.31); null = none given.</summary>
    public int? RevocationReason { get; private set; }
    public byte[]? PreferredCiphers { get; private set; }
    public byte[]? IssuerFingerprint { get; private set; }
    public ulong? IssuerKeyId { get; private set; }
    public List<byte[]> IntendedRecipients { get; } = [];
    public List<byte[]> Embedded { get; } = [];

    /// <summary>A critical subpacket nobody here understands makes the signature count as absent (RFC 9580 5.2.3.7).</summary>
    public bool HasUnknownCritical { get; private set; }

    public HashAlgorithmName? Hash => HashName(HashId);

    /// <summary>SHA-256, -384, -512; a signature by any other hash, SHA-1 and MD5 above all, counts as absent.</summary>
    public static HashAlgorithmName? HashName(int id) =>
        id switch
        {
            8 => HashAlgorithmName.SHA256,
            9 => HashAlgorithmName.SHA384,
            10 => HashAlgorithmName.SHA512,
            _ => null,
        };

    /// <exception cref="OpenPgpException">Not a version 4 signature packet.</exception>
    public static Signature Read(ReadOnlySpan<byte> body)
    {
        var reader = new PacketReader(body);
        if (reader.U8() != 4)
            throw new OpenPgpException("a signature of a version other than 4");
        var (type, algorithm, hash) = (reader.U8(), reader.U8(), reader.U8());
        var hashedArea = reader.Take(reader.U16());
        var hashedPart = body[..(6 + hashedArea.Length)].ToArray();
        var unhashedArea = reader.Take(reader.U16());
        var signature = new Signature
        {
            Type = type,
            Algorithm = algorithm,
            HashId = hash,
            HashedPart = hashedPart,
            Left16 = reader.U16(),
            Fields = reader.Rest().ToArray(),
            Body = body.ToArray(),
        };
        signature.ReadSubpackets(hashedArea, true);
        signature.ReadSubpackets(unhashedArea, false);
        return signature;
    }

    private void ReadSubpackets(ReadOnlySpan<byte> area, bool hashed)
    {
        var reader = new PacketReader(area);
        while (!reader.AtEnd)
        {
            var subpacket = reader.Take(reader.SubpacketLength());
            if (subpacket.IsEmpty)
                throw new OpenPgpException("a signature subpacket is empty");
            ReadSubpacket(subpacket[0] & 0x7F, (subpacket[0] & 0x80) != 0, subpacket[1..], hashed);
        }
    }

    /// <summary>From the unhashed area only hints are taken: who issued it, and a back-signature, which proves itself.</summary>
    private void ReadSubpacket(int type, bool critical, ReadOnlySpan<byte> data, bool hashed)
    {
        var reader = new PacketReader(data);
        switch (type)
        {
            case 16:
                IssuerKeyId = reader.U64();
                break;
            case 32:
                Embedded.Add(data.ToArray());
                break;
            case 33 when data.Length > 1 && data[0] == 4 && (hashed || IssuerFingerprint is null):
                IssuerFingerprint = data[1..].ToArray();
                break;
            case 33:
                break;
            case 2 when hashed:
                Created = DateTimeOffset.FromUnixTimeSeconds(reader.U32());
                break;
            case 3 when hashed:
                SignatureLifetime = reader.U32();
                break;
            case 9 when hashed:
                KeyLifetime = reader.U32();
                break;
            case 11 when hashed:
                PreferredCiphers = data.ToArray();
                break;
            case 27 when hashed:
                KeyFlags = data.IsEmpty ? 0 : data[0];
                break;
            case 29 when hashed:
                RevocationReason = data.IsEmpty ? null : data[0];
                break;
            case 35 when hashed:
                IntendedRecipients.Add(data.Length > 1 ? data[1..].ToArray() : []);
                break;
            case 20 when hashed && critical:
                HasUnknownCritical = true;
                break; // notations: we know none
            case 4 or 5 or 7 or 12 or 20 or 21 or 22 or 23 or 24 or 25 or 26 or 28 or 29 or 30 or 31 or 34 or 39:
                break;
            default:
                HasUnknownCritical |= critical && hashed;
                break;
        }
    }

    /// <summary>
    /// By key: whether it made this signature. What is signed is given by where the signature stands, so it is checked once.
    /// </summary>
    private readonly ConcurrentDictionary<string, bool> _by = new();

    private IReadOnlyList<Signature>? _backSignatures;

    /// <summary>The embedded signatures that can be read.</summary>
    public IReadOnlyList<Signature> BackSignatures =>
        _backSignatures ??= [.. Embedded.Select(TryRead).OfType<Signature>()];

    public static Signature? TryRead(byte[] body)
    {
        try
        {
            return Read(body);
        }
        catch (OpenPgpException)
        {
            return null;
        }
    }

    /// <summary>
    /// True when <paramref name="key"/> made this signature, of a certificate, over <paramref name="prefix"/>: what its type and its
    /// place say is hashed before the signature's own fields.
    /// </summary>
    public bool IsBy(PublicKey key, params ReadOnlySpan<byte[]> prefix)
    {
        if (!_by.TryGetValue(key.FingerprintHex, out var known))
            _by[key.FingerprintHex] = known = Check(key, prefix);
        return known;
    }

    private bool Check(PublicKey key, ReadOnlySpan<byte[]> prefix)
    {
        // To believe a revocation is the safe side: neither an old hash nor an unknown critical subpacket weakens it.
        var revokes =
            Type
            is SignatureType.KeyRevocation
                or SignatureType.SubkeyRevocation
                or SignatureType.CertificationRevocation;
        var hashName = Hash ?? (revokes && HashId == 2 ? HashAlgorithmName.SHA1 : null);
        if (
            hashName is not { } name
            || (HasUnknownCritical && !revokes)
            || Created is null
            || Algorithm != key.Algorithm
            || !key.Part.CanSign
        )
            return false;
        using var hash = IncrementalHash.CreateHash(name);
        foreach (var part in prefix)
            hash.AppendData(part);
        return Finish(hash, key);
    }

    /// <summary>Completes a hash that already holds the signed data and checks it.</summary>
    public bool Finish(IncrementalHash hash, PublicKey key)
    {
        hash.AppendData(HashedPart);
        hash.AppendData(Trailer(HashedPart.Length));
        var digest = hash.GetHashAndReset();
        return digest[0] == Left16 >> 8 && digest[1] == (byte)Left16 && key.Verify(hash.AlgorithmName, digest, Fields);
    }

    /// <summary>RFC 9580 5.2.4: version, 0xFF, length of the hashed part.</summary>
    internal static byte[] Trailer(int length) =>
        [4, 0xFF, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length];
}

/// <summary>The subpackets of a signature about to be made.</summary>
internal sealed class SubpacketWriter
{
    private readonly PacketWriter _hashed = new();

    public SubpacketWriter Add(int type, ReadOnlySpan<byte> data, bool critical = false)
    {
        _hashed.Bytes(PacketWriter.EncodeLength(data.Length + 1)).U8(type | (critical ? 0x80 : 0)).Bytes(data);
        return this;
    }

    public SubpacketWriter Created(DateTimeOffset time)
    {
        var seconds = (uint)time.ToUnixTimeSeconds();
        return Add(2, [(byte)(seconds >> 24), (byte)(seconds >> 16), (byte)(seconds >> 8), (byte)seconds]);
    }

    public SubpacketWriter Issuer(PublicKey key) => Add(33, [4, .. key.Fingerprint]);

    public byte[] ToArray() => _hashed.ToArray();
}
