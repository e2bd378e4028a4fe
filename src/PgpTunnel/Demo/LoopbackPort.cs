using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace PgpTunnel.Demo;

internal enum DnsTransport
{
    Udp,
    Tcp,
}

/// <summary>What is sent for one query, in order; null = nothing over UDP, the end of the connection over TCP.</summary>
internal delegate ValueTask<IReadOnlyList<byte[]>?> DnsAnswering(byte[] query, DnsTransport transport);

/// <summary>Both transports of a DNS server on one loopback port (RFC 7766 5).</summary>
internal sealed class LoopbackPort : IAsyncDisposable
{
    private const int LargestQuery = 4096,
        MostAttempts = 50;

    private readonly DnsAnswering _answering;
    private readonly Socket _udp;
    private readonly TcpListener _tcp;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    public LoopbackPort(DnsAnswering answering)
    {
        _answering = answering;
        (_udp, _tcp) = Bind();
        _serving = Task.WhenAll(UdpAsync(), TcpAsync());
    }

    public IPEndPoint EndPoint => (IPEndPoint)_udp.LocalEndPoint!;

    /// <summary>One port free for both; the system picks it for UDP, and for TCP somebody may have it already.</summary>
    private static (Socket, TcpListener) Bind()
    {
        for (var attempt = 1; ; attempt++)
        {
            var udp = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            udp.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            var tcp = new TcpListener((IPEndPoint)udp.LocalEndPoint!);
            try
            {
                tcp.Start();
                return (udp, tcp);
            }
            catch (SocketException) when (attempt < MostAttempts)
            {
                udp.Dispose();
                tcp.Dispose();
            }
        }
    }

    private async Task UdpAsync()
    {
        var buffer = new byte[LargestQuery];
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var received = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), _stop.Token);
                _ = RespondAsync(buffer[..received.ReceivedBytes], received.RemoteEndPoint);
            }
            catch (Exception e) when (IsOver(e))
            {
                // stopped, or a client that went away
            }
        }
    }

    private async Task RespondAsync(byte[] query, EndPoint client)
    {
        try
        {
            foreach (var message in await _answering(query, DnsTransport.Udp) ?? [])
                await _udp.SendToAsync(message, client, _stop.Token);
        }
        catch (Exception e) when (IsOver(e)) { }
    }

    private async Task TcpAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _tcp.AcceptTcpClientAsync(_stop.Token));
        }
        catch (Exception e) when (IsOver(e))
        {
            // stopped, perhaps between two connections
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                while (await _answering(await ReadAsync(stream, _stop.Token), DnsTransport.Tcp) is { } messages)
                    foreach (var message in messages)
                        await WriteAsync(stream, message, _stop.Token);
            }
            catch (Exception e) when (IsOver(e)) { }
        }
    }

    /// <summary>One message over TCP, without its length (RFC 7766 8).</summary>
    internal static async Task<byte[]> ReadAsync(NetworkStream stream, CancellationToken cancel)
    {
        var length = new byte[2];
        await stream.ReadExactlyAsync(length, cancel);
        var message = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(message, cancel);
        return message;
    }

    internal static ValueTask WriteAsync(NetworkStream stream, byte[] message, CancellationToken cancel) =>
        stream.WriteAsync((byte[])[(byte)(message.Length >> 8), (byte)message.Length, .. message], cancel);

    private static bool IsOver(Exception e) =>
        e is IOException or SocketException or OperationCanceledException or InvalidOperationException; // ObjectDisposedException, too

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _tcp.Stop();
        _udp.Dispose();
        await _serving;
        _stop.Dispose();
    }
}
