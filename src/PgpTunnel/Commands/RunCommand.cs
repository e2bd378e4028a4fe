using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting.Systemd;

namespace PgpTunnel.Commands;

/// <summary><c>run</c>: the gateway, in the foreground, until SIGTERM.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var format = new Option<string>("--log")
        {
            Description = "text (default) or json.",
            DefaultValueFactory = _ => "text",
        };
        format.AcceptOnlyFromAmong("text", "json");
        return Cli.Command(
            "run",
            "Runs the gateway in the foreground. SIGTERM finishes what is in hand; SIGHUP re-reads configuration and keys.",
            "pgptunnel run --config /etc/pgptunnel/pgptunnel.json",
            (parse, _) =>
                parse.GetValue(Cli.Json)
                    ? throw new CommandException(Exit.Usage, "'run --log json' is what you want")
                    : RunAsync(parse.Configuration(), parse.GetValue(format) == "json"),
            format
        );
    }

    private static async Task<int> RunAsync(GatewayConfiguration configuration, bool json)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stopped.TrySetResult();
        }
        using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        Gateway? started = null; // SIGHUP before then has nothing to reload, and must not end the process
        using var hup = PosixSignalRegistration.Create(
            PosixSignal.SIGHUP,
            signal =>
            {
                signal.Cancel = true;
                if (started is { } running)
                    _ = Task.Run(running.ReloadAsync);
            }
        );
        var systemd = new SystemdNotifier();
        void Ready(Gateway gateway)
        {
            Console.Error.WriteLine(gateway.ReadyLine);
            systemd.Notify(ServiceState.Ready);
        }
        using var telemetry = new Telemetry(configuration.Listen.Metrics);
        using var log = new EventLog(Telemetry.Listeners(Console.Error, json), TimeProvider.System);
        await using var gateway = started = await Gateway.StartAsync(configuration, log, TimeProvider.System, Ready);
        using var gauges = gateway.Watch(TimeProvider.System);
        await stopped.Task;
        systemd.Notify(ServiceState.Stopping);
        log.Write("stopping");
        return Exit.Ok;
    }
}
