using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Interop;

/// <summary>What a <see cref="PlainServer"/> does.</summary>
internal enum Conduct
{
    /// <summary>Reads messages and forgets them.</summary>
    Takes,

    /// <summary>Accepts connections and says nothing.</summary>
    Silent,

    /// <summary>Says one octet of an endless greeting every now and then.</summary>
    Drips,

    /// <summary>Says what is no SMTP.</summary>
    Babbles,

    /// <summary>Begins a reply that never ends.</summary>
    Rambles,

    /// <summary>Asks for the message and hangs up.</summary>
    HangsUpAtData,

    /// <summary>Reads the whole message and hangs up without a word.</summary>
    HangsUpAtTheEnd,
}

/// <summary>A mail server without any extension, well-behaved or not.</summary>
internal sealed class PlainServer : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly Conduct _conduct;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<TcpClient> _clients = [];
    private readonly Task _accepting;
    private int _taken,
        _connections;

    public PlainServer(IPEndPoint? address = null, Conduct conduct = Conduct.Takes)
    {
        (_listener, _conduct) = (new TcpListener(address ?? new IPEndPoint(IPAddress.Loopback, 0)), conduct);
        _listener.Start(200);
        _accepting = AcceptAsync();
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    /// <summary>Messages taken.</summary>
    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Connections accepted.</summary>
    public int Connections => Volatile.Read(ref _connections);

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token);
                _clients.Add(client);
                Interlocked.Increment(ref _connections);
                _ = ServeAsync(client);
            }
        }
        catch (OperationCanceledException) { }
    }

    private async Task ServeAsync(TcpClient client)
    {
        try
        {
            var stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.Latin1, false, 256 * 1024);
            async Task SayAsync(string line) =>
                await stream.WriteAsync(Encoding.ASCII.GetBytes(line + "\r\n"), _stop.Token);
            switch (_conduct)
            {
                case Conduct.Silent:
                    return;
                case Conduct.Drips:
                    while (true)
                    {
                        await stream.WriteAsync("2"u8.ToArray(), _stop.Token);
                        await Task.Delay(50, _stop.Token);
                    }
                case Conduct.Babbles:
                    await stream.WriteAsync(new byte[] { 0, 255, 13, 10, 13, 1, 10 }, _stop.Token);
                    return;
                case Conduct.Rambles:
                    while (true)
                        await SayAsync("220-and so on");
            }
            await SayAsync("220 plain");
            while (await reader.ReadLineAsync(_stop.Token) is { } line)
            {
                if (line != "DATA")
                {
                    await SayAsync(line == "QUIT" ? "221 bye" : "250 ok");
                    continue;
                }
                await SayAsync("354 go on");
                if (_conduct == Conduct.HangsUpAtData)
                    break;
                while (await reader.ReadLineAsync(_stop.Token) is { } data && data != ".") { }
                if (_conduct == Conduct.HangsUpAtTheEnd)
                    break;
                Interlocked.Increment(ref _taken);
                await SayAsync("250 taken");
            }
            client.Close();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException) { }
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
