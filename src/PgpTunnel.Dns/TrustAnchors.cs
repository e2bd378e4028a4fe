using System.Globalization;

namespace PgpTunnel.Dns;

/// <summary>Where trust starts: DS or DNSKEY records of the root (or of islands), from a file or built in.</summary>
public sealed class TrustAnchors
{
    // https://data.iana.org/root-anchors/root-anchors.xml
    private const string Iana = """
        . IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
        . IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
        """;

    private readonly Dictionary<DomainName, Anchor> _anchors = [];

    private TrustAnchors(string text) => Text = text;

    /// <summary>What it was read from.</summary>
    public string Text { get; }

    internal sealed class Anchor
    {
        public List<DelegationSigner> Signers { get; } = [];
        public List<byte[]> Keys { get; } = [];
    }

    /// <summary>The root keys 20326 (2017) and 38696 (2024) of IANA.</summary>
    public static TrustAnchors BuiltIn { get; } = Parse(Iana);

    /// <summary>Reads DS or DNSKEY records in presentation format, one a line, <c>;</c> starts a comment.</summary>
    /// <exception cref="FormatException">Names the line that cannot be read.</exception>
    public static TrustAnchors Parse(string text)
    {
        var anchors = new TrustAnchors(text);
        var number = 0;
        foreach (var raw in text.Split('\n'))
        {
            number++;
            var line = raw.Split(';')[0].Replace("(", " ").Replace(")", " ");
            var fields = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length == 0)
                continue;
            try
            {
                anchors.Add(fields);
            }
            catch (Exception e)
                when (e is FormatException or IndexOutOfRangeException or ArgumentException or OverflowException)
            {
                throw new FormatException($"line {number} is not a DS or DNSKEY record: {line.Trim()}");
            }
        }
        return anchors._anchors.Count > 0 ? anchors : throw new FormatException("no DS or DNSKEY record found");
    }

    private void Add(string[] fields)
    {
        var name = DomainName.Parse(fields[0]);
        var at = 1;
        while (uint.TryParse(fields[at], out _) || fields[at].Equals("IN", StringComparison.OrdinalIgnoreCase))
            at++;
        if (!_anchors.TryGetValue(name, out var anchor))
            _anchors[name] = anchor = new Anchor();
        var last = string.Concat(fields[(at + 4)..]);
        switch (fields[at].ToUpperInvariant())
        {
            case "DS":
                anchor.Signers.Add(
                    new(
                        ushort.Parse(fields[at + 1]),
                        byte.Parse(fields[at + 2]),
                        byte.Parse(fields[at + 3]),
                        Convert.FromHexString(last)
                    )
                );
                break;
            case "DNSKEY":
                var flags = ushort.Parse(fields[at + 1], NumberStyles.None);
                anchor.Keys.Add([
                    (byte)(flags >> 8),
                    (byte)flags,
                    byte.Parse(fields[at + 2]),
                    byte.Parse(fields[at + 3]),
                    .. Convert.FromBase64String(last),
                ]);
                break;
            default:
                throw new FormatException();
        }
    }

    internal Anchor? For(DomainName name) => _anchors.GetValueOrDefault(name);
}
