using System.Buffers.Binary;
using System.Security.Cryptography;
using PgpTunnel.Dns;

namespace PgpTunnel.Demo;

/// <summary>
/// One DNSSEC-signed zone in memory (RFC 4034, algorithm 13, one key, NSEC): enough to answer as a real signed zone would, for the demo
/// and for tests that need a world of their own.
/// </summary>
internal sealed class SignedZone
{
    private const uint Ttl = 300;
    private const ushort Class = 1;

    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly SortedDictionary<DomainName, Dictionary<ushort, List<byte[]>>> _names = [];
    private readonly Lock _changing = new(); // zones change while they are asked
    private readonly byte[] _dnsKey;
    private readonly uint _expiration;
    private uint _inception;

    /// <param name="days">For which its records are signed.</param>
    public SignedZone(string name, DateTimeOffset now, int days = 30)
    {
        Name = DomainName.Parse(name);
        var point = _key.ExportParameters(false).Q;
        _dnsKey = [1, 1, 3, 13, .. point.X!, .. point.Y!]; // zone key with SEP flag
        (_inception, _expiration) = (
            (uint)now.AddHours(-1).ToUnixTimeSeconds(),
            (uint)now.AddDays(days).ToUnixTimeSeconds()
        );
        var host = DomainName.Parse("ns.example");
        Add(
            Name,
            RecordType.SOA,
            [.. host.Wire, .. host.Wire, 0, 0, 0, 1, 0, 0, 14, 16, 0, 0, 2, 88, 0, 1, 81, 128, 0, 0, 0, 60]
        );
        Add(Name, RecordType.NS, host.Wire.ToArray());
        Add(Name, RecordType.DNSKEY, _dnsKey);
    }

    public DomainName Name { get; }

    /// <summary>Signs everything anew: what is answered from now on says that it was signed then.</summary>
    public void SignAnew(DateTimeOffset inception) => _inception = (uint)inception.ToUnixTimeSeconds();

    public void Add(DomainName name, ushort type, byte[] rdata)
    {
        using var locked = _changing.EnterScope();
        if (!_names.TryGetValue(name, out var sets))
            _names[name] = sets = [];
        if (!sets.TryGetValue(type, out var set))
            sets[type] = set = [];
        set.Add(rdata);
    }

    public void Remove(DomainName name, ushort type)
    {
        using var locked = _changing.EnterScope();
        if (_names.TryGetValue(name, out var sets) && sets.Remove(type) && sets.Count == 0)
            _names.Remove(name);
    }

    /// <summary>Delegates a child, signed by its own key.</summary>
    public void Delegate(SignedZone child)
    {
        Add(child.Name, RecordType.NS, DomainName.Parse("ns.example").Wire.ToArray());
        Add(child.Name, RecordType.DS, child.DelegationSigner);
    }

    /// <summary>DS RDATA with a SHA-256 digest (RFC 4509).</summary>
    public byte[] DelegationSigner => [.. KeyTagOctets, 13, 2, .. SHA256.HashData([.. Name.Wire, .. _dnsKey])];

    /// <summary>The trust anchor line for this zone's key.</summary>
    public string AnchorLine =>
        $"{Name} IN DS {BinaryPrimitives.ReadUInt16BigEndian(KeyTagOctets)} 13 2 {Convert.ToHexString(DelegationSigner.AsSpan(4))}";

    private byte[] KeyTagOctets
    {
        get
        {
            uint sum = 0; // RFC 4034 appendix B
            for (var i = 0; i < _dnsKey.Length; i++)
                sum += (i & 1) == 0 ? (uint)_dnsKey[i] << 8 : _dnsKey[i];
            sum += sum >> 16;
            return [(byte)(sum >> 8), (byte)sum];
        }
    }

    /// <summary>What this zone's server says to a question within it.</summary>
    public WorldAnswer Answer(DomainName name, ushort type)
    {
        using var locked = _changing.EnterScope();
        if (_names.TryGetValue(name, out var sets))
        {
            if (sets.TryGetValue(type, out var asked))
                return new(0, Signed(name, name, type, asked), []);
            if (sets.TryGetValue(RecordType.CNAME, out var alias))
                return new(0, Signed(name, name, RecordType.CNAME, alias), []);
            return new(0, [], [.. Soa(), .. Nsec(name)]);
        }
        if (_names.Keys.Any(n => n.IsBelow(name))) // an empty non-terminal
            return new(0, [], [.. Soa(), .. Covering(name)]);
        var encloser = name.Parent;
        while (!_names.ContainsKey(encloser) && !_names.Keys.Any(n => n.IsBelow(encloser)))
            encloser = encloser.Parent;
        var wildcard = encloser.Prepend("*"u8);
        if (_names.TryGetValue(wildcard, out var wild))
        {
            if (wild.TryGetValue(type, out var set))
                return new(0, Signed(name, wildcard, type, set), Covering(name));
            if (wild.TryGetValue(RecordType.CNAME, out var alias))
                return new(0, Signed(name, wildcard, RecordType.CNAME, alias), Covering(name));
        }
        return new(3, [], [.. Soa(), .. Covering(name).Concat(Covering(wildcard)).DistinctBy(r => (r.Name, r.Type))]);
    }

    private List<DnsRecord> Soa() => Signed(Name, Name, RecordType.SOA, _names[Name][RecordType.SOA]);

    private List<DnsRecord> Covering(DomainName name) => Nsec(_names.Keys.Last(n => n < name));

    private List<DnsRecord> Nsec(DomainName owner)
    {
        var next = _names.Keys.FirstOrDefault(n => n > owner) ?? Name;
        byte[] rdata = [.. next.Wire, .. Bitmap([.. _names[owner].Keys, RecordType.NSEC, RecordType.RRSIG])];
        return Signed(owner, owner, RecordType.NSEC, [rdata]);
    }

    private static byte[] Bitmap(IEnumerable<ushort> types)
    {
        var octets = new byte[32];
        foreach (var type in types.Where(t => t < 256))
            octets[type >> 3] |= (byte)(0x80 >> (type & 7));
        var length = Array.FindLastIndex(octets, o => o != 0) + 1;
        return [0, (byte)length, .. octets[..length]];
    }

    /// <summary>
    /// An RRset as it is answered at <paramref name="name"/>, signed as owned by <paramref name="owner"/> (a wildcard, perhaps).
    /// </summary>
    private List<DnsRecord> Signed(DomainName name, DomainName owner, ushort type, List<byte[]> set)
    {
        var labels = owner.IsWildcard ? owner.LabelCount - 1 : owner.LabelCount;
        byte[] head =
        [
            (byte)(type >> 8),
            (byte)type,
            13,
            (byte)labels,
            .. U32(Ttl),
            .. U32(_expiration),
            .. U32(_inception),
            .. KeyTagOctets,
            .. Name.Wire,
        ];
        var data = new List<byte>(head);
        foreach (var rdata in set.OrderBy(r => r, Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b))))
            data.AddRange([
                .. owner.Wire,
                (byte)(type >> 8),
                (byte)type,
                0,
                (byte)Class,
                .. U32(Ttl),
                (byte)(rdata.Length >> 8),
                (byte)rdata.Length,
                .. rdata,
            ]);
        var signature = _key.SignData(
            [.. data],
            HashAlgorithmName.SHA256,
            DSASignatureFormat.IeeeP1363FixedFieldConcatenation
        );
        return
        [
            .. set.Select(r => new DnsRecord(name, type, Class, Ttl, r)),
            new DnsRecord(name, RecordType.RRSIG, Class, Ttl, [.. head, .. signature]),
        ];
    }

    private static byte[] U32(uint value) =>
        [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];
}

/// <summary>The parts of a DNS response that zones decide.</summary>
internal sealed record WorldAnswer(int Rcode, List<DnsRecord> Answer, List<DnsRecord> Authority);

/// <summary>A tree of signed zones that answers as a resolver does.</summary>
internal sealed class SignedWorld
{
    private volatile IReadOnlyList<SignedZone> _zones = [];

    /// <summary>The root's trust anchor, in presentation format.</summary>
    public string Anchor => _zones.First(z => z.Name.IsRoot).AnchorLine;

    public void Add(SignedZone zone) => _zones = [.. _zones, zone];

    /// <summary>The DS of a zone is its parent's to answer; everything else belongs to the nearest zone above.</summary>
    public WorldAnswer Answer(DomainName name, ushort type) =>
        _zones
            .Where(z => name.IsWithin(z.Name) && !(type == RecordType.DS && z.Name == name && !name.IsRoot))
            .MaxBy(z => z.Name.LabelCount)!
            .Answer(name, type);
}
