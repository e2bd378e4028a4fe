using System.Globalization;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>Resource records from presentation to wire format, as far as other people's test data needs it.</summary>
internal static class PresentationFormat
{
    /// <summary>Parses <c>owner [TTL] [IN] TYPE rdata…</c>; null when the type or form is not known here.</summary>
    public static DnsRecord? Parse(string line)
    {
        var fields = Fields(line);
        var at = 1;
        uint ttl = 3600;
        while (
            at < fields.Count
            && (
                uint.TryParse(fields[at], out var number) || fields[at].Equals("IN", StringComparison.OrdinalIgnoreCase)
            )
        )
        {
            ttl = fields[at].Equals("IN", StringComparison.OrdinalIgnoreCase) ? ttl : number;
            at++;
        }
        if (at >= fields.Count || !RecordType.TryParse(fields[at], out var type))
            return null;
        return Rdata(type, fields[(at + 1)..]) is { } rdata
            ? new DnsRecord(DomainName.Parse(fields[0]), type, 1, ttl, rdata)
            : null;
    }

    private static List<string> Fields(string line)
    {
        var fields = new List<string>();
        var text = line.Replace("(", " ").Replace(")", " ");
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == ';')
                break;
            if (char.IsWhiteSpace(text[i]))
                continue;
            var end = i;
            if (text[i] == '"')
                end = text.IndexOf('"', i + 1) + 1;
            else
                while (end < text.Length && !char.IsWhiteSpace(text[end]) && text[end] != ';')
                    end++;
            fields.Add(text[i..end]);
            i = end - 1;
        }
        return fields;
    }

    private static byte[]? Rdata(ushort type, List<string> f)
    {
        try
        {
            return type switch
            {
                RecordType.A or RecordType.AAAA => System.Net.IPAddress.Parse(f[0]).GetAddressBytes(),
                RecordType.NS or RecordType.CNAME or RecordType.DNAME or RecordType.PTR => [.. Name(f[0])],
                RecordType.MX => [.. U16(f[0]), .. Name(f[1])],
                RecordType.SOA => [.. Name(f[0]), .. Name(f[1]), .. f.Skip(2).Take(5).SelectMany(U32)],
                RecordType.TXT => [.. f.SelectMany(t => TestWorld.Txt(t.Trim('"')))],
                RecordType.DS =>
                [
                    .. U16(f[0]),
                    byte.Parse(f[1], CultureInfo.InvariantCulture),
                    byte.Parse(f[2], CultureInfo.InvariantCulture),
                    .. Convert.FromHexString(string.Concat(f.Skip(3))),
                ],
                RecordType.DNSKEY =>
                [
                    .. U16(f[0]),
                    byte.Parse(f[1], CultureInfo.InvariantCulture),
                    byte.Parse(f[2], CultureInfo.InvariantCulture),
                    .. Convert.FromBase64String(string.Concat(f.Skip(3))),
                ],
                RecordType.RRSIG =>
                [
                    .. Type(f[0]),
                    byte.Parse(f[1], CultureInfo.InvariantCulture),
                    byte.Parse(f[2], CultureInfo.InvariantCulture),
                    .. U32(f[3]),
                    .. Moment(f[4]),
                    .. Moment(f[5]),
                    .. U16(f[6]),
                    .. Name(f[7]),
                    .. Convert.FromBase64String(string.Concat(f.Skip(8))),
                ],
                RecordType.NSEC => [.. Name(f[0]), .. Bitmap(f.Skip(1))],
                RecordType.NSEC3 =>
                [
                    byte.Parse(f[0], CultureInfo.InvariantCulture),
                    byte.Parse(f[1], CultureInfo.InvariantCulture),
                    .. U16(f[2]),
                    .. Counted(f[3] == "-" ? [] : Convert.FromHexString(f[3])),
                    .. Counted(Base32Hex(f[4])),
                    .. Bitmap(f.Skip(5)),
                ],
                _ => null,
            };
        }
        catch (Exception e) when (e is FormatException or ArgumentOutOfRangeException or OverflowException)
        {
            return null;
        }
    }

    private static byte[] Name(string text) => DomainName.Parse(text).Wire.ToArray();

    private static byte[] Counted(byte[] octets) => [(byte)octets.Length, .. octets];

    private static byte[] U16(string text) =>
        [
            (byte)(ushort.Parse(text, CultureInfo.InvariantCulture) >> 8),
            (byte)ushort.Parse(text, CultureInfo.InvariantCulture),
        ];

    private static byte[] U32(string text) => U32(uint.Parse(text, CultureInfo.InvariantCulture));

    private static byte[] U32(uint value) =>
        [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    private static byte[] Type(string text) =>
        RecordType.TryParse(text, out var type) ? [(byte)(type >> 8), (byte)type] : throw new FormatException(text);

    public static DateTimeOffset ParseMoment(string text) =>
        text.Length == 14
            ? DateTimeOffset.ParseExact(
                text,
                "yyyyMMddHHmmss",
                CultureInfo.InvariantCulture,
                DateTimeStyles.AssumeUniversal
            )
            : DateTimeOffset.FromUnixTimeSeconds(long.Parse(text, CultureInfo.InvariantCulture));

    private static byte[] Moment(string text) => U32((uint)ParseMoment(text).ToUnixTimeSeconds());

    private static byte[] Bitmap(IEnumerable<string> names)
    {
        var types = names
            .Select(n =>
                RecordType.TryParse(n, out var type)
                    ? type
                    : n switch
                    {
                        "HINFO" => (ushort)13,
                        "RP" => (ushort)17,
                        "SIG" => (ushort)24,
                        "LOC" => (ushort)29,
                        "SPF" => (ushort)99,
                        _ => throw new FormatException(n),
                    }
            )
            .Order();
        var octets = new List<byte>();
        foreach (var window in types.GroupBy(t => t >> 8))
        {
            var bits = new byte[32];
            foreach (var type in window)
                bits[(type & 0xFF) >> 3] |= (byte)(0x80 >> (type & 7));
            var length = Array.FindLastIndex(bits, b => b != 0) + 1;
            octets.AddRange([(byte)window.Key, (byte)length, .. bits[..length]]);
        }
        return [.. octets];
    }

    private static byte[] Base32Hex(string text)
    {
        var (octets, bits, count) = (new List<byte>(), 0, 0);
        foreach (var c in text.ToLowerInvariant())
        {
            bits = (bits << 5) | (char.IsAsciiDigit(c) ? c - '0' : c - 'a' + 10);
            if ((count += 5) >= 8)
                octets.Add((byte)(bits >> (count -= 8)));
            bits &= (1 << count) - 1;
        }
        return [.. octets];
    }
}
