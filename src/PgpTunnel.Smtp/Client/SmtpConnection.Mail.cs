using System.Buffers;
using System.Globalization;
using System.Text;

namespace PgpTunnel.Smtp;

internal sealed partial class SmtpConnection
{
    private bool Offers(string keyword) =>
        _offers.ContainsKey(keyword) && (!_lacking.Contains(keyword) || _needed.Contains(keyword));

    /// <summary>
    /// Extensions that the server may lack, and those that this message cannot do without: what a server was once found to lack is no
    /// verdict on a message that needs it.
    /// </summary>
    private HashSet<string> _lacking = [],
        _needed = [];

    /// <summary>One transaction: MAIL and RCPTs (pipelined where offered), then the content as BDAT where offered, else DATA.</summary>
    /// <param name="lacking">Extensions not to be used, though the server announce them, where the message can do without.</param>
    public async Task<SmtpOutcome> TransactAsync(
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        HashSet<string> lacking,
        CancellationToken cancel
    )
    {
        _contentSent = _byChunk = false;
        (_lacking, _needed) = (lacking, Needed(from, to, message));
        if (CannotCarry(from, to, message) is { } reply)
            return All(to, reply);
        var commands = new List<string> { MailCommand(from, to, message) };
        commands.AddRange(to.Select(RecipientCommand));
        if (!Offers("CHUNKING"))
            commands.Add("DATA"); // RFC 2920 3.1: it may end the group
        var replies = await ExchangeAsync(commands, cancel);
        if (replies.Mail is null)
            return BreakOff(to);
        if (replies.Strange is { } strange)
            return OutOfStep(to, replies, strange);
        if (!replies.Mail.IsPositive)
            return await RefusedAtMailAsync(replies, commands[0], from, to, message, cancel);
        var results = replies.Recipients.ToArray();
        if (!results.Any(r => r.IsPositive))
            return await NobodyAsync(replies, to, results, cancel);
        if (replies.BrokeOff)
            return Broken(to, replies);
        var final = Offers("CHUNKING")
            ? await SendChunkAsync(message, cancel)
            : await SendDataAsync(replies.Data!, message, cancel);
        _lastUse = System.Diagnostics.Stopwatch.GetTimestamp();
        return Settle(to, results, final);
    }

    private bool _contentSent;

    private static bool NeedsUtf8(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message) =>
        (from.Mailbox?.IsInternational ?? false) || to.Any(t => t.Mailbox.IsInternational) || message.HasEightBitHeader;

    private static HashSet<string> Needed(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message)
    {
        var needed = new HashSet<string>();
        if (from.SmtpUtf8 && NeedsUtf8(from, to, message))
            needed.Add("SMTPUTF8");
        if (message.HasEightBit)
            needed.Add("8BITMIME");
        if (message.HidesDots)
            needed.Add("CHUNKING");
        return needed;
    }

    /// <summary>What the server lacks that this message needs; nothing is ever converted or left out to fit.</summary>
    private SmtpReply? CannotCarry(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message)
    {
        if (from.RequireTls && !(Offers("REQUIRETLS") && _stream is System.Net.Security.SslStream))
            return new SmtpReply(550, "5.7.30", $"{_target} does not support REQUIRETLS, which the sender asked for"); // RFC 8689 4.2.1
        if (!Offers("SMTPUTF8") && from.SmtpUtf8 && NeedsUtf8(from, to, message))
            return new SmtpReply(550, "5.6.7", $"{_target} does not support SMTPUTF8, which this message needs"); // RFC 6531 3.5
        if (!Offers("8BITMIME") && message.HasEightBit)
            return new SmtpReply(550, "5.6.3", $"{_target} does not support 8BITMIME, which this message needs"); // RFC 6152 3
        if (!Offers("CHUNKING") && message.HidesDots)
            return NoSafeWay;
        return
            Offers("SIZE") && long.TryParse(_offers["SIZE"], out var largest) && largest > 0 && message.Size > largest
            ? new SmtpReply(552, "5.3.4", $"{_target} takes at most {largest} octets")
            : null;
    }

    private SmtpReply NoSafeWay =>
        new(
            554,
            "5.6.0",
            $"the message has NULs before a dot at the start of a line, which only BDAT carries safely, and {_target} has none"
        );

    private string MailCommand(ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message)
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

    private string RecipientCommand(ForwardPath to) =>
        Offers("DSN")
            ? $"RCPT TO:<{to.Mailbox}>{to.ToString()[$"<{to.Mailbox}>".Length..]}"
            : $"RCPT TO:<{to.Mailbox}>";

    /// <summary>The replies to one group of commands, as far as they came.</summary>
    /// <param name="Mail">Null = the connection ended before it.</param>
    /// <param name="Recipients">One a recipient; those that no reply came for have failed for now.</param>
    /// <param name="Answered">How many of the recipients have a reply of their own.</param>
    /// <param name="Data">Null where DATA was not sent, or got no reply.</param>
    private sealed record Exchanged(
        SmtpReply? Mail,
        IReadOnlyList<SmtpReply> Recipients,
        int Answered,
        SmtpReply? Data,
        bool BrokeOff
    )
    {
        /// <summary>A verdict of its own on a recipient came, and not only a broken connection.</summary>
        public bool HasRefusal => Recipients.Take(Answered).Any(r => !r.IsPositive);

        /// <summary>
        /// Whose reply was none that may come there, -1 = MAIL's: nothing more is sent, since nobody knows what it would be answered by.
        /// </summary>
        public int? Strange { get; init; }
    }

    /// <summary>
    /// MAIL, RCPTs and perhaps DATA; each reply that comes counts, though the server hang up behind it (RFC 5321 4.2.1, RFC 2920 3.1).
    /// </summary>
    private async Task<Exchanged> ExchangeAsync(List<string> commands, CancellationToken cancel)
    {
        var replies = new List<SmtpReply>(commands.Count);
        var brokeOff = false;
        try
        {
            if (Offers("PIPELINING"))
                await PipelineAsync(commands, replies, cancel);
            else
                await OneByOneAsync(commands, replies, cancel);
        }
        catch (SmtpUnavailableException)
            when (!cancel.IsCancellationRequested && (replies.Count > 0 || Offers("PIPELINING")))
        {
            _broken = brokeOff = true;
        }
        var hasData = commands[^1] == "DATA";
        var recipients = commands.Count - (hasData ? 2 : 1);
        // What follows a reply that is out of place may answer another command than it seems to: it accepts and refuses nobody.
        var strange = Enumerable
            .Range(0, Math.Min(replies.Count, recipients + 1))
            .FirstOrDefault(i => replies[i].IsOutOfPlace(i == 0 ? SmtpStep.Mail : SmtpStep.Recipient), int.MaxValue);
        SmtpReply Sure(int at) =>
            at > strange ? new SmtpReply(451, "4.5.0", $"{_target} is out of step: {replies[at]}") : replies[at];
        _broken |= strange < int.MaxValue;
        return new(
            replies.Count == 0 ? null : replies[0].Verdict(SmtpStep.Mail, _target),
            [
                .. Enumerable
                    .Range(1, recipients)
                    .Select(i => i < replies.Count ? Sure(i).Verdict(SmtpStep.Recipient, _target) : HungUp),
            ],
            Math.Clamp(replies.Count - 1, 0, recipients),
            hasData && replies.Count == commands.Count ? replies[^1] : null,
            brokeOff
        )
        {
            Strange = strange < int.MaxValue ? strange - 1 : null,
        };
    }

    /// <summary>RFC 2920.</summary>
    private async Task PipelineAsync(List<string> commands, List<SmtpReply> replies, CancellationToken cancel)
    {
        try
        {
            await WriteAsync(Encoding.UTF8.GetBytes(string.Concat(commands.Select(c => c + "\r\n"))), cancel);
        }
        catch (SmtpUnavailableException)
        {
            // It may have refused and closed before it read; what it said is there still.
        }
        foreach (var _ in commands)
            replies.Add(await ReadReplyAsync(ReplyWait, cancel));
    }

    private async Task OneByOneAsync(List<string> commands, List<SmtpReply> replies, CancellationToken cancel)
    {
        foreach (var command in commands)
        {
            if (command == "DATA" && !replies.Skip(1).Any(r => r.IsPositive))
                return;
            try
            {
                await SendLineAsync(command, cancel);
            }
            catch (SmtpUnavailableException)
            {
                // as above
            }
            replies.Add(await ReadReplyAsync(ReplyWait, cancel));
            if (!replies[0].IsPositive)
                return;
        }
    }
}
