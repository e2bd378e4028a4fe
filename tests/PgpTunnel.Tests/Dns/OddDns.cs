using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using PgpTunnel.Demo;

namespace PgpTunnel.Tests;

/// <summary>What an odd resolver makes of a good answer: the messages it sends, in order, or null to close (TCP) or be silent (UDP).</summary>
/// <param name="query">The query as it came.</param>
/// <param name="answer">What a good resolver says.</param>
/// <param name="tcp">Over TCP.</param>
/// <param name="count">How many queries came before over this transport.</param>
internal delegate IReadOnlyList<byte[]>? Oddity(byte[] query, byte[] answer, bool tcp, int count);

/// <summary>A resolver that passes everything on to a good one, and does something to the answers.</summary>
internal sealed class OddDns : IAsyncDisposable
{
    private readonly IPEndPoint _good;
    private readonly Oddity _oddity;
    private readonly Socket _udp;
    private readonly TcpListener _tcp;
    private readonly CancellationTokenSource _stop = new();
    private int _udpCount, _tcpCount;

    public OddDns(IPEndPoint good, Oddity oddity)
    {
        (_good, _oddity) = (good, oddity);
        (_udp, _tcp) = LoopbackDns.Bind();
        _ = UdpAsync();
        _ = TcpAsync();
    }

    public IPEndPoint EndPoint => (IPEndPoint)_udp.LocalEndPoint!;

    public int Asked => _udpCount + _tcpCount;

    /// <summary>Over TCP, so that the answer is whole; a good resolver says the same over UDP, or sets TC.</summary>
    private async Task<byte[]> AskGoodAsync(byte[] query, bool tcp)
    {
        if (!tcp)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            await socket.ConnectAsync(_good);
            await socket.SendAsync(query);
            var buffer = new byte[4096];
            return buffer[..await socket.ReceiveAsync(buffer)];
        }
        using var client = new TcpClient();
        await client.ConnectAsync(_good);
        var stream = client.GetStream();
        await stream.WriteAsync((byte[])[(byte)(query.Length >> 8), (byte)query.Length, .. query]);
        return await ReadAsync(stream, CancellationToken.None);
    }

    private static async Task<byte[]> ReadAsync(NetworkStream stream, CancellationToken cancel)
    {
        var length = new byte[2];
        await stream.ReadExactlyAsync(length, cancel);
        var message = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(message, cancel);
        return message;
    }

    private async Task UdpAsync()
    {
        var buffer = new byte[4096];
        try
        {
            while (true)
            {
                var got = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), _stop.Token);
                var query = buffer[..got.ReceivedBytes];
                _ = Task.Run(async () =>
                {
                    foreach (var message in _oddity(query, await AskGoodAsync(query, false), false, Interlocked.Increment(ref _udpCount) - 1) ?? [])
                        await _udp.SendToAsync(message, got.RemoteEndPoint);
                });
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
        }
    }

    private async Task TcpAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _tcp.AcceptTcpClientAsync(_stop.Token));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or InvalidOperationException)
        {
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                while (true)
                {
                    var query = await ReadAsync(stream, _stop.Token);
                    if (_oddity(query, await AskGoodAsync(query, true), true, Interlocked.Increment(ref _tcpCount) - 1) is not { } messages)
                        return;
                    foreach (var message in messages)
                        await stream.WriteAsync((byte[])[(byte)(message.Length >> 8), (byte)message.Length, .. message], _stop.Token);
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException)
            {
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _tcp.Stop();
        _udp.Dispose();
        _stop.Dispose();
    }
}
