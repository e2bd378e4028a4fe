using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using MailKit.Security;

namespace PgpTunnel.Smtp;

/// <summary>One client connection: opening, STARTTLS, AUTH. The transaction is in <c>SmtpConnection.Mail.cs</c>.</summary>
internal sealed partial class SmtpConnection : IDisposable
{
    // RFC 5321 4.5.3.2
    private static readonly TimeSpan ConnectWait = TimeSpan.FromSeconds(30),
        ReplyWait = TimeSpan.FromMinutes(5),
        BlockWait = TimeSpan.FromMinutes(3),
        EndWait = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan IntermediateWait = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan ResetWait = TimeSpan.FromSeconds(10); // a connection that does not answer this is dead
    private static readonly string[] Mechanisms =
    [
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "CRAM-MD5",
        "PLAIN",
        "LOGIN",
    ]; // strong to weak
    private const int LongestReply = 64 * 1024;

    private readonly SmtpTarget _target;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[4096];
    private long _lastUse = System.Diagnostics.Stopwatch.GetTimestamp();
    private Stream _stream;
    private int _start,
        _end;
    private Dictionary<string, string> _offers = new(StringComparer.OrdinalIgnoreCase);

    private SmtpConnection(SmtpTarget target, Socket socket) =>
        (_target, _socket, _stream) = (target, socket, Stream.Null);

    /// <summary>What the server said first.</summary>
    public string Greeting { get; private set; } = "";

    private string? TlsVersion =>
        (_stream as SslStream)?.SslProtocol switch
        {
            null => null,
            SslProtocols.Tls13 => "TLSv1.3",
            SslProtocols.Tls12 => "TLSv1.2",
            var other => other.ToString(),
        };

    public bool OffersStartTls => _offers.ContainsKey("STARTTLS");

    /// <summary>How long since its last transaction ended.</summary>
    public TimeSpan IdleFor => System.Diagnostics.Stopwatch.GetElapsedTime(_lastUse);

    /// <summary>Not to be used again.</summary>
    public bool IsBroken => _broken;

    private bool _broken;

    /// <summary>Not to be kept for the next message.</summary>
    public bool IsForOne { get; set; }

    public static async Task<SmtpConnection> OpenAsync(SmtpTarget target, string hostname, CancellationToken cancel)
    {
        Socket socket;
        try
        {
            socket = new Socket(target.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        }
        catch (SocketException e) // this machine has no IPv6, or no IPv4
        {
            throw new SmtpUnavailableException(new SmtpReply(451, "4.4.1", $"{target}: {e.Message}"), e);
        }
        var connection = new SmtpConnection(target, socket);
        try
        {
            await connection.GuardAsync(
                ConnectWait,
                async deadline => await socket.ConnectAsync(target.Address, deadline),
                cancel
            );
            connection._stream = new NetworkStream(socket);
            var greeting = await connection.ReadReplyAsync(ReplyWait, cancel);
            await connection.ExpectAsync(greeting);
            connection.Greeting = greeting.Text;
            await connection.HelloAsync(hostname, cancel);
            await connection.StartTlsAsync(hostname, cancel);
            await connection.LoginAsync(cancel);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private SmtpUnavailableException Failed(string what, Exception? inner = null) =>
        new(new SmtpReply(451, "4.4.2", $"{_target}: {what}"), inner)
        {
            AfterContent = _contentSent,
            ByChunk = _byChunk,
        };

    private Task ExpectAsync(SmtpReply reply) =>
        reply.IsPositive
            ? Task.CompletedTask
            // RFC 5321 4.2.1 would let a 5yz greeting end it; another host or another hour may be kinder to the sender.
            : throw new SmtpUnavailableException(new SmtpReply(451, "4.4.1", $"{_target} says: {reply}"));

    private async Task HelloAsync(string hostname, CancellationToken cancel)
    {
        await SendLineAsync($"EHLO {hostname}", cancel);
        var reply = await ReadReplyAsync(ReplyWait, cancel);
        _offers = new(StringComparer.OrdinalIgnoreCase);
        if (reply.IsPermanent)
        {
            await SendLineAsync($"HELO {hostname}", cancel); // RFC 5321 3.2
            await ExpectAsync(await ReadReplyAsync(ReplyWait, cancel));
            return;
        }
        await ExpectAsync(reply);
        foreach (var line in reply.Text.Split('\n').Skip(1))
        {
            var blank = line.IndexOf(' ');
            _offers[blank < 0 ? line : line[..blank]] = blank < 0 ? "" : line[(blank + 1)..];
        }
        foreach (var forbidden in _target.Without.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            _offers.Remove(forbidden);
    }

    private async Task StartTlsAsync(string hostname, CancellationToken cancel)
    {
        if (_target.Tls == TlsMode.None)
            return;
        if (!_offers.ContainsKey("STARTTLS"))
        {
            if (_target.Tls != TlsMode.Opportunistic)
                throw new SmtpUnavailableException(
                    new SmtpReply(451, "4.7.10", $"{_target} does not offer STARTTLS, which the configuration requires")
                );
            return;
        }
        await SendLineAsync("STARTTLS", cancel);
        var answer = await ReadReplyAsync(ReplyWait, cancel);
        if (!answer.IsPositive)
            throw new TlsFailedException(new SmtpReply(451, "4.7.5", $"{_target} answers STARTTLS with: {answer}"));
        if (_start != _end) // an answer smuggled in before TLS would be taken for one given inside it
            throw Failed("sent more than its answer to STARTTLS");
        var tls = new SslStream(
            _stream,
            false,
            (_, _, _, errors) => _target.Tls != TlsMode.Verify || errors == SslPolicyErrors.None
        );
        _stream = tls;
        try
        {
            await GuardAsync(
                ReplyWait,
                async deadline =>
                    await tls.AuthenticateAsClientAsync(
                        new SslClientAuthenticationOptions { TargetHost = _target.Host },
                        deadline
                    ),
                cancel
            );
        }
        catch (System.Security.Authentication.AuthenticationException e)
        {
            throw new TlsFailedException(new SmtpReply(451, "4.7.5", $"{_target}: TLS failed: {e.Message}"), e);
        }
        catch (SmtpUnavailableException e)
        {
            throw new TlsFailedException(e.Reply, e);
        }
        await HelloAsync(hostname, cancel);
    }

    /// <summary>AUTH by MailKit's SASL mechanisms (RFC 4954); passwords that could be read on the way only inside TLS.</summary>
    private async Task LoginAsync(CancellationToken cancel)
    {
        if (_target.Login is not { } login)
            return;
        var offered = _offers
            .GetValueOrDefault("AUTH", "")
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(m => m.ToUpperInvariant())
            .ToHashSet();
        var usable = Mechanisms.Where(m =>
            offered.Contains(m) && (_stream is SslStream || m.StartsWith("SCRAM", StringComparison.Ordinal))
        );
        var mechanism =
            usable
                .Select(m => SaslMechanism.Create(m, new System.Net.NetworkCredential(login.User, login.Password)))
                .OfType<SaslMechanism>()
                .FirstOrDefault()
            ?? throw new SmtpUnavailableException(
                new SmtpReply(
                    451,
                    "4.7.0",
                    $"{_target} offers no login that can be used {(_stream is SslStream ? "" : "without TLS ")}(AUTH "
                        + $"{string.Join(' ', offered)})"
                )
            );
        SmtpReply reply;
        try
        {
            var first = mechanism.SupportsInitialResponse ? mechanism.Challenge(null, cancel) : null;
            await SendLineAsync(
                $"AUTH {mechanism.MechanismName}{(first is null ? "" : $" {(first.Length == 0 ? "=" : first)}")}",
                cancel
            );
            reply = await ReadReplyAsync(ReplyWait, cancel);
            while (reply.Code == 334)
            {
                await SendLineAsync(mechanism.Challenge(reply.Text, cancel), cancel);
                reply = await ReadReplyAsync(ReplyWait, cancel);
            }
        }
        catch (SaslException e)
        {
            throw Failed($"login failed: {e.Message}", e);
        }
        if (!reply.IsPositive)
            throw new SmtpUnavailableException(new SmtpReply(451, "4.7.8", $"{_target} refuses our login: {reply}"));
    }

    /// <summary>Nothing has come since the last answer: neither an end nor a farewell.</summary>
    public bool IsQuiet => _start == _end && !_socket.Poll(0, SelectMode.SelectRead);

    /// <summary>Ends whatever transaction is open.</summary>
    public async Task ResetAsync(CancellationToken cancel)
    {
        await SendLineAsync("RSET", cancel);
        await ExpectAsync(await ReadReplyAsync(ResetWait, cancel));
    }

    /// <summary>Says QUIT without waiting long, and closes.</summary>
    public async Task QuitAsync()
    {
        try
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            await SendLineAsync("QUIT", deadline.Token);
            await ReadReplyAsync(TimeSpan.FromSeconds(2), deadline.Token);
        }
        catch (Exception e)
            when (e is SmtpUnavailableException or OperationCanceledException or ObjectDisposedException) { }
        Dispose();
    }

    public void Dispose()
    {
        _stream.Dispose();
        _socket.Dispose();
    }
}
