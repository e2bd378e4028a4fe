using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>The mode a domain publishes.</summary>
public enum PolicyMode
{
    None,
    Testing,
    Enforce,
}

/// <summary>A secure policy answer that cannot be used: an operator's mistake. The message names it.</summary>
internal sealed class PolicyRecordException(string message) : Exception(message);

/// <summary>The TXT record at <c>_pgptunnel.&lt;domain&gt;</c> (PROTOCOL.md 2).</summary>
/// <param name="Fingerprints">Primary-key fingerprints in order of preference, lower-case hex.</param>
/// <param name="Distrusted">Fingerprints not to be trusted for this domain.</param>
/// <param name="Gateway">The gateway's mailbox.</param>
/// <param name="MaxAge">How long the policy is remembered.</param>
/// <param name="Size">Largest inner message in octets; null = not stated.</param>
public sealed partial record PolicyRecord(
    PolicyMode Mode,
    IReadOnlyList<string> Fingerprints,
    IReadOnlyList<string> Distrusted,
    string Gateway,
    TimeSpan MaxAge,
    long? Size
)
{
    /// <summary>Its gateway gives receipts to who asks (<c>rct=1</c>). Any other value counts as not there: the gateways that do not know
    /// the tag must find the same record usable.</summary>
    public bool GivesReceipts { get; init; }

    public const string Label = "_pgptunnel",
        DefaultLocalPart = "pgptunnel";
    private const int Longest = 1024,
        MaxDistrusted = 16,
        MaxAgeSeconds = 31557600;

    /// <summary>Octets of the local part of a gateway's mailbox.</summary>
    internal const int LongestLocalPart = 31;

    /// <summary>The mailbox of a domain's gateway where the policy names none.</summary>
    internal static string DefaultMailbox(string domain) => $"{DefaultLocalPart}@{DefaultLocalPart}.{domain}";

    // The certificate's name has 69 octets in front of the gateway domain; the whole name has at most 253.
    internal const int LongestGatewayDomain = 253 - 69;

    /// <summary>Of a domain that can have a policy, with <c>_pgptunnel</c> and the default gateway's labels in front.</summary>
    internal const int LongestDomain = 253 - 31;
    private const string Version = "v=PGPT1";

    /// <summary>Finds and reads the policy among the TXT records of a secure answer.</summary>
    /// <param name="records">TXT RDATA: character-strings.</param>
    /// <returns>The policy, or null when no record is one.</returns>
    /// <exception cref="PolicyRecordException">Two policies, or one that is malformed.</exception>
    internal static PolicyRecord? Find(IReadOnlyList<byte[]> records, string domain)
    {
        var policies = records.Select(CharacterStrings.Join).Where(IsPolicy).ToList();
        return policies.Count switch
        {
            0 => null,
            1 => Parse(policies[0], domain),
            _ => throw new PolicyRecordException("more than one v=PGPT1 record"),
        };
    }

    private static bool IsPolicy(byte[] text) =>
        text.AsSpan().StartsWith("v=PGPT1"u8)
        && (text.Length == Version.Length || text[Version.Length] is (byte)' ' or (byte)'\t' or (byte)';');

    /// <summary>
    /// What stands there that was meant as a policy, and is none: quoted, with something in front, escaped, in capitals, without its
    /// semicolon. Null = nothing like it.
    /// </summary>
    internal static string? NearMiss(IReadOnlyList<byte[]> records) =>
        records
            .Select(CharacterStrings.Join)
            .Where(t => !IsPolicy(t) && LooksLikeOne().IsMatch(Encoding.Latin1.GetString(t)))
            .Select(Miss)
            .FirstOrDefault();

    /// <summary>Whatever names this version stands there for no other purpose; a later version is another matter.</summary>
    [GeneratedRegex("PGPT1(?![0-9])", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex LooksLikeOne();

    private static string Miss(byte[] text)
    {
        var at = 0;
        while (at < Version.Length && at < text.Length && text[at] == Version[at])
            at++;
        var octet =
            at == text.Length
                ? "the end"
                : $"octet {at + 1} is 0x{text[at]:X2}{(text[at] is > 0x20 and < 0x7F ? $" ({(char)text[at]})" : "")}";
        var wanted =
            at == Version.Length
                ? "a blank, a semicolon or the end must follow v=PGPT1"
                : $"'{Version[at]}' of v=PGPT1 must stand";
        return $"{octet} where {wanted} in: {Escaped(text)}";
    }

    private static string Escaped(byte[] text) =>
        string.Concat(text.Take(60).Select(o => o is >= 0x20 and < 0x7F ? ((char)o).ToString() : $"\\{o:D3}"))
        + (text.Length > 60 ? "…" : "");

    internal static PolicyRecord Parse(byte[] octets, string domain)
    {
        if (octets.Length > Longest)
            throw new PolicyRecordException($"the policy has {octets.Length} octets, more than {Longest}");
        var tags = Tags(Encoding.Latin1.GetString(octets));
        var mode = tags.GetValueOrDefault("m", "testing") switch
        {
            "none" => PolicyMode.None,
            "testing" => PolicyMode.Testing,
            "enforce" => PolicyMode.Enforce,
            var other => throw new PolicyRecordException($"m={other} is none of none, testing, enforce"),
        };
        var fingerprints =
            tags.TryGetValue("fp", out var fp) ? FingerprintList("fp", fp)
            : mode == PolicyMode.None ? []
            : throw new PolicyRecordException("fp is missing");
        var distrusted = tags.TryGetValue("xfp", out var xfp) ? FingerprintList("xfp", xfp) : [];
        if (distrusted.Count > MaxDistrusted)
            throw new PolicyRecordException($"xfp has more than {MaxDistrusted} fingerprints");
        var gateway = tags.TryGetValue("gw", out var gw) ? Mailbox(gw) : DefaultMailbox(domain);
        if (
            mode != PolicyMode.None
            && gateway.Length - DefaultLocalPart.Length - 1 > LongestGatewayDomain
            && gw is null
        )
            throw new PolicyRecordException(
                $"gw is missing, and no certificate can stand at a name as long as that of {DefaultLocalPart}.{domain}"
            );
        var age = tags.TryGetValue("a", out var a) ? Number("a", a, MaxAgeSeconds) : 604800;
        long? size = tags.TryGetValue("sz", out var sz) ? Number("sz", sz, long.MaxValue) : null;
        return new PolicyRecord(mode, fingerprints, distrusted, gateway, TimeSpan.FromSeconds(age), size)
        {
            GivesReceipts = tags.GetValueOrDefault("rct") == "1",
        };
    }

    private static Dictionary<string, string> Tags(string text)
    {
        var tags = new Dictionary<string, string>();
        var fields = text.Split(';');
        for (var i = 0; i < fields.Length; i++)
        {
            var field = fields[i].Trim(' ', '\t');
            if (field.Length == 0 && i == fields.Length - 1 && i > 0)
                break; // one trailing semicolon
            var equals = field.IndexOf('=');
            if (equals < 1 || !field[..equals].All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
                throw new PolicyRecordException($"'{Printable(field)}' is not of the form tag=value");
            var (name, value) = (field[..equals], field[(equals + 1)..]);
            if (value.Any(c => c is < '!' or > '~' or ';'))
                throw new PolicyRecordException($"the value of {name} has a character that is not allowed");
            if (!tags.TryAdd(name, value))
                throw new PolicyRecordException($"the tag {name} stands twice");
        }
        return tags;
    }

    private static string Printable(string text) =>
        string.Concat(text.Take(40).Select(c => c is >= ' ' and <= '~' ? c : '?'));

    private static List<string> FingerprintList(string tag, string text)
    {
        var list = text.Split(',').ToList();
        return list.TrueForAll(IsFingerprint) && list.Distinct().Count() == list.Count
            ? list
            : throw new PolicyRecordException(
                $"{tag} is not a list of different fingerprints (40 or 64 lower-case hex digits each)"
            );
    }

    public static bool IsFingerprint(string text) => text.Length is 40 or 64 && text.All(char.IsAsciiHexDigitLower);

    /// <summary>An ASCII dot-string of at most 31 octets, and an A-label domain.</summary>
    private static string Mailbox(string text) =>
        Smtp.Mailbox.TryParse(text, false, out var mailbox)
        && text[0] != '"'
        && mailbox.Local.Length <= LongestLocalPart
        && !mailbox.IsLiteral
        && Domains.TryNormalise(mailbox.Domain, out var domain)
        && domain.Length <= LongestGatewayDomain
            ? $"{mailbox.Local}@{domain}"
            : throw new PolicyRecordException($"gw={Printable(text)} is not a gateway mailbox");

    private static long Number(string tag, string text, long largest) =>
        text.Length is > 0 and <= 19
        && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        && number <= largest
            ? number
            : throw new PolicyRecordException($"{tag}={Printable(text)} is not a number up to {largest}");

    /// <summary>Where the certificate of a gateway mailbox is published (RFC 7929 3): type OPENPGPKEY.</summary>
    public static DomainName CertificateName(string gateway)
    {
        var at = gateway.LastIndexOf('@');
        var digest = System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(gateway[..at]));
        return DomainName.Parse($"{Convert.ToHexStringLower(digest.AsSpan(0, 28))}._openpgpkey.{gateway[(at + 1)..]}");
    }

    /// <summary>Where it stands as TXT when the DNS host has no type OPENPGPKEY.</summary>
    public static DomainName FallbackName(string fingerprint, string gateway) =>
        DomainName.Parse($"{fingerprint[..40]}._key.{Label}.{GatewayAddress.DomainOf(gateway)}");
}
