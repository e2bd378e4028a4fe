using System.Buffers;
using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

internal sealed partial class SmtpConnection
{
    private bool Offers(string keyword) => _offers.ContainsKey(keyword);

    /// <summary>One transaction: MAIL and RCPTs (pipelined where offered), then the content as BDAT where offered, else DATA.</summary>
    public async Task<SmtpReplies> TransactAsync(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel) =>
        new(await RepliesAsync(from, to, message, cancel), Offers("DSN"));

    private async Task<IReadOnlyList<SmtpReply>> RepliesAsync(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        _contentSent = false;
        if (CannotCarry(from, to, message) is { } reply)
            return [.. to.Select(_ => reply)];
        var commands = new List<string> { MailCommand(from, message) };
        commands.AddRange(to.Select(RecipientCommand));
        if (!Offers("CHUNKING"))
            commands.Add("DATA"); // RFC 2920 3.1: it may end the group
        var replies = await ExchangeAsync(commands, cancel);
        var results = replies[0].IsPositive ? [.. replies.Skip(1).Take(to.Count)] : to.Select(_ => replies[0]).ToArray();
        var data = Offers("CHUNKING") ? null : replies[^1];
        if (!results.Any(r => r.IsPositive))
        {
            await LeaveAsync(data, cancel);
            return results;
        }
        var final = data is null ? await SendChunkAsync(message, cancel) : await SendDataAsync(data, message, cancel);
        _lastUse = System.Diagnostics.Stopwatch.GetTimestamp();
        return [.. results.Select(r => r.IsPositive ? final : r)];
    }

    /// <summary>Leaves a transaction in which nobody was accepted. A server that wants the message all the same gets an empty one (RFC 2920 3.1).</summary>
    /// <param name="data">Its answer to DATA, where that was sent along.</param>
    private async Task LeaveAsync(SmtpReply? data, CancellationToken cancel)
    {
        if (data?.Code != 354)
        {
            if (!Broken)
                await EndQuietlyAsync(cancel);
            return;
        }
        Broken = true;
        try
        {
            await SendLineAsync(".", cancel);
        }
        catch (SmtpUnavailableException)
        {
            // it is given up anyway
        }
    }

    private bool _contentSent;

    /// <summary>Leaves a refused transaction. The verdict stands even when the server hangs up after it.</summary>
    private async Task EndQuietlyAsync(CancellationToken cancel)
    {
        try
        {
            await ResetAsync(cancel);
        }
        catch (SmtpUnavailableException)
        {
            Broken = true;
        }
    }

    /// <summary>What the server lacks that this message needs; nothing is ever converted or left out to fit.</summary>
    private SmtpReply? CannotCarry(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message)
    {
        if (from.RequireTls && !(Offers("REQUIRETLS") && _stream is System.Net.Security.SslStream))
            return new SmtpReply(550, "5.7.30", $"{_target} does not support REQUIRETLS, which the sender asked for"); // RFC 8689 4.2.1
        if (!Offers("SMTPUTF8") && from.SmtpUtf8 && ((from.Mailbox?.IsInternational ?? false) || to.Any(t => t.Mailbox.IsInternational) || message.HasEightBitHeader))
            return new SmtpReply(550, "5.6.7", $"{_target} does not support SMTPUTF8, which this message needs"); // RFC 6531 3.5
        if (!Offers("8BITMIME") && from.Body == "8BITMIME" && message.HasEightBit)
            return new SmtpReply(550, "5.6.3", $"{_target} does not support 8BITMIME, which this message needs"); // RFC 6152 3
        return long.TryParse(_offers.GetValueOrDefault("SIZE"), out var largest) && largest > 0 && message.Size > largest
            ? new SmtpReply(552, "5.3.4", $"{_target} takes at most {largest} octets") : null;
    }

    private string MailCommand(ReversePath from, OutgoingMessage message)
    {
        var command = new StringBuilder($"MAIL FROM:<{from.Mailbox}>");
        if (Offers("SIZE"))
            command.Append(CultureInfo.InvariantCulture, $" SIZE={message.Size}");
        if (Offers("8BITMIME") && (from.Body is not null || message.HasEightBit))
            command.Append(message.HasEightBit ? " BODY=8BITMIME" : $" BODY={from.Body}");
        if (Offers("SMTPUTF8") && from.SmtpUtf8)
            command.Append(" SMTPUTF8");
        if (Offers("DSN") && from.Ret is not null)
            command.Append($" RET={from.Ret}");
        if (Offers("DSN") && from.EnvId is not null)
            command.Append($" ENVID={from.EnvId}");
        if (from.RequireTls)
            command.Append(" REQUIRETLS");
        return command.ToString();
    }

    private string RecipientCommand(ForwardPath to) => Offers("DSN") ? $"RCPT TO:<{to.Mailbox}>{to.ToString()[$"<{to.Mailbox}>".Length..]}" : $"RCPT TO:<{to.Mailbox}>";

    private async Task<List<SmtpReply>> ExchangeAsync(List<string> commands, CancellationToken cancel)
    {
        var replies = new List<SmtpReply>(commands.Count);
        if (Offers("PIPELINING")) // RFC 2920
        {
            await WriteAsync(Encoding.UTF8.GetBytes(string.Concat(commands.Select(c => c + "\r\n"))), cancel);
            foreach (var command in commands)
            {
                try
                {
                    replies.Add(await ReadReplyAsync(ReplyWait, cancel));
                }
                catch (SmtpUnavailableException) when (command == "DATA" && !replies.Skip(1).Any(r => r.IsPositive))
                {
                    Broken = true; // nobody was accepted, and it hung up: the verdicts stand
                    replies.Add(new SmtpReply(421, "4.4.2", $"{_target} hung up"));
                }
            }
            return replies;
        }
        foreach (var command in commands)
        {
            await SendLineAsync(command, cancel);
            replies.Add(await ReadReplyAsync(ReplyWait, cancel));
            if (!replies[0].IsPositive || (replies.Count == commands.Count - 1 && commands[^1] == "DATA" && !replies.Skip(1).Any(r => r.IsPositive)))
                break;
        }
        return replies;
    }

    /// <summary>RFC 3030: the octets as they are.</summary>
    private async Task<SmtpReply> SendChunkAsync(OutgoingMessage message, CancellationToken cancel)
    {
        ReadOnlyMemory<byte> command = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"BDAT {message.Size} LAST\r\n"));
        await WriteAsync(message.Prepend(command), command.Length + message.Size, cancel);
        _contentSent = true;
        return await ReadReplyAsync(EndWait, cancel);
    }

    /// <param name="reply">The answer to DATA.</param>
    private async Task<SmtpReply> SendDataAsync(SmtpReply reply, OutgoingMessage message, CancellationToken cancel)
    {
        if (reply.Code != 354)
        {
            await EndQuietlyAsync(cancel);
            return reply.IsPositive ? new SmtpReply(451, "4.5.0", $"{_target} answers DATA with {reply}") : reply;
        }
        var parts = message.ForData();
        if (message.Size <= Small)
        {
            // From the terminator on, which goes with the rest, the server may have it, whatever we hear.
            _contentSent = true;
            await WriteAsync(parts.Append(Terminator), message.Size + 1024, cancel);
        }
        else
        {
            await WriteAsync(parts, message.Size, cancel);
            _contentSent = true;
            await WriteAsync(Terminator, cancel);
        }
        return await ReadReplyAsync(EndWait, cancel);
    }

    private const int Small = 64 * 1024;

    private static readonly ReadOnlyMemory<byte> Terminator = ".\r\n"u8.ToArray();

    /// <summary>Octets a second below which a server is given up: it would hold its slot for hours.</summary>
    private const int SlowestRate = 32 * 1024;

    /// <summary>Sends parts under one deadline, small ones together, since each write is a packet of its own.</summary>
    /// <param name="size">About what they have together.</param>
    private async Task WriteAsync(IEnumerable<ReadOnlyMemory<byte>> parts, long size, CancellationToken cancel) => await GuardAsync(BlockWait + TimeSpan.FromSeconds(size / SlowestRate), async deadline =>
    {
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(Small, size));
        var (filled, most) = (0, 0);
        foreach (var part in parts)
        {
            if (part.Length > buffer.Length - filled)
            {
                await _stream.WriteAsync(buffer.AsMemory(0, filled), deadline);
                filled = 0;
            }
            if (part.Length > buffer.Length)
            {
                await _stream.WriteAsync(part, deadline);
                continue;
            }
            part.CopyTo(buffer.AsMemory(filled));
            filled += part.Length;
            most = Math.Max(most, filled);
        }
        await _stream.WriteAsync(buffer.AsMemory(0, filled), deadline);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(buffer.AsSpan(0, most));
        ArrayPool<byte>.Shared.Return(buffer);
    }, cancel);
}
