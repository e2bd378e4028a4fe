namespace PgpTunnel.Dns;

/// <summary>The RR types this library names (IANA registry).</summary>
public static class RecordType
{
    public const ushort A = 1,
        NS = 2,
        CNAME = 5,
        SOA = 6,
        PTR = 12,
        MX = 15,
        TXT = 16,
        AAAA = 28,
        SRV = 33,
        DNAME = 39,
        OPT = 41,
        DS = 43,
        RRSIG = 46,
        NSEC = 47,
        DNSKEY = 48,
        NSEC3 = 50,
        NSEC3PARAM = 51,
        TLSA = 52,
        OPENPGPKEY = 61,
        CAA = 257;

    private static readonly Dictionary<string, ushort> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        ["A"] = A,
        ["NS"] = NS,
        ["CNAME"] = CNAME,
        ["SOA"] = SOA,
        ["PTR"] = PTR,
        ["MX"] = MX,
        ["TXT"] = TXT,
        ["AAAA"] = AAAA,
        ["SRV"] = SRV,
        ["DNAME"] = DNAME,
        ["DS"] = DS,
        ["RRSIG"] = RRSIG,
        ["NSEC"] = NSEC,
        ["DNSKEY"] = DNSKEY,
        ["NSEC3"] = NSEC3,
        ["NSEC3PARAM"] = NSEC3PARAM,
        ["TLSA"] = TLSA,
        ["OPENPGPKEY"] = OPENPGPKEY,
        ["CAA"] = CAA,
    };

    /// <summary>Reads a mnemonic or the generic <c>TYPEn</c> of RFC 3597 5.</summary>
    public static bool TryParse(string text, out ushort type) =>
        Names.TryGetValue(text, out type)
        || (text.StartsWith("TYPE", StringComparison.OrdinalIgnoreCase) && ushort.TryParse(text.AsSpan(4), out type));

    public static string Name(ushort type) => Names.FirstOrDefault(n => n.Value == type).Key ?? $"TYPE{type}";

    /// <summary>
    /// How the RDATA is laid out where it holds domain names: <c>n</c> a name, a digit that many octets, <c>s</c> a character-string,
    /// <c>*</c> the rest. These are the types of RFC 4034 6.2 whose names may be compressed or are lower-cased, and NSEC.
    /// </summary>
    internal static string? Layout(ushort type) =>
        type switch
        {
            NS or 3 or 4 or CNAME or 7 or 8 or 9 or PTR or DNAME => "n",
            SOA => "nn*",
            14 or 17 => "nn", // MINFO, RP
            MX or 18 or 21 or 36 => "2n", // MX, AFSDB, RT, KX
            26 => "2nn", // PX
            SRV => "6n",
            35 => "4sssn", // NAPTR
            RRSIG => "99n*",
            NSEC => "n*",
            _ => null,
        };
}
