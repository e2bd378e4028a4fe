using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using PgpTunnel.Interop;

namespace PgpTunnel.Benchmarks;

/// <summary>Company A's gateway, as operators run it: a process that writes its log to a file.</summary>
internal sealed class GatewayProcess : IAsyncDisposable
{
    private readonly Daemon _process;
    private readonly string _log;

    private GatewayProcess(Daemon process, string log) => (_process, _log) = (process, log);

    public int Id => _process.Id;

    public IPEndPoint Outbound { get; private set; } = null!;

    public IPEndPoint Inbound { get; private set; } = null!;

    /// <summary>From the start of the process until it takes mail.</summary>
    public TimeSpan ReadyAfter { get; private set; }

    public string Log
    {
        get
        {
            using var reader = new StreamReader(
                new FileStream(_log, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite)
            );
            return reader.ReadToEnd();
        }
    }

    /// <param name="name">Of its configuration beside the lab's own; empty = that.</param>
    public static async Task<GatewayProcess> StartAsync(Lab lab, string name = "")
    {
        var (log, began) = (Path.Combine(lab.Directory, $"log{name}"), Stopwatch.GetTimestamp());
        var config = name.Length == 0 ? lab.Config : Path.Combine(Path.GetDirectoryName(lab.Config)!, name);
        var gateway = new GatewayProcess(
            new Daemon("/bin/sh", ["-c", "exec \"$0\" run --config \"$1\" 2>\"$2\"", Run.Gateway, config, log]),
            log
        );
        while (!gateway.Log.Contains("ready outbound=", StringComparison.Ordinal))
        {
            if (gateway._process.HasExited || Stopwatch.GetElapsedTime(began) > TimeSpan.FromMinutes(2))
                throw new InvalidOperationException($"the gateway does not start: {gateway.Log}");
            await Task.Delay(5);
        }
        gateway.ReadyAfter = Stopwatch.GetElapsedTime(began);
        var ready = Regex.Match(gateway.Log, "ready outbound=(\\S+) inbound=(\\S+)");
        (gateway.Outbound, gateway.Inbound) = (
            IPEndPoint.Parse(ready.Groups[1].Value),
            IPEndPoint.Parse(ready.Groups[2].Value)
        );
        return gateway;
    }

    /// <summary>Resident memory, in octets.</summary>
    public long Resident() =>
        1024
        * long.Parse(
            File.ReadLines($"/proc/{Id}/status")
                .First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal))
                .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1],
            CultureInfo.InvariantCulture
        );

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
