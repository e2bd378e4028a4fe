using System.Buffers;
using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

/// <summary>The content of a message, by BDAT or DATA, and the answer to it.</summary>
internal sealed partial class SmtpConnection
{
    /// <summary>RFC 3030: the octets as they are.</summary>
    private async Task<SmtpReply> SendChunkAsync(OutgoingMessage message, CancellationToken cancel)
    {
        ReadOnlyMemory<byte> command = Encoding.ASCII.GetBytes(
            string.Create(CultureInfo.InvariantCulture, $"BDAT {message.Size} LAST\r\n")
        );
        return await SendContentAsync(
            async () =>
            {
                _byChunk = true;
                await WriteAsync(message.Prepend(command), command.Length + message.Size, cancel);
                _contentSent = true;
            },
            cancel
        );
    }

    private bool _byChunk;

    /// <param name="reply">The answer to DATA.</param>
    private async Task<SmtpReply> SendDataAsync(SmtpReply reply, OutgoingMessage message, CancellationToken cancel)
    {
        if (!reply.GoesOn(SmtpStep.Data))
        {
            await EndQuietlyAsync(cancel);
            return reply.Verdict(SmtpStep.Data, _target);
        }
        var parts = message.ForData();
        return await SendContentAsync(
            async () =>
            {
                if (message.Size <= Small)
                {
                    // From the terminator on, which goes with the rest, the server may have it, whatever we hear.
                    _contentSent = true;
                    await WriteAsync(parts.Append(Terminator), message.Size + 1024, cancel);
                    return;
                }
                await WriteAsync(parts, message.Size, cancel);
                _contentSent = true;
                await WriteAsync(Terminator, cancel);
            },
            cancel
        );
    }

    private const int MostIntermediate = 5;

    /// <summary>
    /// Sends the content and reads the answer to it. A reply that asks for more completes nothing, so it is read on; where the server ends
    /// the connection while the content is on its way, the refusal that it may have given counts.
    /// </summary>
    private async Task<SmtpReply> SendContentAsync(Func<Task> send, CancellationToken cancel)
    {
        try
        {
            await send();
        }
        catch (SmtpUnavailableException) when (!cancel.IsCancellationRequested)
        {
            _broken = true;
            if (await TryReadAsync(cancel) is { IsPositive: false } refusal && !refusal.IsOutOfPlace(SmtpStep.Content))
                return refusal;
            throw;
        }
        var reply = await ReadReplyAsync(EndWait, cancel);
        for (var count = 1; reply.IsOutOfPlace(SmtpStep.Content); count++)
        {
            _broken = true;
            if (count > MostIntermediate)
                return reply.Verdict(SmtpStep.Content, _target);
            reply = await ReadReplyAsync(IntermediateWait, cancel);
        }
        return reply;
    }

    private async Task<SmtpReply?> TryReadAsync(CancellationToken cancel)
    {
        try
        {
            return await ReadReplyAsync(ResetWait, cancel);
        }
        catch (SmtpUnavailableException)
        {
            return null;
        }
    }

    private const int Small = 64 * 1024;

    private static readonly ReadOnlyMemory<byte> Terminator = ".\r\n"u8.ToArray();

    /// <summary>Octets a second below which a server is given up: it would hold its slot for hours.</summary>
    private const int SlowestRate = 32 * 1024;

    /// <summary>Sends parts under one deadline, small ones together, since each write is a packet of its own.</summary>
    /// <param name="size">About what they have together.</param>
    private async Task WriteAsync(IEnumerable<ReadOnlyMemory<byte>> parts, long size, CancellationToken cancel) =>
        await GuardAsync(
            BlockWait + TimeSpan.FromSeconds(size / SlowestRate),
            async deadline =>
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
            },
            cancel
        );
}
