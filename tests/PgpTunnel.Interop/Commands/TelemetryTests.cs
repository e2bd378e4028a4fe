using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Interop;

/// <summary>Metrics, traces and the log by OTLP to a collector, as the OpenTelemetry environment variables say.</summary>
public sealed class TelemetryTests
{
    [Fact]
    public async Task Metrics_traces_and_the_log_are_exported_where_the_environment_names_a_collector()
    {
        await using var lab = await Lab.CreateAsync();
        using var collector = new TcpListener(IPAddress.Loopback, 0);
        collector.Start();
        var received = new List<string>();
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
                    ["OTEL_BSP_SCHEDULE_DELAY"] = "200",
                    ["OTEL_BLRP_SCHEDULE_DELAY"] = "200",
                }
            )
        )
        {
            await gateway.WaitForAsync("ready outbound=");
            var reply = await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", "Subject: x\r\n\r\nbody\r\n");
            Assert.Equal(250, reply!.Code);
            var id = reply.Text.Split(' ')[0];
            string Seen(string signal)
            {
                lock (received)
                    return string.Concat(
                        received.Where(r => r.StartsWith($"POST /v1/{signal}", StringComparison.Ordinal))
                    );
            }
            var trace = Encoding.Latin1.GetString(Convert.FromHexString(id));
            await Wait.UntilAsync(
                () =>
                    Seen("metrics").Contains("pgptunnel.events")
                    && Seen("metrics").Contains("pgptunnel.self_check.findings")
                    && Seen("logs").Contains($"event=sealed id={id}")
                    && Seen("traces").Contains(trace)
                    && Seen("traces").Contains("hand over"),
                () => $"not exported: {received.Count} requests\n{gateway.Log}"
            );
            Assert.Contains("pgptunnel", Seen("traces"));
            Assert.DoesNotContain("@b.example", Seen("traces"));
        }
        await stop.CancelAsync();
        await collecting;
    }

    private static async Task CollectAsync(TcpListener listener, List<string> received, CancellationToken stop)
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
                    received.Add(request.ToString());
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
