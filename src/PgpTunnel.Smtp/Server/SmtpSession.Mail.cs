using System.Buffers;
using System.Globalization;

namespace PgpTunnel.Smtp;

internal sealed partial class SmtpSession
{
    private IMailTransaction? _transaction;
    private ReversePath _from = new(null);
    private int _recipients;
    private MessageBuffer? _chunks;
    private bool _chunkFailed,
        _reading;

    private void EndTransaction()
    {
        _transaction = null;
        _recipients = 0;
        _chunks?.Dispose();
        _chunks = null;
        _chunkFailed = false;
    }

    private static string? AfterColon(string argument, string word) =>
        argument.StartsWith(word, StringComparison.OrdinalIgnoreCase) ? argument[word.Length..].TrimStart(' ') : null;

    private async Task<SmtpReply> MailAsync(string argument)
    {
        if (!_greeted)
            return new SmtpReply(503, "5.5.1", "say EHLO first");
        if (_transaction is not null)
            return new SmtpReply(503, "5.5.1", "a transaction is open already; RSET ends it");
        if (AfterColon(argument, "FROM:") is not { } text)
            return EnvelopeSyntax.BadArguments("MAIL FROM:<address> [parameters]");
        var (path, refusal) = ReversePath.Parse(text);
        if (path is null)
            return refusal!;
        if (path.RequireTls)
            return EnvelopeSyntax.BadParameter("REQUIRETLS", null); // RFC 8689 is not offered
        if (path.Size > _options.MessageSize && path.Mailbox is not null) // a report may be as large as it likes, see RCPT
            return new SmtpReply(552, "5.3.4", $"the message is larger than {_options.MessageSize} octets");
        var (reply, transaction) = await _flow.BeginAsync(_client, path, _aborted);
        if (reply.IsPositive)
            (_transaction, _from, _messageStarted) = (transaction, path, System.Diagnostics.Stopwatch.GetTimestamp());
        return reply;
    }

    private async Task<SmtpReply> RecipientAsync(string argument)
    {
        if (_transaction is null)
            return new SmtpReply(503, "5.5.1", "say MAIL first");
        if (_chunks is not null)
            return new SmtpReply(503, "5.5.1", "the message has begun");
        if (AfterColon(argument, "TO:") is not { } text)
            return EnvelopeSyntax.BadArguments("RCPT TO:<address> [parameters]");
        var (path, refusal) = ForwardPath.Parse(text, _from.SmtpUtf8);
        if (path is null)
        {
            _transaction.Refused(text, refusal!);
            return refusal!;
        }
        if (_recipients >= _options.MaxRecipients)
            return new SmtpReply(452, "4.5.3", "too many recipients; send the rest in another transaction"); // RFC 5321 4.5.3.1.10
        var reply = await _transaction.AddAsync(path, _aborted);
        if (reply.IsPositive && _from.Size > _options.MessageSize && _transaction.Enough is null)
            return new SmtpReply(552, "5.3.4", $"the message is larger than {_options.MessageSize} octets");
        if (reply.IsPositive)
            _recipients++;
        return reply;
    }

    /// <summary>Why a message cannot begin now, or null.</summary>
    private SmtpReply? NotReady() =>
        _transaction is null ? new SmtpReply(503, "5.5.1", "say MAIL first")
        : _recipients == 0 ? new SmtpReply(554, "5.5.1", "no valid recipients") // RFC 5321 3.3
        : null;

    private static readonly SmtpReply Busy = new(452, "4.3.1", "too many messages in hand; try again soon");
    private const long Undeclared = 64 * 1024;

    /// <summary>A buffer with memory for the size that was declared; null when none is free for long.</summary>
    private async Task<MessageBuffer?> NewBufferAsync()
    {
        MemoryShare? share = null;
        if (
            _options.Memory is { } memory
            && (
                share = await memory.TakeAsync(
                    MessageBuffer.Cost
                        * Math.Min(_from.Size ?? Undeclared, _options.ReserveDeclared ? long.MaxValue / 4 : Undeclared),
                    _options.Trusted(_client.Address) ? null : _client.Address,
                    _options.MemoryPatience,
                    _aborted
                )
            )
                is null
        )
            return null;
        return new MessageBuffer(
            _options.MessageSize,
            _options.NormaliseNewlines,
            _options.ReserveDeclared ? _from.Size ?? 0 : 0,
            share,
            _options.Arrays
        )
        {
            Enough = _transaction?.Enough,
        };
    }

    private async Task<SmtpReply> DataAsync(string argument)
    {
        if (argument.Length > 0)
            return EnvelopeSyntax.BadArguments("DATA takes no argument");
        if (_chunks is not null || _chunkFailed)
            return new SmtpReply(503, "5.5.1", "DATA and BDAT do not mix"); // RFC 3030 2
        if (NotReady() is { } refusal)
            return refusal;
        using var buffer = await NewBufferAsync();
        if (buffer is null)
            return Busy;
        _reading = true;
        (_progress, _progressSince) = (0, System.Diagnostics.Stopwatch.GetTimestamp());
        Write(new SmtpReply(354, "", "end with a line that holds only a dot"));
        for (var ended = false; !ended; )
        {
            var read = await ReadDataAsync();
            var consumed = 0L;
            foreach (var segment in read.Buffer)
            {
                consumed += buffer.AppendData(segment.Span, out ended);
                if (ended)
                    break;
            }
            Came(consumed);
            _input.AdvanceTo(read.Buffer.GetPosition(consumed));
        }
        _reading = false;
        return await CommitAsync(buffer);
    }

    /// <summary>RFC 3030 2: the chunk follows its command at once, so it is read whatever the answer will be.</summary>
    private async Task<SmtpReply> ChunkAsync(string argument)
    {
        var words = argument.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (
            words.Length is not (1 or 2)
            || !long.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out var size)
            || (words.Length == 2 && !words[1].Equals("LAST", StringComparison.OrdinalIgnoreCase))
        )
        {
            // Without its length the chunk cannot be told from commands.
            _quit = true;
            return new SmtpReply(
                501,
                "5.5.4",
                "syntax: BDAT octets [LAST]; closing, since what follows is of unknown length"
            );
        }
        var last = words.Length == 2;
        var refusal =
            NotReady() ?? (_chunkFailed ? new SmtpReply(503, "5.5.1", "an earlier chunk was refused; RSET") : null);
        if (refusal is null && (_chunks ??= await NewBufferAsync()) is null)
            refusal = Busy;
        _reading = true;
        (_progress, _progressSince) = (0, System.Diagnostics.Stopwatch.GetTimestamp());
        await ReadChunkAsync(size, refusal is null ? _chunks : null);
        _reading = false;
        if (refusal is not null)
        {
            _chunkFailed = _transaction is not null;
            return refusal;
        }
        return last ? await CommitAsync(_chunks!) : new SmtpReply(250, "2.0.0", $"{size} octets received");
    }

    private async Task ReadChunkAsync(long size, MessageBuffer? buffer)
    {
        while (size > 0)
        {
            var read = await ReadDataAsync();
            var part = read.Buffer.Slice(0, Math.Min(size, read.Buffer.Length));
            foreach (var segment in part)
                buffer?.AppendChunk(segment.Span);
            size -= part.Length;
            Came(part.Length);
            _input.AdvanceTo(part.End);
        }
    }

    private async Task<SmtpReply> CommitAsync(MessageBuffer buffer)
    {
        var transaction = _transaction!;
        try
        {
            var (message, refusal) = buffer.Finish();
            if (buffer.Normalised)
                _options.Log($"a message from {_client.Address} had bare CR or LF; made CRLF", null);
            if (refusal is not null)
                _options.Log($"a message from {_client.Address} ({_from}) is refused: {refusal}", null);
            var reply = refusal ?? await transaction.CommitAsync(message, _aborted);
            _errors = reply.IsPositive ? 0 : _errors;
            return reply;
        }
        finally
        {
            EndTransaction();
        }
    }
}
