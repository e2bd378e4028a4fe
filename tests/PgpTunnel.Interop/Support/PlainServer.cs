using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Interop;

/// <summary>A mail server without any extension that reads and forgets, or accepts connections and says nothing.</summary>
internal sealed class PlainServer : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly bool _silent;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<TcpClient> _clients = [];
    private readonly Task _accepting;
    private int _taken;

    public PlainServer(IPEndPoint? address = null, bool silent = false)
    {
        (_listener, _silent) = (new TcpListener(address ?? new IPEndPoint(IPAddress.Loopback, 0)), silent);
        _listener.Start(200);
        _accepting = AcceptAsync();
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    /// <summary>Messages taken.</summary>
    public int Taken => Volatile.Read(ref _taken);

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                _clients.Add(client);
                if (!_silent)
                    _ = ServeAsync(client);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        try
        {
            var stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.Latin1, false, 256 * 1024);
            async Task SayAsync(string line) => await stream.WriteAsync(Encoding.ASCII.GetBytes(line + "\r\n"), _stop.Token);
            await SayAsync("220 plain");
            while (await reader.ReadLineAsync(_stop.Token) is { } line)
            {
                if (line != "DATA")
                {
                    await SayAsync(line == "QUIT" ? "221 bye" : "250 ok");
                    continue;
                }
                await SayAsync("354 go on");
                while (await reader.ReadLineAsync(_stop.Token) is { } data && data != ".")
                {
                }
                Interlocked.Increment(ref _taken);
                await SayAsync("250 taken");
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _accepting;
        _listener.Stop();
        _clients.ForEach(c => c.Dispose());
        _stop.Dispose();
    }
}
