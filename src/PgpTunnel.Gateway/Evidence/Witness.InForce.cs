using System.Security.Cryptography;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>Under what the gateway works: its configuration and its key.</summary>
/// <param name="Configuration">SHA-256 of the file, lower-case hex.</param>
/// <param name="Key">Fingerprint of the key that signs.</param>
/// <param name="Subkey">Of its encryption subkey.</param>
internal sealed record InForce(string Configuration, string Key, string Subkey)
{
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static InForce Of(Settings settings) =>
        new(
            Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(settings.Configuration.File))),
            settings.Keys.Active.Fingerprint,
            settings.Keys.Active.EncryptionFingerprint
        );

    public override string ToString() => $"{Configuration} {Key} {Subkey}";

    /// <returns>Null when the text is none.</returns>
    public static InForce? Read(string? text) =>
        text?.Split(' ') is [var configuration, var key, var subkey] ? new(configuration, key, subkey) : null;
}

/// <summary>What goes on record of that, in the log of each of our domains about all others.</summary>
internal sealed partial class Witness
{
    /// <param name="before">What was on record last; null = nothing was.</param>
    public IReadOnlyList<LogEntry> Changed(InForce? before, InForce now)
    {
        var drafts = new List<Draft>();
        if (now.Configuration != before?.Configuration)
            drafts.Add(new("policy", ("file", now.Configuration), ("was", before?.Configuration)));
        if ((now.Key, now.Subkey) != (before?.Key, before?.Subkey))
            drafts.Add(new("key", ("key", now.Key), ("sub", now.Subkey), ("was", before?.Key)));
        return Keeps
            ?
            [
                .. settings.Configuration.Domains.SelectMany(d =>
                    drafts.Select(r => Entry(d, LogOrigin.World, null, r))
                ),
            ]
            : [];
    }
}
