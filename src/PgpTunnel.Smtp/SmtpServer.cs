using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace PgpTunnel.Smtp;

/// <summary>One listening socket on Kestrel's transport, a <see cref="SmtpSession"/> for each connection.</summary>
public sealed class SmtpServer : ConnectionHandler, IAsyncDisposable
{
    private readonly SmtpServerOptions _options;
    private readonly IMailFlow _flow;
    private readonly IConnectionListener _listener;
    private readonly CancellationTokenSource _stopping = new(), _abort = new();
    private readonly ConcurrentDictionary<IPAddress, int> _perAddress = new();
    private readonly ConcurrentDictionary<Task, byte> _sessions = new();
    private readonly Task _accepting;
    private const int ReadAhead = 128 * 1024; // of each connection, before anybody has read it
    private int _connections;

    private SmtpServer(IConnectionListener listener, SmtpServerOptions options, IMailFlow flow)
    {
        (_listener, _options, _flow) = (listener, options, flow);
        _accepting = AcceptAsync();
    }

    /// <summary>Where it listens; the port is the one taken when 0 was asked for.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)_listener.EndPoint;

    /// <exception cref="IOException">The address cannot be listened on.</exception>
    public static async Task<SmtpServer> ListenAsync(IPEndPoint address, SmtpServerOptions options, IMailFlow flow)
    {
        var factory = new SocketTransportFactory(Options.Create(new SocketTransportOptions { NoDelay = true, MaxReadBufferSize = ReadAhead }), NullLoggerFactory.Instance);
        try
        {
            return new SmtpServer(await factory.BindAsync(address), options, flow);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or AddressInUseException)
        {
            throw new IOException($"cannot listen on {address}: {e.Message}", e);
        }
    }

    private async Task AcceptAsync()
    {
        while (await _listener.AcceptAsync() is { } connection)
        {
            var session = ServeAsync(connection);
            _sessions[session] = 0;
            _ = session.ContinueWith(s => _sessions.TryRemove(s, out _), TaskScheduler.Default);
        }
    }

    private async Task ServeAsync(ConnectionContext connection)
    {
        await Task.Yield();
        await using (connection)
        {
            try
            {
                await OnConnectedAsync(connection);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException or System.Security.Authentication.AuthenticationException)
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
    public override async Task OnConnectedAsync(ConnectionContext connection)
    {
        var address = (connection.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        try
        {
            var inAll = Interlocked.Increment(ref _connections);
            var here = _perAddress.AddOrUpdate(address, 1, (_, n) => n + 1);
            if (inAll > _options.MaxConnections || (here > _options.MaxConnectionsPerAddress && !_options.Trusted(address)))
            {
                await connection.Transport.Output.WriteAsync(new SmtpReply(421, "4.7.0", $"{_options.Hostname} too many connections; try again").ToWire());
                return;
            }
            // A client that has closed its side still gets its answers, so the session ends with its input, not with the FIN.
            await using var session = new SmtpSession(connection.Transport, address, _options, _flow, _stopping.Token, _abort.Token);
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
        await _listener.UnbindAsync();
        await _stopping.CancelAsync();
        await Task.WhenAny(Task.WhenAll(_sessions.Keys), Task.Delay(grace));
        await _abort.CancelAsync();
        await Task.WhenAny(Task.WhenAll(_sessions.Keys), Task.Delay(TimeSpan.FromSeconds(2)));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stopping.IsCancellationRequested)
            await StopAsync(TimeSpan.Zero);
        await _listener.DisposeAsync();
        await _accepting;
        _stopping.Dispose();
        _abort.Dispose();
    }
}
