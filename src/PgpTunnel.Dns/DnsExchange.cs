using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace PgpTunnel.Dns;

/// <summary>
/// Carries one question to the configured resolvers and one answer back, over UDP with TCP behind it. It trusts nobody: what it
/// guards against is only being fooled cheaply or kept waiting.
/// </summary>
public sealed class DnsExchange(IReadOnlyList<IPEndPoint> resolvers)
{
    private static readonly TimeSpan UdpWait = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan TcpWait = TimeSpan.FromSeconds(5);
    private const int UdpTries = 2;

    public IReadOnlyList<IPEndPoint> Resolvers => resolvers;

    /// <summary>The system's name servers (resolv.conf and its like); never a public fallback.</summary>
    public static IReadOnlyList<IPEndPoint> SystemResolvers() =>
        [.. DnsClient.NameServer.ResolveNameServers(skipIPv6SiteLocal: true, fallbackToGooglePublicDns: false)
            .Select(s => new IPEndPoint(IPAddress.Parse(s.Address), s.Port))];

    /// <summary>Asks each resolver in turn until one answers with NOERROR or NXDOMAIN; else the last failing answer.</summary>
    /// <exception cref="DnsUnavailableException">No resolver answered at all.</exception>
    public async Task<DnsMessage> AskAsync(DomainName name, ushort type, CancellationToken cancel)
    {
        DnsMessage? failed = null;
        var errors = new List<string>();
        foreach (var resolver in resolvers)
        {
            try
            {
                var answer = await AskAsync(resolver, name, type, cancel);
                if (answer.Rcode is 0 or 3)
                    return answer;
                failed = answer;
            }
            catch (Exception e) when (e is SocketException or IOException or DnsFormatException or OperationCanceledException && !cancel.IsCancellationRequested)
            {
                errors.Add($"{resolver}: {(e is OperationCanceledException ? "no answer in time" : e.Message)}");
            }
        }
        return failed ?? throw new DnsUnavailableException(resolvers.Count == 0
            ? "no resolver is configured and the system names none"
            : $"no resolver answers ({string.Join("; ", errors)})");
    }

    private static async Task<DnsMessage> AskAsync(IPEndPoint resolver, DomainName name, ushort type, CancellationToken cancel)
    {
        // RFC 7929 2: an OPENPGPKEY answer will not fit into a datagram.
        if (type == RecordType.OPENPGPKEY)
            return await OverTcpAsync(resolver, name, type, cancel);
        DnsMessage? answer = null;
        for (var attempt = 1; answer is null; attempt++)
        {
            try
            {
                answer = await OverUdpAsync(resolver, name, type, cancel);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested && attempt < UdpTries)
            {
                // A datagram may be lost; it is asked once more.
            }
        }
        return answer.Truncated ? await OverTcpAsync(resolver, name, type, cancel) : answer;
    }

    /// <summary>A fresh connected socket (random port, only this peer's datagrams) and a random id for each question (RFC 5452 9).</summary>
    private static async Task<DnsMessage> OverUdpAsync(IPEndPoint resolver, DomainName name, ushort type, CancellationToken cancel)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(UdpWait);
        using var socket = new Socket(resolver.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(resolver, deadline.Token);
        var id = (ushort)RandomNumberGenerator.GetInt32(65536);
        await socket.SendAsync(DnsMessage.Query(id, name, type), deadline.Token);
        var buffer = new byte[4096];
        while (true)
        {
            var length = await socket.ReceiveAsync(buffer, deadline.Token);
            // A datagram that is not the answer is ignored, not fatal: otherwise anyone could end the wait with a stray one.
            if (TryParse(buffer.AsSpan(0, length)) is { } answer && Answers(answer, id, name, type))
                return answer;
        }
    }

    private static DnsMessage? TryParse(ReadOnlySpan<byte> datagram)
    {
        try
        {
            return DnsMessage.Parse(datagram);
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }

    private static async Task<DnsMessage> OverTcpAsync(IPEndPoint resolver, DomainName name, ushort type, CancellationToken cancel)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(TcpWait);
        using var socket = new Socket(resolver.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(resolver, deadline.Token);
        using var stream = new NetworkStream(socket);
        var id = (ushort)RandomNumberGenerator.GetInt32(65536);
        var query = DnsMessage.Query(id, name, type);
        await stream.WriteAsync((byte[])[(byte)(query.Length >> 8), (byte)query.Length, .. query], deadline.Token);
        var length = new byte[2];
        await stream.ReadExactlyAsync(length, deadline.Token);
        var message = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(message, deadline.Token);
        var answer = DnsMessage.Parse(message);
        return Answers(answer, id, name, type) ? answer : throw new DnsFormatException("the answer is to another question");
    }

    private static bool Answers(DnsMessage answer, ushort id, DomainName name, ushort type) =>
        answer.IsResponse && answer.Id == id && answer.QuestionType == type && answer.QuestionClass == DnsMessage.ClassIn && answer.QuestionName == name;
}
