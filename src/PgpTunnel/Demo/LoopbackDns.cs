using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using PgpTunnel.Dns;

namespace PgpTunnel.Demo;

/// <summary>Serves answers over UDP and TCP on one loopback port.</summary>
internal sealed class LoopbackDns : IAsyncDisposable
{
    private const int LargestDatagram = 1232, MostAttempts = 50;

    private readonly Func<DomainName, ushort, WorldAnswer> _answer;
    private readonly Socket _udp;
    private readonly TcpListener _tcp;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    public LoopbackDns(Func<DomainName, ushort, WorldAnswer> answer)
    {
        _answer = answer;
        (_udp, _tcp) = Bind();
        _serving = Task.WhenAll(UdpAsync(), TcpAsync());
    }

    /// <summary>One port free for both; the system picks it for UDP, and for TCP somebody may have it already.</summary>
    internal static (Socket, TcpListener) Bind()
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

    public IPEndPoint EndPoint => (IPEndPoint)_udp.LocalEndPoint!;

    private async Task UdpAsync()
    {
        var buffer = new byte[4096];
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var received = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0), _stop.Token);
                if (Respond(buffer.AsSpan(0, received.ReceivedBytes), LargestDatagram) is { } response)
                    await _udp.SendToAsync(response, received.RemoteEndPoint, _stop.Token);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // stopped, or a client that went away
            }
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
                var length = new byte[2];
                while (true)
                {
                    await stream.ReadExactlyAsync(length, _stop.Token);
                    var query = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
                    await stream.ReadExactlyAsync(query, _stop.Token);
                    if (Respond(query, 65535) is not { } response)
                        return;
                    await stream.WriteAsync((byte[])[(byte)(response.Length >> 8), (byte)response.Length, .. response], _stop.Token);
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
            }
        }
    }

    private byte[]? Respond(ReadOnlySpan<byte> query, int largest)
    {
        DnsMessage question;
        try
        {
            question = DnsMessage.Parse(query);
        }
        catch (DnsFormatException)
        {
            return null;
        }
        var answer = _answer(question.QuestionName, question.QuestionType);
        var response = Encode(question, answer, false);
        return response.Length <= largest ? response : Encode(question, new WorldAnswer(answer.Rcode, [], []), true);
    }

    private static byte[] Encode(DnsMessage question, WorldAnswer answer, bool truncated)
    {
        var message = new List<byte>
        {
            (byte)(question.Id >> 8), (byte)question.Id, (byte)(truncated ? 0x83 : 0x81), (byte)(0x90 | answer.Rcode), 0, 1, 0, (byte)answer.Answer.Count, 0, (byte)answer.Authority.Count, 0, 1,
        };
        message.AddRange([.. question.QuestionName.Wire, (byte)(question.QuestionType >> 8), (byte)question.QuestionType, 0, 1]);
        foreach (var r in answer.Answer.Concat(answer.Authority))
            message.AddRange([.. r.Name.Wire, (byte)(r.Type >> 8), (byte)r.Type, (byte)(r.Class >> 8), (byte)r.Class, (byte)(r.Ttl >> 24), (byte)(r.Ttl >> 16), (byte)(r.Ttl >> 8), (byte)r.Ttl,
                (byte)(r.Rdata.Length >> 8), (byte)r.Rdata.Length, .. r.Rdata]);
        message.AddRange([0, 0, (byte)RecordType.OPT, 0x04, 0xD0, 0, 0, 0x80, 0, 0, 0]);
        return [.. message];
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _tcp.Stop();
        _udp.Dispose();
        await _serving;
        _stop.Dispose();
    }
}
