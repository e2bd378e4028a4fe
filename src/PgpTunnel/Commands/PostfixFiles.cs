using System.Net;

namespace PgpTunnel.Commands;

/// <summary>What Postfix beside a gateway needs, from samples/postfix, with the addresses of a configuration in it.</summary>
internal static class PostfixFiles
{
    private static readonly string[] Names = ["main.cf", "master.cf", "pgptunnel_header_checks", "pgptunnel_transport"];

    /// <summary>Each file by its name.</summary>
    public static IEnumerable<(string Name, string Text)> For(GatewayConfiguration configuration)
    {
        var (local, next) = (configuration.Deliver.Local, PostfixCommand.NextHop(configuration));
        var gateway = configuration.Listen.Outbound!.Address.Address;
        return Names.Select(name =>
            (
                name,
                Sample(name)
                    .Replace(
                        "message_size_limit = 52428800",
                        $"message_size_limit = {configuration.Limits.MessageSize}"
                    )
                    .Replace("127.0.0.1:10026 inet", $"{local.Host}:{local.Port} inet")
                    .Replace("mynetworks=127.0.0.0/8", $"mynetworks={From(gateway)}")
                    .Replace("[127.0.0.1]:10025", next["pgptunnel:".Length..])
                    .Replace("b.example       ", "#partner.example ")
            )
        );
    }

    /// <summary>From where the gateway comes: this machine, unless it listens to others at an address of its own.</summary>
    private static string From(IPAddress gateway) =>
        IPAddress.IsLoopback(gateway) || gateway.Equals(IPAddress.Any) || gateway.Equals(IPAddress.IPv6Any)
            ? "127.0.0.0/8"
            : $"{gateway}";

    private static string Sample(string name)
    {
        using var stream = typeof(PostfixFiles).Assembly.GetManifestResourceStream($"postfix/{name}")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
