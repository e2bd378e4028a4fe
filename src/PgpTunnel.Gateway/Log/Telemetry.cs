using System.Net;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace PgpTunnel;

/// <summary>
/// Metrics, traces and the log by OTLP, where the environment names a collector (<c>OTEL_EXPORTER_OTLP_ENDPOINT</c>, or the endpoint of one
/// signal); the OpenTelemetry variables have their usual meaning. Metrics where Prometheus reads them, too.
/// </summary>
/// <param name="scraped">Where it does; null = nowhere.</param>
internal sealed class Telemetry(IPEndPoint? scraped) : IDisposable
{
    private readonly MeterProvider? _metrics = Build(scraped);
    private readonly TracerProvider? _traces = Goes("TRACES")
        ? Sdk.CreateTracerProviderBuilder()
            .ConfigureResource(Name)
            .AddSource(Traces.SourceName)
            .AddOtlpExporter()
            .Build()
        : null;

    /// <summary>Where the gateway's events go: to the log and the counts, and to the collector.</summary>
    public static ILoggerFactory Listeners(TextWriter output, bool json) =>
        LoggerFactory.Create(builder =>
        {
            builder.AddProvider(new EventLines(output, json)).AddProvider(new EventCounts());
            if (Goes("LOGS"))
                builder.AddOpenTelemetry(log =>
                {
                    log.IncludeFormattedMessage = true;
                    log.SetResourceBuilder(Named(ResourceBuilder.CreateDefault())).AddOtlpExporter();
                });
        });

    /// <exception cref="IOException">The address cannot be listened on.</exception>
    private static MeterProvider? Build(IPEndPoint? scraped)
    {
        if (scraped is null && !Goes("METRICS"))
            return null;
        var builder = Sdk.CreateMeterProviderBuilder().ConfigureResource(Name).AddMeter(Metrics.MeterName);
        if (Goes("METRICS"))
            builder.AddOtlpExporter();
        if (scraped is not null)
            builder.AddPrometheusHttpListener(options =>
            {
                (options.Host, options.Port, options.ScopeInfoEnabled) = ($"{scraped.Address}", scraped.Port, false);
                if (scraped.Address.Equals(IPAddress.Any))
                    options.ConfigureHttpListener = AtEveryAddress;
            });
        try
        {
            return builder.Build();
        }
        catch (Exception e) when (scraped is not null && e is HttpListenerException or InvalidOperationException)
        {
            throw new IOException($"listen.metrics: cannot listen on {scraped}: {e.GetBaseException().Message}", e);
        }
    }

    private static void AtEveryAddress(PrometheusHttpListenerOptions options, HttpListener listener)
    {
        var prefixes = listener.Prefixes.ToList();
        listener.Prefixes.Clear();
        foreach (var prefix in prefixes)
            listener.Prefixes.Add(prefix.Replace($"{IPAddress.Any}", "*", StringComparison.Ordinal));
    }

    private static bool Goes(string signal) =>
        new[] { "OTEL_EXPORTER_OTLP_ENDPOINT", $"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" }.Any(v =>
            !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(v))
        );

    private static void Name(ResourceBuilder resource) => Named(resource);

    /// <summary>By our name, where the environment gives no other.</summary>
    private static ResourceBuilder Named(ResourceBuilder resource) =>
        string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OTEL_SERVICE_NAME"))
            ? resource.AddService("pgptunnel")
            : resource;

    public void Dispose()
    {
        _traces?.Dispose();
        _metrics?.Dispose();
    }
}
