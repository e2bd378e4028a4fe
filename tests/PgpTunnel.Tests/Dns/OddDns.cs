using System.Net;
using System.Net.Sockets;
using PgpTunnel.Demo;

namespace PgpTunnel.Tests;

/// <summary>
/// What an odd resolver makes of a good answer: the messages it sends, in order, or null to close (TCP) or be silent (UDP).
/// </summary>
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
    private readonly LoopbackPort _port;
    private int _udpCount,
        _tcpCount;

    public OddDns(IPEndPoint good, Oddity oddity)
    {
        (_good, _oddity) = (good, oddity);
        _port = new LoopbackPort(AnswerAsync);
    }

    public IPEndPoint EndPoint => _port.EndPoint;

    public int Asked => _udpCount + _tcpCount;

    private async ValueTask<IReadOnlyList<byte[]>?> AnswerAsync(byte[] query, DnsTransport transport) =>
        transport == DnsTransport.Tcp
            ? _oddity(query, await AskOverTcpAsync(query), true, Interlocked.Increment(ref _tcpCount) - 1)
            : _oddity(query, await AskOverUdpAsync(query), false, Interlocked.Increment(ref _udpCount) - 1);

    private async Task<byte[]> AskOverUdpAsync(byte[] query)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(_good);
        await socket.SendAsync(query);
        var buffer = new byte[4096];
        return buffer[..await socket.ReceiveAsync(buffer)];
    }

    private async Task<byte[]> AskOverTcpAsync(byte[] query)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(_good);
        await LoopbackPort.WriteAsync(client.GetStream(), query, CancellationToken.None);
        return await LoopbackPort.ReadAsync(client.GetStream(), CancellationToken.None);
    }

    public ValueTask DisposeAsync() => _port.DisposeAsync();
}
