using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace PgpTunnel.Dns;

/// <summary>One resolver. A question that is on its way already is not asked a second time; who asks it too gets the same answer.</summary>
internal sealed class DnsResolver(IPEndPoint address, DnsPatience patience)
{
    private static readonly TimeSpan Aside = TimeSpan.FromSeconds(60);

    private readonly ConcurrentDictionary<(DomainName, ushort, DnsTransport), Lazy<Task<DnsMessage>>> _flights = new();
    private readonly DnsTcp _tcp = new(address);
    private long _asideSince;

    public IPEndPoint Address => address;

    /// <summary>Others are asked first.</summary>
    public bool IsAside =>
        Interlocked.Read(ref _asideSince) is > 0 and var since && Stopwatch.GetElapsedTime(since) < Aside;

    /// <returns>True when it was not aside before.</returns>
    public bool SetAside()
    {
        var fresh = !IsAside;
        Interlocked.Exchange(ref _asideSince, Stopwatch.GetTimestamp());
        return fresh;
    }

    /// <exception cref="TimeoutException">No answer in time; the message says what came instead.</exception>
    /// <exception cref="DnsFormatException">An answer that is cut short or malformed.</exception>
    /// <exception cref="SocketException">It cannot be reached.</exception>
    /// <exception cref="IOException">It closed the connection.</exception>
    public async Task<DnsMessage> AskAsync(
        DomainName name,
        ushort type,
        DnsTransport transport,
        CancellationToken cancel
    )
    {
        var key = (name, type, transport);
        var flight = _flights.GetOrAdd(key, _ => new(() => FlyAsync(name, type, transport)));
        try
        {
            return await flight.Value.WaitAsync(cancel);
        }
        finally
        {
            if (flight.Value.IsCompleted)
                _flights.TryRemove(KeyValuePair.Create(key, flight));
        }
    }

    /// <summary>Not cancelled with the first who asked: others may wait for it.</summary>
    private async Task<DnsMessage> FlyAsync(DomainName name, ushort type, DnsTransport transport)
    {
        using var deadline = new CancellationTokenSource(transport == DnsTransport.Udp ? patience.Udp : patience.Tcp);
        try
        {
            return transport == DnsTransport.Udp
                ? await OverUdpAsync(name, type, deadline.Token)
                : await _tcp.AskAsync(name, type, deadline.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException("no answer in time");
        }
    }

    /// <summary>
    /// A fresh connected socket (random port, only this peer's datagrams) and a random id for each question (RFC 5452 9).
    /// </summary>
    private async Task<DnsMessage> OverUdpAsync(DomainName name, ushort type, CancellationToken deadline)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(address, deadline);
        var id = (ushort)RandomNumberGenerator.GetInt32(65536);
        await socket.SendAsync(DnsMessage.Query(id, name, type), deadline);
        var buffer = new byte[4096];
        var stray = "";
        try
        {
            while (true)
            {
                var length = await socket.ReceiveAsync(buffer, deadline);
                // A datagram that is not the answer is ignored, not fatal: otherwise anyone could end the wait with a stray one.
                if (DnsMessage.ReadAnswer(buffer.AsSpan(0, length), id, name, type) is { } answer)
                    return answer.Truncated ? throw new DnsFormatException("the answer is cut short (TC)") : answer;
                stray = ", only datagrams that are no answer to the question";
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"no answer in time{stray}");
        }
    }
}
