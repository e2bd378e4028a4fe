using System.Buffers;
using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

internal sealed partial class SmtpConnection
{
    private bool Offers(string keyword) => _offers.ContainsKey(keyword);

    /// <summary>One transaction: MAIL and RCPTs (pipelined where offered), then the content as BDAT where offered, else DATA.</summary>
    public async Task<SmtpReplies> TransactAsync(ReversePath from, IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> content, CancellationToken cancel) =>
        new(await RepliesAsync(from, to, content, cancel), Offers("DSN"));

    private async Task<IReadOnlyList<SmtpReply>> RepliesAsync(ReversePath from, IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> content, CancellationToken cancel)
    {
        _contentSent = false;
        var size = content.Sum(c => (long)c.Length);
        if (CannotCarry(from, to, content, size) is { } reply)
            return [.. to.Select(_ => reply)];
        var commands = new List<string> { MailCommand(from, content, size) };
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
        var final = data is null ? await SendChunkAsync(content, size, cancel) : await SendDataAsync(data, content, cancel);
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
    private SmtpReply? CannotCarry(ReversePath from, IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> content, long size)
    {
        if (from.RequireTls && !(Offers("REQUIRETLS") && _stream is System.Net.Security.SslStream))
            return new SmtpReply(550, "5.7.30", $"{_target} does not support REQUIRETLS, which the sender asked for"); // RFC 8689 4.2.1
        if (!Offers("SMTPUTF8") && from.SmtpUtf8 && ((from.Mailbox?.IsInternational ?? false) || to.Any(t => t.Mailbox.IsInternational) || HasEightBitHeader(content)))
            return new SmtpReply(550, "5.6.7", $"{_target} does not support SMTPUTF8, which this message needs"); // RFC 6531 3.5
        if (!Offers("8BITMIME") && from.Body == "8BITMIME" && HasEightBit(content))
            return new SmtpReply(550, "5.6.3", $"{_target} does not support 8BITMIME, which this message needs"); // RFC 6152 3
        return long.TryParse(_offers.GetValueOrDefault("SIZE"), out var largest) && largest > 0 && size > largest
            ? new SmtpReply(552, "5.3.4", $"{_target} takes at most {largest} octets") : null;
    }

    private static bool HasEightBit(IReadOnlyList<ReadOnlyMemory<byte>> content) => content.Any(c => c.Span.ContainsAnyInRange((byte)0x80, (byte)0xFF));

    private static bool HasEightBitHeader(IReadOnlyList<ReadOnlyMemory<byte>> content) => content.Any(c =>
    {
        var end = c.Span.IndexOf("\r\n\r\n"u8);
        return c.Span[..(end < 0 ? c.Length : end)].ContainsAnyInRange((byte)0x80, (byte)0xFF);
    });

    private string MailCommand(ReversePath from, IReadOnlyList<ReadOnlyMemory<byte>> content, long size)
    {
        var command = new StringBuilder($"MAIL FROM:<{from.Mailbox}>");
        if (Offers("SIZE"))
            command.Append(CultureInfo.InvariantCulture, $" SIZE={size}");
        if (Offers("8BITMIME") && (from.Body is not null || HasEightBit(content)))
            command.Append(HasEightBit(content) ? " BODY=8BITMIME" : $" BODY={from.Body}");
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
    private async Task<SmtpReply> SendChunkAsync(IReadOnlyList<ReadOnlyMemory<byte>> content, long size, CancellationToken cancel)
    {
        await WriteAsync([Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"BDAT {size} LAST\r\n")), .. content], cancel);
        _contentSent = true;
        return await ReadReplyAsync(EndWait, cancel);
    }

    /// <param name="reply">The answer to DATA.</param>
    private async Task<SmtpReply> SendDataAsync(SmtpReply reply, IReadOnlyList<ReadOnlyMemory<byte>> content, CancellationToken cancel)
    {
        if (reply.Code != 354)
        {
            await EndQuietlyAsync(cancel);
            return reply.IsPositive ? new SmtpReply(451, "4.5.0", $"{_target} answers DATA with {reply}") : reply;
        }
        IReadOnlyList<ReadOnlyMemory<byte>> wire = NeedsStuffing(content) ? [Stuff(content)] : [.. content, ".\r\n"u8.ToArray()];
        // From the terminator on the server may have it, whatever we hear.
        _contentSent = wire.Sum(p => (long)p.Length) <= Small;
        await WriteAsync([.. _contentSent ? wire : wire.SkipLast(1)], cancel);
        if (!_contentSent)
        {
            _contentSent = true;
            await WriteAsync(wire[^1], cancel);
        }
        return await ReadReplyAsync(EndWait, cancel);
    }

    private const int Small = 64 * 1024;

    /// <summary>Parts of a small message go as one: each write is a packet of its own.</summary>
    private async Task WriteAsync(IReadOnlyList<ReadOnlyMemory<byte>> parts, CancellationToken cancel)
    {
        var size = parts.Sum(p => (long)p.Length);
        if (size > Small)
        {
            foreach (var part in parts)
                await WriteAsync(part, cancel);
            return;
        }
        var all = ArrayPool<byte>.Shared.Rent((int)size);
        var filled = 0;
        foreach (var part in parts)
        {
            part.CopyTo(all.AsMemory(filled));
            filled += part.Length;
        }
        await WriteAsync(all.AsMemory(0, filled), cancel);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(all.AsSpan(0, filled));
        ArrayPool<byte>.Shared.Return(all);
    }

    /// <summary>Whether a line begins with a dot, or the last line does not end; a parcel never does.</summary>
    private static bool NeedsStuffing(IReadOnlyList<ReadOnlyMemory<byte>> content)
    {
        var parts = content.Where(p => p.Length > 0).ToList();
        // A dot at a part's own start might begin a line.
        return parts.Count == 0 || !parts[^1].Span.EndsWith("\r\n"u8) || parts.Exists(p => p.Span[0] is (byte)'.' or (byte)'\n' || p.Span.IndexOf("\r\n."u8) >= 0);
    }

    /// <summary>
    /// RFC 5321 4.5.2: a dot before each line that begins with one, and the terminator. A message whose last line lacks its CRLF gets
    /// one here, since DATA cannot say otherwise.
    /// </summary>
    internal static ReadOnlyMemory<byte> Stuff(IReadOnlyList<ReadOnlyMemory<byte>> content)
    {
        ReadOnlySpan<byte> lineStart = "\r\n."u8;
        var output = new ArrayBufferWriter<byte>((int)content.Sum(c => (long)c.Length) + 1024);
        var atStart = true;
        byte last = 0, beforeLast = 0;
        foreach (var part in content.Where(p => p.Length > 0))
        {
            var rest = part.Span;
            // The line may begin where one part ends and the next starts.
            if (rest[0] == '.' && (atStart || (beforeLast == '\r' && last == '\n')))
                output.Write("."u8);
            if (rest.Length > 1 && last == '\r' && rest[0] == '\n' && rest[1] == '.')
            {
                output.Write("\n."u8);
                rest = rest[1..];
            }
            for (int at; (at = rest.IndexOf(lineStart)) >= 0; rest = rest[(at + 2)..])
            {
                output.Write(rest[..(at + 2)]);
                output.Write("."u8);
            }
            output.Write(rest);
            atStart = false;
            (beforeLast, last) = part.Length > 1 ? (part.Span[^2], part.Span[^1]) : (last, part.Span[0]);
        }
        if (!atStart && !(beforeLast == '\r' && last == '\n'))
            output.Write("\r\n"u8);
        output.Write(".\r\n"u8);
        return output.WrittenMemory;
    }
}
