using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using PgpTunnel.Interop;

namespace PgpTunnel.Benchmarks;

/// <summary>Postfix's smtp-sink, which takes any mail, forgets it, and counts.</summary>
internal sealed class Sink : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task _reading;
    private long _taken;

    private Sink(Process process)
    {
        _process = process;
        _reading = Task.Run(ReadAsync);
    }

    /// <summary>Messages taken so far.</summary>
    public long Taken => Volatile.Read(ref _taken);

    public IPEndPoint EndPoint { get; private init; } = null!;

    public static async Task<Sink> StartAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0); // a port that is free
        listener.Start();
        var address = (IPEndPoint)listener.LocalEndpoint;
        listener.Stop();
        var process = Process.Start(
            new ProcessStartInfo(Need.Program("smtp-sink"), ["-u", "nobody", "-c", address.ToString(), "1000"])
            {
                RedirectStandardOutput = true,
            }
        )!;
        await Wait.UntilAsync(() => Net.Answers("127.0.0.1", address.Port), () => "smtp-sink does not listen");
        return new Sink(process) { EndPoint = address };
    }

    /// <summary>It writes <c>sess=1 quit=0 mesg=7</c> and a carriage return whenever a number changes.</summary>
    private async Task ReadAsync()
    {
        var (buffer, number) = (new char[8192], 0L);
        while (await _process.StandardOutput.ReadAsync(buffer) is > 0 and var read)
            foreach (var c in buffer.AsSpan(0, read))
            {
                if (char.IsAsciiDigit(c))
                    number = (10 * number) + (c - '0');
                else if (c == '\r')
                    Volatile.Write(ref _taken, number); // the last of the line
                else
                    number = 0;
            }
    }

    /// <summary>Waits until that many have come in all.</summary>
    public async Task UntilAsync(long taken, int seconds)
    {
        var deadline = Environment.TickCount64 + seconds * 1000L;
        while (Taken < taken)
        {
            if (Environment.TickCount64 > deadline)
                throw new TimeoutException($"{taken - Taken} messages did not reach the sink within {seconds} s");
            await Task.Delay(1);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _reading;
        _process.Dispose();
    }
}
