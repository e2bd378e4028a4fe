using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Interop;

/// <summary>Metrics by OTLP to a collector, as the OpenTelemetry environment variables say.</summary>
public sealed class MetricsTests
{
    [Fact]
    public async Task Events_and_alarms_are_exported_where_the_environment_names_a_collector()
    {
        await using var lab = await Lab.CreateAsync();
        using var collector = new TcpListener(IPAddress.Loopback, 0);
        collector.Start();
        var received = new StringBuilder();
        using var stop = new CancellationTokenSource();
        var collecting = CollectAsync(collector, received, stop.Token);
        await using (
            var gateway = new Daemon(
                Run.Gateway,
                ["run", "--config", lab.Config],
                new Dictionary<string, string>
                {
                    ["OTEL_EXPORTER_OTLP_ENDPOINT"] = $"http://{collector.LocalEndpoint}",
                    ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
                    ["OTEL_METRIC_EXPORT_INTERVAL"] = "500",
                }
            )
        )
        {
            await gateway.WaitForAsync("ready outbound=");
            Assert.Equal(
                250,
                (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", "Subject: x\r\n\r\nbody\r\n"))!.Code
            );
            string Seen()
            {
                lock (received)
                    return received.ToString();
            }
            await Wait.UntilAsync(
                () =>
                    Seen().Contains("pgptunnel.events")
                    && Seen().Contains("sealed")
                    && Seen().Contains("pgptunnel.self_check.findings"),
                () => $"not exported: {Seen().Length} octets\n{gateway.Log}"
            );
            Assert.Contains("POST /v1/metrics", Seen());
        }
        await stop.CancelAsync();
        await collecting;
    }

    private static async Task CollectAsync(TcpListener listener, StringBuilder received, CancellationToken stop)
    {
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(stop);
                var buffer = new byte[256 * 1024];
                var (stream, request) = (client.GetStream(), new StringBuilder());
                using var quiet = CancellationTokenSource.CreateLinkedTokenSource(stop);
                quiet.CancelAfter(Wait.Bound);
                while (!Whole(request.ToString()) && await stream.ReadAsync(buffer, quiet.Token) is var count and > 0)
                    request.Append(Encoding.Latin1.GetString(buffer, 0, count));
                lock (received)
                    received.Append(request);
                await stream.WriteAsync(
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"u8.ToArray(),
                    quiet.Token
                );
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or SocketException) { }
    }

    private static bool Whole(string request)
    {
        var end = request.IndexOf("\r\n\r\n", StringComparison.Ordinal);
        var length = System.Text.RegularExpressions.Regex.Match(request, "(?i)content-length: (\\d+)");
        return end >= 0
            && length.Success
            && request.Length - end - 4
                >= int.Parse(length.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
    }
}
