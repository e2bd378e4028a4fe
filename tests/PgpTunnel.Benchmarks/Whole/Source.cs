using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace PgpTunnel.Benchmarks;

/// <summary>
/// A mail client for what smtp-source cannot do: messages that differ, and the time of each. One command at a time over connections that
/// are kept, as smtp-source does.
/// </summary>
internal static class Source
{
    /// <summary>Sends all messages over that many sessions.</summary>
    /// <param name="messages">With their last CRLF, without dots to double.</param>
    /// <returns>From the first octet of MAIL to the 250, one for each message.</returns>
    public static async Task<TimeSpan[]> SendAsync(
        IPEndPoint server,
        string from,
        string to,
        IReadOnlyList<byte[]> messages,
        int sessions
    )
    {
        var (taken, times) = (-1, new TimeSpan[messages.Count]);
        var (mail, recipient) = (Line($"MAIL FROM:<{from}>"), Line($"RCPT TO:<{to}>"));
        await Task.WhenAll(
            Enumerable
                .Range(0, sessions)
                .Select(_ =>
                    Task.Run(async () =>
                    {
                        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
                        {
                            NoDelay = true,
                        };
                        await socket.ConnectAsync(server);
                        var buffer = new byte[4096];
                        await ExpectAsync(socket, buffer, "220");
                        await SayAsync(socket, Line("EHLO source.example"), buffer, "250");
                        for (int n; (n = Interlocked.Increment(ref taken)) < messages.Count; )
                        {
                            var began = Stopwatch.GetTimestamp();
                            await SayAsync(socket, mail, buffer, "250");
                            await SayAsync(socket, recipient, buffer, "250");
                            await SayAsync(socket, Data, buffer, "354");
                            await WriteAsync(socket, messages[n]);
                            await SayAsync(socket, End, buffer, "250");
                            times[n] = Stopwatch.GetElapsedTime(began);
                        }
                        await SayAsync(socket, Line("QUIT"), buffer, "221");
                    })
                )
        );
        return times;
    }

    private static readonly byte[] Data = Line("DATA"),
        End = Line(".");

    private static byte[] Line(string text) => Encoding.ASCII.GetBytes(text + "\r\n");

    private static async Task SayAsync(Socket socket, byte[] command, byte[] buffer, string expected)
    {
        await WriteAsync(socket, command);
        await ExpectAsync(socket, buffer, expected);
    }

    private static async Task WriteAsync(Socket socket, ReadOnlyMemory<byte> octets)
    {
        while (octets.Length > 0)
            octets = octets[await socket.SendAsync(octets)..];
    }

    private static async Task ExpectAsync(Socket socket, byte[] buffer, string expected)
    {
        var length = 0;
        while (!IsWhole(buffer.AsSpan(0, length)))
        {
            var read = await socket.ReceiveAsync(buffer.AsMemory(length));
            length += read > 0 ? read : throw new IOException("the server closed the connection");
        }
        if (!Encoding.ASCII.GetString(buffer, 0, 3).Equals(expected, StringComparison.Ordinal))
            throw new IOException($"{expected} was expected: {Encoding.ASCII.GetString(buffer, 0, length)}");
    }

    /// <summary>The last line is there, and no other follows it.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> reply)
    {
        if (!reply.EndsWith("\r\n"u8))
            return false;
        var start = reply[..^2].LastIndexOf((byte)'\n') + 1;
        return reply[start..][3] == ' ';
    }
}
