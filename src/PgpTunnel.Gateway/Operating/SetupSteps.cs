using System.Net;

namespace PgpTunnel;

/// <summary>A step on the way to a gateway that works.</summary>
/// <param name="Do">What is to be done; null where it is.</param>
internal sealed record SetupStep(string What, string? Do)
{
    public bool Done => Do is null;
}

/// <summary>What is done of a gateway's setup, and what is left, by looking.</summary>
internal static class SetupSteps
{
    public const string RecordsFile = "dns-records.txt";

    /// <param name="status">Of now.</param>
    /// <param name="servers">What our own mail server and the smarthost answered.</param>
    /// <param name="folder">Where the files lie that 'setup' has written.</param>
    public static IEnumerable<SetupStep> Of(
        GatewayConfiguration configuration,
        StatusView status,
        IReadOnlyList<Finding> servers,
        string folder
    )
    {
        // Where the commands do not find it by themselves.
        var config = folder == FirstConfiguration.Packaged ? "" : $" --config {configuration.File}";
        yield return new($"configuration {configuration.File}, key {status.Key}", null);
        foreach (var domain in status.Domains)
            yield return new(
                $"DNS records of {domain.Domain}",
                domain.Armed
                    ? null
                    : $"publish {Path.Combine(folder, RecordsFile)}; then 'pgptunnel doctor{config}' ({domain.Missing})"
            );
        foreach (var server in servers)
            yield return new(
                $"{server.Check}: {server.What}",
                server.Level == FindingLevel.Wrong ? $"{server.Do}{PostfixHint(configuration, server, folder)}" : null
            );
        yield return new(
            "the gateway runs",
            status.Running ? null
                : config.Length == 0 ? "systemctl enable --now pgptunnel"
                : $"pgptunnel run{config}"
        );
        yield return new(
            "the keys are in a backup",
            status.NotInBackup is null ? null : $"pgptunnel backup FILE --passphrase-file F{config}"
        );
        yield return new(
            "partners' mail goes through the gateway, by Postfix on this machine",
            SendsHere(configuration)
                ? null
                : $"list partners with 'pgptunnel postfix map{config}' in transport_maps, or set relayhost; other servers, which "
                    + $"cannot be looked into from here: route their domains to {configuration.Listen.Outbound?.Address}"
        );
    }

    /// <summary>Where it is our own mail server that does not answer, and on this machine.</summary>
    private static string PostfixHint(GatewayConfiguration configuration, Finding server, string folder) =>
        server.Check == "deliver.local"
        && IPAddress.TryParse(configuration.Deliver.Local.Host, out var address)
        && IPAddress.IsLoopback(address)
            ? $"; for Postfix put the lines of {folder}/postfix/master.cf and main.cf into /etc/postfix"
            : "";

    /// <summary>By what Postfix on this machine says; of other servers nothing is known.</summary>
    private static bool SendsHere(GatewayConfiguration configuration)
    {
        const string Main = "/etc/postfix/main.cf";
        try
        {
            return configuration.Listen.Outbound is { Address: var address }
                && File.ReadLines(Main)
                    .Select(l => l.Trim())
                    .Where(l => l.Length > 0 && l[0] != '#')
                    .Any(l =>
                        (l.StartsWith("transport_maps", StringComparison.Ordinal) && l.Contains("pgptunnel_transport"))
                        || (
                            l.StartsWith("relayhost", StringComparison.Ordinal)
                            && l.EndsWith($"]:{address.Port}", StringComparison.Ordinal)
                        )
                    );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
