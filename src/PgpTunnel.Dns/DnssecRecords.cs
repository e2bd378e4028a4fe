using System.Buffers.Binary;
using System.Security.Cryptography;

namespace PgpTunnel.Dns;

/// <summary>A DNSKEY (RFC 4034 2).</summary>
internal sealed class DnsKey
{
    private readonly Lock _lock = new();
    private readonly Lazy<AsymmetricAlgorithm?> _imported;

    private DnsKey() => _imported = new(() => SignatureCheck.Import(this));

    public required byte[] Rdata { get; init; }

    /// <summary>
    /// True when <paramref name="signature"/> is this key's over <paramref name="data"/>. Never throws for bad keys or signatures.
    /// </summary>
    public bool Verifies(byte[] data, byte[] signature)
    {
        try
        {
            // To take a key over costs the platform as much as to verify with it, and a zone's key verifies many times.
            lock (_lock)
                return SignatureCheck.Verify(this, _imported.Value, data, signature);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or InvalidOperationException)
        {
            return false; // a key that the platform refuses signs nothing
        }
    }

    public ushort Flags => BinaryPrimitives.ReadUInt16BigEndian(Rdata);
    public byte Algorithm => Rdata[3];
    public ReadOnlySpan<byte> PublicKey => Rdata.AsSpan(4);
    public ushort Tag { get; private init; }

    /// <summary>Zone key, protocol 3, not revoked (RFC 4034 2.1.1, 2.1.2; RFC 5011 2.1).</summary>
    public bool MaySignZone => (Flags & 0x0100) != 0 && (Flags & 0x0080) == 0 && Rdata[2] == 3;

    public static DnsKey? Read(byte[] rdata) =>
        rdata.Length < 5 ? null : new DnsKey { Rdata = rdata, Tag = KeyTag(rdata) };

    // RFC 4034 appendix B; algorithm 1 is not supported and needs no exception here.
    private static ushort KeyTag(byte[] rdata)
    {
        uint sum = 0;
        for (var i = 0; i < rdata.Length; i++)
            sum += (i & 1) == 0 ? (uint)rdata[i] << 8 : rdata[i];
        return (ushort)(sum + (sum >> 16));
    }
}

/// <summary>
/// A DS (RFC 4034 5); digest types 1, 2 and 4. To forge a SHA-1 digest takes a second preimage, which nobody can make, so it is read as
/// unbound and BIND do; to call its zone unsigned would bring clear text.
/// </summary>
internal sealed record DelegationSigner(ushort Tag, byte Algorithm, byte DigestType, byte[] Digest)
{
    public bool Supported => DigestType is 1 or 2 or 4 && SignatureCheck.IsSupported(Algorithm);

    public static DelegationSigner? Read(byte[] rdata) =>
        rdata.Length < 5 ? null : new(BinaryPrimitives.ReadUInt16BigEndian(rdata), rdata[2], rdata[3], rdata[4..]);

    public bool Matches(DomainName owner, DnsKey key)
    {
        if (key.Tag != Tag || key.Algorithm != Algorithm)
            return false;
        byte[] data = [.. owner.Wire, .. key.Rdata];
        var digest = DigestType switch
        {
            1 => SHA1.HashData(data),
            2 => SHA256.HashData(data),
            4 => SHA384.HashData(data),
            _ => [],
        };
        return digest.Length > 0 && digest.AsSpan().SequenceEqual(Digest);
    }
}

/// <summary>An RRSIG (RFC 4034 3).</summary>
internal sealed class RrSignature
{
    public required ushort TypeCovered { get; init; }
    public required byte Algorithm { get; init; }
    public required byte Labels { get; init; }
    public required uint OriginalTtl { get; init; }
    public required uint Expiration { get; init; }
    public required uint Inception { get; init; }
    public required ushort KeyTag { get; init; }
    public required DomainName Signer { get; init; }
    public required byte[] Signature { get; init; }

    /// <summary>The RDATA before the signature, signer in lower case: the start of the signed data.</summary>
    public required byte[] Head { get; init; }

    /// <summary>As a record beside one that it covers; its own TTL is that one's.</summary>
    public DnsRecord AsRecord(DnsRecord covered) =>
        new(covered.Name, RecordType.RRSIG, DnsMessage.ClassIn, covered.Ttl, [.. Head, .. Signature]);

    public static RrSignature? Read(byte[] rdata)
    {
        try
        {
            var reader = new WireReader(rdata);
            var (type, algorithm, labels, ttl, expiration, inception, tag) = (
                reader.U16(),
                reader.U8(),
                reader.U8(),
                reader.U32(),
                reader.U32(),
                reader.U32(),
                reader.U16()
            );
            var signer = reader.Name();
            return new RrSignature
            {
                TypeCovered = type,
                Algorithm = algorithm,
                Labels = labels,
                OriginalTtl = ttl,
                Expiration = expiration,
                Inception = inception,
                KeyTag = tag,
                Signer = signer,
                Signature = reader.Take(reader.Remaining).ToArray(),
                Head = [.. rdata.AsSpan(0, 18), .. signer.Wire],
            };
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }
}

/// <summary>The type bitmap shared by NSEC and NSEC3 (RFC 4034 4.1.2).</summary>
internal readonly struct TypeBitmap(byte[] octets)
{
    public bool Has(ushort type)
    {
        for (var at = 0; at + 2 <= octets.Length; at += 2 + octets[at + 1])
        {
            var offset = (type & 0xFF) >> 3;
            if (octets[at] == type >> 8)
                return offset < octets[at + 1]
                    && at + 2 + offset < octets.Length
                    && (octets[at + 2 + offset] & (0x80 >> (type & 7))) != 0;
        }
        return false;
    }

    /// <summary>A delegation as its parent sees it: NS without SOA.</summary>
    public bool IsDelegation => Has(RecordType.NS) && !Has(RecordType.SOA);

    /// <summary>RFC 6840 4.1: an NSEC of a delegation or of a DNAME denies nothing below itself.</summary>
    public bool HidesNamesBelow => IsDelegation || Has(RecordType.DNAME);
}

/// <summary>A verified NSEC (RFC 4034 4).</summary>
internal sealed record Nsec(DomainName Owner, DomainName Next, TypeBitmap Types)
{
    /// <summary>Inception of the signature that proved it.</summary>
    public DateTimeOffset Signed { get; init; }

    public static Nsec? Read(DnsRecord record)
    {
        try
        {
            var reader = new WireReader(record.Rdata);
            return new Nsec(record.Name, reader.Name(), new TypeBitmap(reader.Take(reader.Remaining).ToArray()));
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }

    /// <summary>
    /// True when <paramref name="name"/> lies strictly between owner and next; the last NSEC of a zone leads back to the apex.
    /// </summary>
    public bool Covers(DomainName name, DomainName apex) =>
        name.IsWithin(apex) && Owner < name && (name < Next || Next == apex);
}

/// <summary>A verified NSEC3 (RFC 5155 3).</summary>
internal sealed record Nsec3(
    byte[] OwnerHash,
    byte[] NextHash,
    byte Flags,
    ushort Iterations,
    byte[] Salt,
    TypeBitmap Types
)
{
    /// <summary>Inception of the signature that proved it.</summary>
    public DateTimeOffset Signed { get; init; }

    public bool OptOut => (Flags & 1) != 0;

    public static Nsec3? Read(DnsRecord record, DomainName apex)
    {
        try
        {
            if (
                record.Name.LabelCount != apex.LabelCount + 1
                || !record.Name.IsBelow(apex)
                || Base32Hex(record.Name.Label(0)) is not { Length: 20 } owner
            )
                return null;
            var reader = new WireReader(record.Rdata);
            var (algorithm, flags, iterations) = (reader.U8(), reader.U8(), reader.U16());
            var salt = reader.Take(reader.U8()).ToArray();
            var next = reader.Take(reader.U8()).ToArray();
            // RFC 5155 8.1, 8.2: unknown hash algorithms and unknown flags are ignored.
            return algorithm != 1 || (flags & ~1) != 0 || next.Length != 20
                ? null
                : new Nsec3(
                    owner,
                    next,
                    flags,
                    iterations,
                    salt,
                    new TypeBitmap(reader.Take(reader.Remaining).ToArray())
                );
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }

    public bool Covers(byte[] hash)
    {
        var (afterOwner, beforeNext) = (
            OwnerHash.AsSpan().SequenceCompareTo(hash) < 0,
            hash.AsSpan().SequenceCompareTo(NextHash) < 0
        );
        var wraps = OwnerHash.AsSpan().SequenceCompareTo(NextHash) >= 0;
        return wraps ? afterOwner || beforeNext : afterOwner && beforeNext;
    }

    /// <summary>RFC 5155 5: iterated SHA-1 over the canonical name.</summary>
    public static byte[] Hash(DomainName name, byte[] salt, int iterations)
    {
        var hash = SHA1.HashData([.. name.Wire, .. salt]);
        var buffer = new byte[20 + salt.Length];
        salt.CopyTo(buffer, 20);
        for (var i = 0; i < iterations; i++)
        {
            hash.CopyTo(buffer, 0);
            SHA1.HashData(buffer, hash);
        }
        return hash;
    }

    private static byte[]? Base32Hex(ReadOnlySpan<byte> label)
    {
        var octets = new List<byte>(20);
        int bits = 0,
            count = 0;
        foreach (var c in label)
        {
            var digit = c switch
            {
                >= (byte)'0' and <= (byte)'9' => c - '0',
                >= (byte)'a' and <= (byte)'v' => c - 'a' + 10,
                _ => -1,
            };
            if (digit < 0)
                return null;
            bits = (bits << 5) | digit;
            count += 5;
            if (count >= 8)
            {
                count -= 8;
                octets.Add((byte)(bits >> count));
                bits &= (1 << count) - 1;
            }
        }
        return [.. octets];
    }
}
