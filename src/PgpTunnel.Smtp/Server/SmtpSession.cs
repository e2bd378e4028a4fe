using System.IO.Pipelines;
using System.Security.Authentication;
using System.Text;

namespace PgpTunnel.Smtp;

/// <summary>
/// One server session, top to bottom: greeting, commands in the order a client sends them, QUIT. Mail commands are in
/// <c>SmtpSession.Mail.cs</c>, octets in and out in <c>SmtpSession.Wire.cs</c>.
/// </summary>
internal sealed partial class SmtpSession : IAsyncDisposable
{
    private readonly SmtpServerOptions _options;
    private readonly IMailFlow _flow;
    private readonly CancellationToken _stopping;
    private readonly CancellationToken _aborted;
    private SmtpClientInfo _client;
    private int _errors;
    private bool _greeted,
        _quit;

    /// <param name="stopping">The server is going down: finish the transaction in hand, then 421.</param>
    /// <param name="aborted">The connection is gone or must go now.</param>
    public SmtpSession(
        Stream connection,
        System.Net.IPAddress address,
        SmtpServerOptions options,
        IMailFlow flow,
        CancellationToken stopping,
        CancellationToken aborted
    )
    {
        (_connection, _input, _output) = (connection, Reader(connection), Writer(connection));
        (_options, _flow, _stopping, _aborted) = (options, flow, stopping, aborted);
        _client = new SmtpClientInfo(address, "", false, false);
    }

    /// <summary>
    /// Serves the session to its end. Throws nothing but what ends it: <see cref="OperationCanceledException"/>, <see
    /// cref="IOException"/>.
    /// </summary>
    public async Task RunAsync()
    {
        try
        {
            Write(new SmtpReply(220, "", $"{_options.Hostname} ESMTP PgpTunnel"));
            while (!_quit && await ReadLineAsync() is { } line)
            {
                var reply = await CommandAsync(line);
                if (reply is not null)
                    await WriteAsync(reply);
                if (reply is { Code: >= 500 and <= 504 or 555 } && ++_errors >= _options.MaxErrors && !_quit)
                {
                    Write(new SmtpReply(421, "4.7.0", $"{_options.Hostname} too many errors"));
                    _quit = true;
                }
            }
            await FlushAsync();
        }
        catch (OperationCanceledException) when (!_aborted.IsCancellationRequested)
        {
            Write(
                _stopping.IsCancellationRequested
                    ? new SmtpReply(421, "4.3.2", $"{_options.Hostname} is going down; try again")
                    : new SmtpReply(421, "4.4.2", $"{_options.Hostname} waited too long")
            );
            await FlushAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        EndTransaction();
        await _input.CompleteAsync();
        if (_tls is not null)
            await _tls.DisposeAsync();
    }

    private async Task<SmtpReply?> CommandAsync(CommandLine line)
    {
        if (line.Refusal is not null)
            return line.Refusal;
        var (verb, argument) = Split(line.Text);
        try
        {
            switch (verb)
            {
                case "EHLO" or "HELO":
                    return Hello(verb == "EHLO", argument);
                case "MAIL":
                    return await MailAsync(argument);
                case "RCPT":
                    return await RecipientAsync(argument);
                case "DATA":
                    return await DataAsync(argument);
                case "BDAT":
                    return await ChunkAsync(argument);
                case "RSET" when argument.Length == 0:
                    EndTransaction();
                    return SmtpReply.Ok;
                case "NOOP":
                    return SmtpReply.Ok;
                case "QUIT" when argument.Length == 0:
                    _quit = true;
                    return new SmtpReply(221, "2.0.0", $"{_options.Hostname} closing");
                case "VRFY":
                    return argument.Length == 0
                        ? EnvelopeSyntax.BadArguments("VRFY address")
                        : new SmtpReply(252, "2.1.5", "send mail and see (RFC 5321 3.5.3)");
                case "HELP":
                    return new SmtpReply(
                        214,
                        "2.0.0",
                        "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS QUIT"
                    );
                case "STARTTLS":
                    return await StartTlsAsync(argument);
                case "RSET" or "QUIT":
                    return EnvelopeSyntax.BadArguments($"{verb} takes no argument");
                case "EXPN" or "TURN" or "ETRN" or "AUTH":
                    return new SmtpReply(502, "5.5.1", $"{verb} is not implemented");
                default:
                    return new SmtpReply(500, "5.5.1", "command unknown");
            }
        }
        catch (Exception e) when (e is not (OperationCanceledException or IOException or AuthenticationException))
        {
            // Nothing we did not foresee may lose mail: the client keeps it and tries again.
            _options.Log($"command {verb} failed", e);
            if (verb is not ("RCPT" or "MAIL")) // the other recipients are as good as before
                EndTransaction();
            // The rest of a message must never be read as commands.
            _quit |= _reading;
            return new SmtpReply(451, "4.3.0", "internal error; the log of this gateway says more");
        }
    }

    private static (string Verb, string Argument) Split(string line)
    {
        var blank = line.IndexOf(' ');
        return blank < 0
            ? (line.ToUpperInvariant(), "")
            : (line[..blank].ToUpperInvariant(), line[(blank + 1)..].Trim(' '));
    }

    private SmtpReply Hello(bool extended, string argument)
    {
        if (argument.Length is 0 or > 255 || argument.Any(c => c is <= ' ' or > '~'))
            return new SmtpReply(501, "5.5.4", "give your domain name or address literal");
        EndTransaction(); // RFC 5321 4.1.4
        _greeted = true;
        _client = _client with { Helo = argument, Esmtp = extended };
        if (!extended)
            return new SmtpReply(250, "", _options.Hostname);
        var lines = new StringBuilder(_options.Hostname).Append(
            $"\nPIPELINING\nSIZE {_options.MessageSize}\n8BITMIME\nSMTPUTF8\nDSN\nCHUNKING\nENHANCEDSTATUSCODES"
        );
        if (_options.Certificate() is not null && _tls is null)
            lines.Append("\nSTARTTLS");
        return new SmtpReply(250, "", lines.ToString());
    }

    private async Task<SmtpReply?> StartTlsAsync(string argument)
    {
        if (_options.Certificate() is not { } certificate || _tls is not null)
            return new SmtpReply(
                _tls is not null ? 503 : 502,
                "5.5.1",
                _tls is not null ? "TLS is active already" : "STARTTLS is not offered"
            );
        if (argument.Length > 0)
            return EnvelopeSyntax.BadArguments("STARTTLS takes no argument");
        // RFC 3207 4.2: what the client said before TLS is forgotten, what it sent along with STARTTLS never becomes a command.
        DiscardInput();
        Write(new SmtpReply(220, "2.0.0", "go ahead"));
        await FlushAsync();
        EndTransaction();
        await UpgradeAsync(certificate);
        _greeted = false;
        _client = _client with { Helo = "", Esmtp = false, Tls = true };
        return null;
    }
}
