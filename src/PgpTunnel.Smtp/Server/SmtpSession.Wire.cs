using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace PgpTunnel.Smtp;

internal sealed partial class SmtpSession
{
    /// <summary>RFC 5321 4.5.3.1.4 has 512 octets; the parameters of RFC 3461, 1870 and 6531 extend MAIL and RCPT. CRLF included.</summary>
    private const int LongestCommand = 512,
        LongestMailCommand = 2048;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly Stream _connection;
    private PipeReader _input;
    private PipeWriter _output;
    private SslStream? _tls;
    private int _unflushed;
    private long _messageStarted,
        _progressSince,
        _progress;

    /// <summary>A command line without its CRLF, or why it cannot be one.</summary>
    private readonly record struct CommandLine(string Text, SmtpReply? Refusal);

    /// <summary>
    /// Replies gather while commands are at hand (RFC 2920), up to this many octets: a client that does not read must wait.
    /// </summary>
    private const int MostUnflushed = 16 * 1024;

    private void Write(SmtpReply reply)
    {
        var wire = reply.ToWire();
        _output.Write(wire);
        _unflushed += wire.Length;
    }

    private async Task WriteAsync(SmtpReply reply)
    {
        Write(reply);
        if (_unflushed >= MostUnflushed)
            await FlushAsync();
    }

    private async Task FlushAsync()
    {
        if (_unflushed == 0)
            return;
        _unflushed = 0;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_aborted);
        deadline.CancelAfter(_options.CommandTimeout);
        await _output.FlushAsync(deadline.Token);
    }

    /// <summary>
    /// The next command line; null at the end of the connection. Only CRLF ends a command: a lone CR or LF is an error, not a line end,
    /// so that no two readers can see different commands.
    /// </summary>
    private async Task<CommandLine?> ReadLineAsync()
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_aborted);
        // Between transactions nothing is in hand, so a stopping server need not wait for the client.
        using var stopping = _stopping.Register(() =>
        {
            if (_transaction is null)
                deadline.Cancel();
        });
        deadline.CancelAfter(_options.CommandTimeout);
        var overlong = false;
        while (true)
        {
            if (!_input.TryRead(out var read))
            {
                await FlushAsync();
                read = await _input.ReadAsync(deadline.Token);
            }
            var buffer = read.Buffer;
            if (buffer.PositionOf((byte)'\n') is { } newline)
            {
                var line = buffer.Slice(0, newline);
                var result = overlong ? TooLong() : Decode(line);
                _input.AdvanceTo(buffer.GetPosition(1, newline));
                return result;
            }
            if (read.IsCompleted)
                return null;
            if (buffer.Length > LongestMailCommand)
            {
                overlong = true;
                _input.AdvanceTo(buffer.End);
            }
            else
            {
                _input.AdvanceTo(buffer.Start, buffer.End);
            }
        }
    }

    private static CommandLine TooLong() => new("", new SmtpReply(500, "5.5.2", "the command line is too long"));

    private static CommandLine Decode(ReadOnlySequence<byte> line)
    {
        if (line.Length >= LongestMailCommand)
            return TooLong();
        var octets = line.ToArray();
        if (octets.Length == 0 || octets[^1] != '\r' || octets.AsSpan(0, octets.Length - 1).Contains((byte)'\r'))
            return new("", new SmtpReply(500, "5.5.2", "a command ends in CRLF; CR or LF on its own is not accepted"));
        if (octets.AsSpan().Contains((byte)0))
            return new("", new SmtpReply(500, "5.5.2", "a command contains a NUL"));
        try
        {
            var text = StrictUtf8.GetString(octets, 0, octets.Length - 1);
            var extended =
                text.StartsWith("MAIL", StringComparison.OrdinalIgnoreCase)
                || text.StartsWith("RCPT", StringComparison.OrdinalIgnoreCase);
            return octets.Length >= LongestCommand && !extended ? TooLong() : new(text, null);
        }
        catch (DecoderFallbackException)
        {
            return new("", new SmtpReply(500, "5.5.2", "a command is not UTF-8"));
        }
    }

    private void DiscardInput()
    {
        if (_input.TryRead(out var read))
            _input.AdvanceTo(read.Buffer.End);
    }

    private async Task<ReadResult> ReadDataAsync()
    {
        if (_input.TryRead(out var ready))
            return Live(ready);
        await FlushAsync();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_aborted);
        var left = _options.MessageTimeout - System.Diagnostics.Stopwatch.GetElapsedTime(_messageStarted);
        // Who drips holds memory that others wait for: in the time a client may be silent some of the message has to come.
        var silence = _options.DataTimeout - System.Diagnostics.Stopwatch.GetElapsedTime(_progressSince);
        left = left < silence ? left : silence;
        deadline.CancelAfter(left > TimeSpan.Zero ? left : TimeSpan.Zero);
        return Live(await _input.ReadAsync(deadline.Token));
    }

    private const int Progress = 32 * 1024;

    /// <summary>Counts octets of a message that have come.</summary>
    private void Came(long octets)
    {
        _progress += octets;
        if (_progress < Progress)
            return;
        (_progress, _progressSince) = (0, System.Diagnostics.Stopwatch.GetTimestamp());
    }

    private static ReadResult Live(ReadResult read) =>
        read is { IsCompleted: true, Buffer.IsEmpty: true }
            ? throw new IOException("the client hung up in the middle of a message")
            : read;

    private async Task UpgradeAsync(X509Certificate2 certificate)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(_aborted);
        deadline.CancelAfter(_options.CommandTimeout);
        _tls = new SslStream(_connection, leaveInnerStreamOpen: true);
        await _tls.AuthenticateAsServerAsync(
            new SslServerAuthenticationOptions { ServerCertificate = certificate },
            deadline.Token
        );
        await _input.CompleteAsync();
        (_input, _output) = (Reader(_tls), Writer(_tls));
    }

    private const int ReadSize = 64 * 1024;

    private static PipeReader Reader(Stream stream) =>
        PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: ReadSize, leaveOpen: true));

    private static PipeWriter Writer(Stream stream) =>
        PipeWriter.Create(stream, new StreamPipeWriterOptions(leaveOpen: true));
}
