using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>The section <c>policy</c>.</summary>
public sealed record PolicySettings(LocalPolicy Default, IReadOnlyDictionary<string, Partner> Partners)
{
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
        var partners = new Dictionary<string, Partner>();
        var section = policy.Section("partners");
        foreach (var name in section.OwnKeys().ToList())
        {
            if (!Domains.TryNormalise(name, out var domain))
                section.Mistake(name, "is not a domain (there are no wildcards; policy.default is for all others)");
            else if (partners.ContainsKey(domain))
                section.Mistake(name, "stands twice");
            if (section.OptionalSection(name) is { } node)
                partners[domain] = Partner.Read(node, domain);
        }
        section.Close();
        policy.Close();
        return new(fallback, partners);
    }

    internal IEnumerable<string?> Files => Partners.Values.Select(p => p.CertificateFile);
}

/// <param name="Fingerprints">Trusted fingerprints; empty = none.</param>
/// <param name="Certificate">Makes the partner usable without DNS.</param>
/// <param name="Echo">Its gateway may ask ours for an echo.</param>
public sealed record Partner(
    LocalPolicy? Policy,
    IReadOnlyList<string> Fingerprints,
    Certificate? Certificate,
    string? CertificateFile,
    string? Gateway,
    bool Echo
)
{
    internal static Partner Read(ConfigurationNode node, string domain)
    {
        LocalPolicy? own = node.Text("policy", null) is null
            ? null
            : node.Choice("policy", LocalPolicy.Prefer, PolicySettings.Policies);
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
        var (certificateFile, echo) = (node.File("certificate", null), node.Flag("echo", false));
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
        return new Partner(own, fingerprints, certificate, certificateFile, gateway, echo);
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
