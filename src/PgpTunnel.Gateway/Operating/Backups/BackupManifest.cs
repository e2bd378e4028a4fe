using System.Text.Json;
using System.Text.RegularExpressions;

namespace PgpTunnel;

/// <summary>What a backup is of: the first file in it.</summary>
/// <param name="Format">Version of the form.</param>
/// <param name="Made">When it was begun, UTC.</param>
/// <param name="Keys">Fingerprints of the gateway's keys.</param>
/// <param name="Queue">The mail that waited is in it.</param>
/// <param name="EvidenceKeys">The keys to the private parts of what is on record are in it.</param>
/// <param name="Files">Files that the configuration names, by their names in the backup, as it names them.</param>
internal sealed partial record BackupManifest(
    int Format,
    DateTimeOffset Made,
    string Gateway,
    IReadOnlyList<string> Keys,
    bool Queue,
    bool EvidenceKeys,
    IReadOnlyDictionary<string, string> Files
)
{
    public const int Version = 1;

    // Names in a backup.
    public const string Name = "backup.json",
        Configuration = "pgptunnel.json",
        Spool = "spool.db",
        Sums = "SHA256SUMS",
        KeyFolder = "keys/",
        FileFolder = "files/",
        BodyFolder = "bodies/";

    /// <summary>
    /// True of what a file in a backup can be called: nothing that leads out of its folder, and nothing but what is known.
    /// </summary>
    public static bool IsKnown(string name) => Known().IsMatch(name);

    /// <summary>A line as <c>sha256sum</c> writes it.</summary>
    public static string Sum(byte[] hash, string name) => $"{Convert.ToHexStringLower(hash)}  {name}\n";

    [GeneratedRegex(
        @"\A(?:backup\.json|pgptunnel\.json|SHA256SUMS|spool\.db|files/[0-9]+|bodies/[0-9a-f]+"
            + @"|keys/(?:[0-9A-Za-z][\w.-]*\.(?:key|revocation)|plan\.json|evidence/(?:heads|erased|[0-9-]+\.(?:key|lost))))\z"
    )]
    private static partial Regex Known();

    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, JsonSerializerOptions.Web);

    /// <exception cref="BackupException">It is none, or of a later version.</exception>
    public static BackupManifest Read(byte[] octets)
    {
        try
        {
            if (
                JsonSerializer.Deserialize<BackupManifest>(octets, JsonSerializerOptions.Web) is
                { Keys: not null, Files: not null } manifest
            )
                return manifest.Format == Version
                    ? manifest
                    : throw new BackupException(
                        $"the backup has form {manifest.Format}, and this program knows {Version}: use the version that made it"
                    );
        }
        catch (JsonException) { }
        throw new BackupException($"{Name} in it is none");
    }
}

/// <summary>By what it is known whose a backup is.</summary>
internal enum BackupSource
{
    /// <summary>It opened by a passphrase, which only we have.</summary>
    OwnPassphrase,

    /// <summary>Nothing says so: an archive that came as it is, whoever made it.</summary>
    Anybody,
}

/// <summary>What is no backup, or a damaged one, or cannot be restored here; nothing was changed.</summary>
internal sealed class BackupException(string message) : Exception(message)
{
    /// <summary>The backup is well, and something stands where it is to go.</summary>
    public bool IsAboutPlace { get; init; }
}
