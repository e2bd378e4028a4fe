using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>The section <c>policy</c>.</summary>
/// <param name="Partners">By their domain.</param>
/// <param name="Groups">What holds for all domains below one, by that: of <c>*.group.example</c> the name is <c>group.example</c>.</param>
public sealed record PolicySettings(
    LocalPolicy Default,
    IReadOnlyDictionary<string, Partner> Partners,
    IReadOnlyDictionary<string, Partner> Groups
)
{
    private const string AllBelow = "*.";

    /// <summary>What is said of a domain, the most exact first: itself, and the groups that it is below.</summary>
    private IEnumerable<Partner> Entries(string domain)
    {
        if (Partners.TryGetValue(domain, out var partner))
            yield return partner;
        for (var dot = domain.IndexOf('.'); dot >= 0; dot = domain.IndexOf('.', dot + 1))
            if (Groups.TryGetValue(domain[(dot + 1)..], out var group))
                yield return group;
    }

    /// <summary>Of the most exact entry that has one; else that of all others.</summary>
    public LocalPolicy Of(string domain) =>
        Entries(domain).Select(e => e.Policy).FirstOrDefault(p => p is not null) ?? Default;

    /// <summary>The domain is named, or below one that is.</summary>
    public bool Names(string domain) => Entries(domain).Any();

    /// <summary>Its gateway may ask ours for an echo, by the most exact entry that says so or not.</summary>
    public bool AllowsEcho(string domain) =>
        Entries(domain).Select(e => e.Echo).FirstOrDefault(e => e is not null) ?? false;

    internal static readonly (string, LocalPolicy)[] Policies =
    [
        ("never", LocalPolicy.Never),
        ("prefer", LocalPolicy.Prefer),
        ("require", LocalPolicy.Require),
        ("require-verified", LocalPolicy.RequireVerified),
    ];

    internal static PolicySettings Read(ConfigurationNode root)
    {
        var policy = root.Section("policy");
        var fallback = policy.Choice("default", LocalPolicy.Prefer, Policies);
        var (partners, groups) = (new Dictionary<string, Partner>(), new Dictionary<string, Partner>());
        var section = policy.Section("partners");
        foreach (var name in section.OwnKeys().ToList())
        {
            var isGroup = name.StartsWith(AllBelow, StringComparison.Ordinal);
            var into = isGroup ? groups : partners;
            if (!Domains.TryNormalise(isGroup ? name[AllBelow.Length..] : name, out var domain))
                section.Mistake(name, "is not a domain, nor *. before one (policy.default is for all others)");
            else if (into.ContainsKey(domain))
                section.Mistake(name, "stands twice");
            if (section.OptionalSection(name) is { } node)
                into[domain] = isGroup ? Partner.ReadGroup(node) : Partner.Read(node, domain);
        }
        section.Close();
        policy.Close();
        return new(fallback, partners, groups);
    }

    internal IEnumerable<string?> Files => Partners.Values.Select(p => p.CertificateFile);
}

/// <param name="Fingerprints">Trusted fingerprints; empty = none.</param>
/// <param name="Certificate">Makes the partner usable without DNS.</param>
/// <param name="Policy">Null = that of a group it is in, or of all others.</param>
/// <param name="Echo">Its gateway may ask ours for an echo; null = as a group it is in says, or not.</param>
public sealed record Partner(
    LocalPolicy? Policy,
    IReadOnlyList<string> Fingerprints,
    Certificate? Certificate,
    string? CertificateFile,
    string? Gateway,
    bool? Echo
)
{
    /// <summary>Keys and their whereabouts are one domain's own.</summary>
    internal static Partner ReadGroup(ConfigurationNode node)
    {
        var (policy, echo) = ReadWishes(node);
        foreach (var name in new[] { "fingerprint", "certificate", "gateway" })
            if (node.Text(name, null) is not null)
                node.Mistake(name, "belongs to one domain; a group has policy and echo");
        node.Close();
        return new(policy, [], null, null, null, echo);
    }

    private static (LocalPolicy? Policy, bool? Echo) ReadWishes(ConfigurationNode node)
    {
        LocalPolicy? policy = node.Text("policy", null) is null
            ? null
            : node.Choice("policy", LocalPolicy.Prefer, PolicySettings.Policies);
        var echo = node.Flag("echo", false);
        return (policy, echo == node.Flag("echo", true) ? echo : null); // else it is not there
    }

    internal static Partner Read(ConfigurationNode node, string domain)
    {
        var (policy, echo) = ReadWishes(node);
        var (text, _) = node.TextOrSection("fingerprint");
        var fingerprints =
            text?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Select(f => f.Replace(" ", "").ToLowerInvariant())
                .ToList()
            ?? [];
        foreach (var bad in fingerprints.Where(f => !PolicyRecord.IsFingerprint(f)))
            node.Mistake("fingerprint", $"'{bad}' is not a fingerprint of 40 or 64 hex digits");
        var gateway = node.Text("gateway", null) is null
            ? null
            : node.Mailbox("gateway", PolicyRecord.DefaultMailbox(domain), PolicyRecord.LongestLocalPart).ToString();
        var certificateFile = node.File("certificate", null);
        var certificate = ReadCertificate(node, certificateFile);
        if (certificate is not null && fingerprints.Count > 0 && !fingerprints.Contains(certificate.Fingerprint))
            node.Mistake("certificate", $"is {certificate.Fingerprint}, which is not the fingerprint given");
        if (certificate is null && gateway is not null)
            node.Mistake(
                "gateway",
                "names the mailbox of a certificate file; without certificate the partner's DNS says where its gateway is"
            );
        if (
            certificate?.Judge(gateway ?? PolicyRecord.DefaultMailbox(domain), TimeProvider.System.GetUtcNow()) is
            { Key: null } judgement
        )
            node.Mistake("certificate", judgement.Refusal!);
        node.Close();
        return new Partner(policy, fingerprints, certificate, certificateFile, gateway, echo);
    }

    private static Certificate? ReadCertificate(ConfigurationNode node, string? file)
    {
        if (file is null)
            return null;
        try
        {
            return Certificate.ReadFile(File.ReadAllBytes(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OpenPgpException)
        {
            node.Mistake("certificate", $"{file}: {e.Message}");
            return null;
        }
    }
}
