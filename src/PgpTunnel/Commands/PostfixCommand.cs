using System.CommandLine;
using System.Net;

namespace PgpTunnel.Commands;

/// <summary><c>postfix</c>: what Postfix beside the gateway needs to know.</summary>
internal static class PostfixCommand
{
    public static Command Create() =>
        Cli.Group(
            "postfix",
            "Files for Postfix beside the gateway.",
            Cli.Command(
                "map",
                "Prints a transport map that sends partners' mail through the gateway: those configured, and those "
                    + "that have asked for encryption.",
                "pgptunnel postfix map > /etc/postfix/pgptunnel_transport",
                MapAsync
            )
        );

    /// <summary>Domains whose mail belongs through the gateway.</summary>
    public static IReadOnlyList<string> Domains(GatewayConfiguration configuration, Spool? spool)
    {
        var memory = PeerMemory.ToLookAt(spool, TimeProvider.System);
        return
        [
            .. configuration
                .Policy.Partners.Keys.Where(d => configuration.PolicyFor(d) != LocalPolicy.Never)
                .Concat(
                    configuration
                        .Policy.Groups.Keys.Where(g => configuration.PolicyFor($"x.{g}") != LocalPolicy.Never)
                        .Select(g => $".{g}") // transport(5): all below it
                )
                .Concat(
                    (spool?.ListPeers() ?? [])
                        .Where(r => memory.RemembersEnforce(r) || r.Verified.Count > 0)
                        .Select(r => r.Domain)
                )
                .Except(configuration.Domains)
                .Distinct()
                .Order(),
        ];
    }

    /// <summary>Where Postfix hands those domains' mail: a line's right side.</summary>
    /// <exception cref="CommandException">There is no listener for it.</exception>
    public static string NextHop(GatewayConfiguration configuration) =>
        configuration.Listen.Outbound is { Address: var listener }
            ? $"pgptunnel:[{ListenSettings.Near(listener).Address}]:{listener.Port}"
            : throw new CommandException(
                Exit.Configuration,
                "listen.outbound is null, so no mail can go through the gateway"
            );

    private static async Task<int> MapAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        var (next, domains) = (NextHop(configuration), Domains(configuration, spool));
        return parse.Report(
            new { transport = next, domains },
            $"# Domains whose mail goes through the gateway.\n{string.Join('\n', domains.Select(d => $"{d, -40} {next}"))}"
        );
    }
}
