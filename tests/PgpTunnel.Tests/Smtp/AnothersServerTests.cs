extern alias others;

using System.Buffers;
using System.Net;
using System.Text;
using others::SmtpServer;
using others::SmtpServer.ComponentModel;
using others::SmtpServer.Protocol;
using others::SmtpServer.Storage;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>
/// What we send, read by a server that others wrote (the SmtpServer package). It leaves the last line end out, whether there was one or
/// not, and shows no parameters of RCPT; all else must be there octet for octet.
/// </summary>
public sealed class AnothersServerTests : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Kept _kept = new();
    private IPEndPoint _address = null!;
    private Task _serving = Task.CompletedTask;

    private sealed class Kept : MessageStore
    {
        public byte[] Octets { get; private set; } = [];
        public string From { get; private set; } = "";
        public string To { get; private set; } = "";
        public string Parameters { get; private set; } = "";

        public override Task<SmtpResponse> SaveAsync(
            ISessionContext context,
            IMessageTransaction transaction,
            ReadOnlySequence<byte> buffer,
            CancellationToken cancellationToken
        )
        {
            Octets = buffer.ToArray();
            From = $"{transaction.From.User}@{transaction.From.Host}";
            To = string.Join(", ", transaction.To.Select(t => $"{t.User}@{t.Host}"));
            Parameters = string.Join(' ', transaction.Parameters.Select(p => $"{p.Key}={p.Value}"));
            return Task.FromResult(SmtpResponse.Ok);
        }
    }

    public async ValueTask InitializeAsync()
    {
        var services = new ServiceProvider();
        services.Add(_kept);
        _address = FreeAddress();
        var options = new SmtpServerOptionsBuilder()
            .ServerName("others.example")
            .Endpoint(e => e.Endpoint(_address))
            .Build();
        _serving = new others::SmtpServer.SmtpServer(options, services).StartAsync(_stop.Token);
        await Wait.UntilAsync(Listens, () => "it does not listen");
    }

    /// <summary>It cannot tell which port it took, so one is looked for first.</summary>
    private static IPEndPoint FreeAddress()
    {
        using var probe = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return (IPEndPoint)probe.LocalEndpoint;
    }

    private bool Listens()
    {
        using var client = new System.Net.Sockets.TcpClient();
        try
        {
            client.Connect(_address);
            return true;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving.WaitAsync(TimeSpan.FromSeconds(30)).ContinueWith(_ => { }, TaskScheduler.Default);
        _stop.Dispose();
    }

    public static TheoryData<string> Bodies =>
        [
            "body\r\n",
            ".\r\n..x\r\n.y\r\n",
            "\xE9\xFF\x80\r\n",
            "a\0b\r\n",
            "\r\n\r\n\r\n",
            "a\nb\n.\nMAIL FROM:<mallory@c.example>\r\n",
            "a\rb\r\n",
            new string('x', 5000) + "\r\n",
            "no end",
        ];

    [Theory, MemberData(nameof(Bodies))]
    public async Task It_reads_what_was_meant(string body)
    {
        await using var sender = new SmtpSender(() => "client.example");
        var message = Encoding.Latin1.GetBytes("Subject: s\r\n\r\n" + body);
        var replies = await sender.SendAsync(
            new SmtpTarget("others", _address, TlsMode.Opportunistic),
            ReversePath.Parse("<alice@a.example> BODY=8BITMIME").Path!,
            [ForwardPath.Parse("<bob@b.example>", false).Path!, ForwardPath.Parse("<\"c d\"@b.example>", false).Path!],
            [message],
            CancellationToken.None
        );
        Assert.All(replies, r => Assert.Equal(250, r.Code));
        Assert.Equal(Encoding.Latin1.GetString(message).TrimEnd("\r\n"), Encoding.Latin1.GetString(_kept.Octets));
        Assert.Equal("alice@a.example", _kept.From);
        Assert.Equal("bob@b.example, c d@b.example", _kept.To.Replace("\"", ""));
        Assert.Equal("BODY=8BITMIME", _kept.Parameters);
    }
}

file static class Text
{
    /// <summary>Without one such end.</summary>
    public static string TrimEnd(this string text, string end) =>
        text.EndsWith(end, StringComparison.Ordinal) ? text[..^end.Length] : text;
}
