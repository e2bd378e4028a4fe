namespace PgpTunnel;

/// <summary>The section <c>evidence</c>.</summary>
/// <param name="Keep">What happens to mail goes on record.</param>
/// <param name="Erasable">Private parts may be erased by command.</param>
/// <param name="Auditors">Files with the OpenPgp certificates of those who are to read the private parts, beside this gateway.</param>
public sealed record EvidenceSettings(bool Keep, bool Erasable, IReadOnlyList<string> Auditors)
{
    internal static EvidenceSettings Read(ConfigurationNode root)
    {
        var evidence = root.Section("evidence");
        var settings = new EvidenceSettings(
            evidence.Flag("keep", true),
            evidence.Flag("erasable", true),
            [.. (evidence.TextList("auditors") ?? []).Select(evidence.InFolder)]
        );
        evidence.Close();
        return settings;
    }

    internal IEnumerable<string?> Files => Auditors;
}
