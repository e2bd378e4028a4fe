using System.Text.Json;

namespace PgpTunnel;

/// <summary>What a new gateway's configuration says, as text with comments.</summary>
/// <param name="Domains">At least one.</param>
/// <param name="Gateway">The gateway's mailbox.</param>
internal sealed record FirstConfiguration(IReadOnlyList<string> Domains, string Gateway)
{
    /// <summary>Where a package has its configuration.</summary>
    public const string Packaged = "/etc/pgptunnel";

    public string Hostname { get; init; } = $"gw.{Domains[0]}";

    /// <summary>Where our own mail server hands in mail.</summary>
    public string Outbound { get; init; } = "127.0.0.1:10025";

    /// <summary>From where it does.</summary>
    public IReadOnlyList<string> Networks { get; init; } = ["127.0.0.0/8", "::1/128"];

    public string Inbound { get; init; } = "0.0.0.0:25";

    /// <summary>Where our own mail server takes opened mail.</summary>
    public string Local { get; init; } = "127.0.0.1:10026";

    /// <summary>The smarthost; null = none.</summary>
    public string? Relay { get; init; }

    /// <summary>
    /// Where what is secret or changes lies, as packages have it: in /var/lib, which belongs to the gateway's own user. Null = beside the
    /// configuration.
    /// </summary>
    public static string? StateOf(string directory) => directory == Packaged ? "/var/lib/pgptunnel" : null;

    /// <param name="directory">Where it is to be written.</param>
    public string Text(string directory)
    {
        var state = StateOf(directory) is { } elsewhere ? $"{elsewhere}/" : "";
        return $$"""
            {
              "domains": [{{List(Domains)}}],          // the domains this gateway serves
              "gateway": {{Quote(Gateway)}},
              "hostname": {{Quote(
                Hostname
            )}},                     // needs an A or AAAA record; the gateway's MX points here
              "postmaster": "postmaster@{{Domains[0]}}",
              "listen": {
                "outbound": { "address": {{Quote(Outbound)}},       // from our own mail server
                              "networks": [{{List(Networks)}}] },
                "inbound":  { "address": {{Quote(Inbound)}} }           // sealed mail from the world
              },
              "deliver": {
                "local": {{Quote(Local)}},                       // our own mail server takes opened mail here
                "relay": {{(
                Relay is null ? "null" : Quote(Relay)
            )}}                                     // smarthost for outgoing mail; null = MX of the destination
              },
              "policy": { "default": "prefer", "partners": {} },  // never | prefer | require | require-verified
              "keys": { "directory": "{{state}}keys", "passphraseFile": null },
              "spool": "sqlite:{{state}}spool.db"
            }

            """;
    }

    private static string Quote(string text) => JsonSerializer.Serialize(text);

    private static string List(IEnumerable<string> texts) => string.Join(", ", texts.Select(Quote));
}
