using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace PgpTunnel.Smtp;

/// <summary>One listening socket, a <see cref="SmtpSession"/> for each connection.</summary>
public sealed class SmtpServer : IAsyncDisposable
{
    private readonly SmtpServerOptions _options;
    private readonly IMailFlow _flow;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stopping = new(),
        _abort = new();
    private readonly ConcurrentDictionary<IPAddress, int> _perAddress = new();
    private readonly ConcurrentDictionary<Task, byte> _sessions = new();
    private Task _accepting = Task.CompletedTask;
    private const int Backlog = 512;
    private static readonly TimeSpan AcceptPause = TimeSpan.FromSeconds(0.2);
    private int _connections;

    private SmtpServer(Socket listener, SmtpServerOptions options, IMailFlow flow) =>
        (_listener, _options, _flow) = (listener, options, flow);

    /// <summary>Where it listens; the port is the one taken when 0 was asked for.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndPoint!;

    /// <summary>Listens and serves at once.</summary>
    /// <exception cref="IOException">The address cannot be listened on.</exception>
    public static SmtpServer Listen(IPEndPoint address, SmtpServerOptions options, IMailFlow flow)
    {
        var server = Bind(address, options, flow);
        server.Serve();
        return server;
    }

    /// <summary>Greets clients from now on; those that came before have waited.</summary>
    public void Serve() => _accepting = AcceptAsync();

    /// <summary>Takes the address, where clients wait until <see cref="Serve"/>.</summary>
    /// <exception cref="IOException">The address cannot be listened on.</exception>
    public static SmtpServer Bind(IPEndPoint address, SmtpServerOptions options, IMailFlow flow)
    {
        var listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (address.AddressFamily == AddressFamily.InterNetworkV6)
                listener.DualMode = address.Address.Equals(IPAddress.IPv6Any);
            listener.Bind(address);
            listener.Listen(Backlog);
            return new SmtpServer(listener, options, flow);
        }
        catch (SocketException e)
        {
            listener.Dispose();
            throw new IOException($"cannot listen on {address}: {e.Message}", e);
        }
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                var session = ServeAsync(await _listener.AcceptAsync(_stopping.Token));
                _sessions[session] = 0;
                _ = session.ContinueWith(s => _sessions.TryRemove(s, out _), TaskScheduler.Default);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException e)
            {
                // The client went before it was accepted, or there are no more file descriptors: the next one may have more luck.
                _options.Log($"a connection could not be accepted: {e.Message}", null);
                await Task.Delay(AcceptPause);
            }
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        await Task.Yield();
        using (connection)
        {
            try
            {
                connection.NoDelay = true;
                await TalkAsync(connection);
                connection.Shutdown(SocketShutdown.Both);
            }
            catch (Exception e)
                when (e
                        is OperationCanceledException
                            or IOException
                            or SocketException
                            or InvalidOperationException
                            or System.Security.Authentication.AuthenticationException
                )
            {
                // The client went away, or would not speak TLS: nothing was promised to it.
            }
            catch (Exception e)
            {
                _options.Log("a session ended unexpectedly", e);
            }
        }
    }

    /// <summary>Serves one connection until its session ends.</summary>
    private async Task TalkAsync(Socket connection)
    {
        var address = (connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        try
        {
            var inAll = Interlocked.Increment(ref _connections);
            var here = _perAddress.AddOrUpdate(address, 1, (_, n) => n + 1);
            if (
                inAll > _options.MaxConnections
                || (here > _options.MaxConnectionsPerAddress && !_options.Trusted(address))
            )
            {
                await connection.SendAsync(
                    new SmtpReply(421, "4.7.0", $"{_options.Hostname} too many connections; try again").ToWire(),
                    _abort.Token
                );
                return;
            }
            // A client that has closed its side still gets its answers, so the session ends with its input, not with the FIN.
            await using var session = new SmtpSession(
                new NetworkStream(connection),
                address,
                _options,
                _flow,
                _stopping.Token,
                _abort.Token
            );
            await session.RunAsync();
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
            if (_perAddress.AddOrUpdate(address, 0, (_, n) => n - 1) == 0)
                _perAddress.TryRemove(new KeyValuePair<IPAddress, int>(address, 0));
        }
    }

    /// <summary>Takes no more connections, lets transactions in hand finish for at most <paramref name="grace"/>, then ends all.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Dispose();
        await Task.WhenAny(Task.WhenAll(_sessions.Keys), Task.Delay(grace));
        await _abort.CancelAsync();
        await Task.WhenAny(Task.WhenAll(_sessions.Keys), Task.Delay(TimeSpan.FromSeconds(2)));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stopping.IsCancellationRequested)
            await StopAsync(TimeSpan.Zero);
        _stopping.Dispose();
        _abort.Dispose();
    }
}
