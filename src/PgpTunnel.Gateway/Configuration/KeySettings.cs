namespace PgpTunnel;

/// <summary>The section <c>keys</c>.</summary>
/// <param name="EncryptionLifetime">After this time a new encryption subkey is made; null = by hand only.</param>
public sealed record KeySettings(string Directory, string? PassphraseFile, TimeSpan? EncryptionLifetime)
{
    internal static string ReadDirectory(ConfigurationNode keys) => keys.File("directory", "keys")!;

    internal static KeySettings Read(ConfigurationNode root)
    {
        var keys = root.Section("keys");
        var settings = new KeySettings(
            ReadDirectory(keys),
            keys.File("passphraseFile", null),
            keys.Text("encryptionLifetime", null) is null
                ? null
                : keys.Time("encryptionLifetime", TimeSpan.FromDays(365))
        );
        if (settings.EncryptionLifetime < ParcelLife.Longest * 2)
            keys.Mistake(
                "encryptionLifetime",
                $"must be at least {ParcelLife.Longest * 2:c}: the old subkey must open what is on its way"
            );
        keys.Close();
        return settings;
    }

    internal IEnumerable<string?> Files =>
        System.IO.Directory.Exists(Directory)
            ?
            [
                PassphraseFile,
                .. System
                    .IO.Directory.EnumerateFiles(Directory, "*.key")
                    .Append(Path.Combine(Directory, "plan.json"))
                    .Order(),
            ]
            : [PassphraseFile];
}
