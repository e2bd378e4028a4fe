using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using MailKit.Security;

namespace PgpTunnel.Smtp;

/// <summary>Lines out, replies in, each wait under its deadline.</summary>
internal sealed partial class SmtpConnection
{
    private async Task SendLineAsync(string line, CancellationToken cancel) =>
        await WriteAsync(Encoding.UTF8.GetBytes(line + "\r\n"), cancel);

    private async Task WriteAsync(ReadOnlyMemory<byte> octets, CancellationToken cancel) =>
        await GuardAsync(BlockWait, async deadline => await _stream.WriteAsync(octets, deadline), cancel);

    private async Task<SmtpReply> ReadReplyAsync(TimeSpan wait, CancellationToken cancel)
    {
        var lines = new List<string>();
        try
        {
            await GuardAsync(
                wait,
                async deadline =>
                {
                    var total = 0;
                    do
                    {
                        lines.Add(await ReadLineAsync(deadline));
                        if ((total += lines[^1].Length) > LongestReply)
                            throw new SmtpProtocolException("a reply without end");
                    } while (lines[^1].Length > 3 && lines[^1][3] == '-');
                },
                cancel
            );
            return SmtpReply.Parse(lines);
        }
        catch (SmtpProtocolException e)
        {
            throw Failed(e.Message, e);
        }
    }

    private async Task<string> ReadLineAsync(CancellationToken cancel)
    {
        var line = new List<byte>(80);
        while (true)
        {
            if (_start == _end)
            {
                (_start, _end) = (0, await _stream.ReadAsync(_buffer, cancel));
                if (_end == 0)
                    throw new IOException("the server closed the connection");
            }
            var octet = _buffer[_start++];
            if (octet == '\n')
                return Text([.. line]).TrimEnd('\r');
            line.Add(octet);
            if (line.Count > LongestReply)
                throw new SmtpProtocolException("a reply line without end");
        }
    }

    /// <summary>
    /// Reply text should be ASCII (RFC 5321 4.2), and is UTF-8 or the charset of a country all the same: nothing of it is lost.
    /// </summary>
    private static string Text(byte[] line)
    {
        try
        {
            return StrictUtf8.GetString(line);
        }
        catch (DecoderFallbackException)
        {
            return Encoding.Latin1.GetString(line);
        }
    }

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Runs one wait under its deadline; whatever breaks becomes <see cref="SmtpUnavailableException"/>.</summary>
    private async Task GuardAsync(TimeSpan wait, Func<CancellationToken, Task> work, CancellationToken cancel)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(wait);
        try
        {
            await work(deadline.Token);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw Failed($"no answer within {wait.TotalSeconds:0} s", e);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
        {
            throw new SmtpUnavailableException(new SmtpReply(451, "4.4.1", $"{_target}: {e.Message}"), e)
            {
                AfterContent = _contentSent,
                ByChunk = _byChunk,
            };
        }
    }
}
