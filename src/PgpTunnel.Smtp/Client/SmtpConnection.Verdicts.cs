namespace PgpTunnel.Smtp;

/// <summary>What the replies of a transaction mean for its recipients, and how it is left.</summary>
internal sealed partial class SmtpConnection
{
    /// <summary>
    /// It closed without a verdict. A server that announces PIPELINING and cannot bear it does so too, and gets one command at a time.
    /// </summary>
    private SmtpOutcome BreakOff(IReadOnlyList<ForwardPath> to) =>
        Offers("PIPELINING")
            ? All(to, HungUp) with
            {
                BrokeOff = true,
                Rest = Everybody(to),
                Suspects = ["PIPELINING"],
            }
            : throw new SmtpUnavailableException(HungUp);

    /// <summary>
    /// Refusals that came before it stand. The connection ends before a message can be taken for whole, and all others get a transaction of
    /// their own without the one that was answered so.
    /// </summary>
    private static SmtpOutcome OutOfStep(IReadOnlyList<ForwardPath> to, Exchanged replies, int strange) =>
        strange < 0
            ? All(to, replies.Mail!)
            : new(
                [.. replies.Recipients],
                [
                    .. Enumerable
                        .Range(0, to.Count)
                        .Where(i => i != strange && !(i < strange && replies.Recipients[i].IsPermanent)),
                ],
                []
            );

    private SmtpReply HungUp => new(451, "4.4.2", $"{_target} closed the connection");

    private static int[] Everybody(IReadOnlyList<ForwardPath> to) => [.. Enumerable.Range(0, to.Count)];

    private static SmtpOutcome All(IReadOnlyList<ForwardPath> to, SmtpReply reply) =>
        new([.. to.Select(_ => reply)], [], []);

    /// <summary>Recipients that were accepted get the answer to the message; what the server does not know is tried without.</summary>
    private SmtpOutcome Settle(IReadOnlyList<ForwardPath> to, SmtpReply[] results, SmtpReply final)
    {
        var rest = Rest(to, results);
        var outcome = new SmtpOutcome(
            [
                .. results.Select(r =>
                    r.IsPositive ? final with { LeavesReports = !Offers("DSN"), Tls = TlsVersion } : r
                ),
            ],
            rest.Indexes,
            rest.Suspects
        );
        if (final.Code == 503 && !Offers("CHUNKING") && Offers("PIPELINING"))
            return outcome with
            {
                Rest = [.. outcome.Rest, .. Enumerable.Range(0, to.Count).Where(i => results[i].IsPositive)],
                Suspects = [.. outcome.Suspects, "PIPELINING"],
            };
        if (!Offers("CHUNKING") || final.IsPositive || !(final.IsAboutSyntax() || final.IsTemporary))
            return outcome;
        if (_needed.Contains("CHUNKING")) // then DATA is not as good
            return final.IsTemporary
                ? outcome
                : outcome with
                {
                    Replies = [.. results.Select(r => r.IsPositive ? NoSafeWay : r)],
                };
        // RFC 5321 4.2.4: the command is refused, not the message, so DATA is as good; after 500 the octets may have been taken for
        // commands.
        _broken = true;
        return final.IsTemporary
            ? outcome with
            {
                Lacks = ["CHUNKING"],
            }
            : outcome with
            {
                Rest = [.. outcome.Rest, .. Enumerable.Range(0, to.Count).Where(i => results[i].IsPositive)],
                Suspects = [.. outcome.Suspects, "CHUNKING"],
            };
    }

    /// <summary>
    /// Recipients whose refusal is not about them: too many for one transaction, or parameters that the server does not take.
    /// </summary>
    private (IReadOnlyList<int> Indexes, IReadOnlyList<string> Suspects) Rest(
        IReadOnlyList<ForwardPath> to,
        SmtpReply[] results
    )
    {
        var first = Array.FindIndex(results, r => r.IsPositive);
        var many = Enumerable.Range(0, to.Count).Where(i => first >= 0 && i > first && results[i].IsTooMany()).ToList();
        var parameters = Enumerable
            .Range(0, to.Count)
            .Where(i =>
                results[i].IsAboutSyntax()
                && results[i].Code != 503
                && Offers("DSN")
                && (to[i].Notify ?? to[i].Orcpt) is not null
            )
            .ToList();
        var outOfStep = Enumerable
            .Range(0, to.Count)
            .Where(i => results[i].Code == 503 && Offers("PIPELINING"))
            .ToList();
        return (
            [.. many, .. parameters, .. outOfStep],
            [
                .. outOfStep.Count > 0 ? ["PIPELINING"] : Array.Empty<string>(),
                .. parameters.Count > 0 ? ["DSN"] : Array.Empty<string>(),
            ]
        );
    }

    /// <summary>MAIL was refused: for the session, for a parameter, or for good.</summary>
    private async Task<SmtpOutcome> RefusedAtMailAsync(
        Exchanged replies,
        string command,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        CancellationToken cancel
    )
    {
        // A server that refuses the sender and accepts recipients would deliver whatever ends the transaction.
        if (!replies.Recipients.Any(r => r.IsPositive))
            await LeaveAsync(replies.Data, cancel);
        _broken = true; // a session that refuses one message may refuse all
        var outcome = All(to, replies.Mail!) with { RefusedAtMail = true };
        List<string> used =
            outcome.Replies[0].IsAboutSyntax() && outcome.Replies[0].Code != 503
                ? Droppable(command, from, to, message)
                : [];
        return used.Count == 0 ? outcome : outcome with { Rest = Everybody(to), Suspects = used };
    }

    /// <summary>Extensions whose parameters MAIL had, and that this message can do without.</summary>
    private static List<string> Droppable(
        string command,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message
    )
    {
        var used = new List<string>();
        if (command.Contains(" SIZE="))
            used.Add("SIZE");
        if (command.Contains(" BODY=") && !message.HasEightBit)
            used.Add("8BITMIME");
        if (command.EndsWith(" SMTPUTF8", StringComparison.Ordinal) || command.Contains(" SMTPUTF8 "))
            if (!NeedsUtf8(from, to, message))
                used.Add("SMTPUTF8");
        if (command.Contains(" RET=") || command.Contains(" ENVID="))
            used.Add("DSN");
        return used;
    }

    private async Task<SmtpOutcome> NobodyAsync(
        Exchanged replies,
        IReadOnlyList<ForwardPath> to,
        SmtpReply[] results,
        CancellationToken cancel
    )
    {
        await LeaveAsync(replies.Data, cancel);
        if (replies.BrokeOff && !replies.HasRefusal)
            return BreakOff(to);
        var (rest, suspects) = Rest(to, results);
        return new SmtpOutcome(results, rest, suspects) { BrokeOff = _broken && !results.Any(r => r.IsPermanent) };
    }

    /// <summary>It hung up between the recipients and the message: verdicts stand, who was accepted has none.</summary>
    private SmtpOutcome Broken(IReadOnlyList<ForwardPath> to, Exchanged replies) =>
        !replies.HasRefusal
            ? BreakOff(to)
            : new SmtpOutcome([.. replies.Recipients.Select(r => r.IsPositive ? HungUp : r)], [], [])
            {
                BrokeOff = !replies.Recipients.Any(r => r.IsPermanent),
            };

    /// <summary>
    /// Leaves a transaction in which nobody was accepted. A server that wants the message all the same gets an empty one (RFC 2920 3.1).
    /// </summary>
    /// <param name="data">Its answer to DATA, where that was sent along.</param>
    private async Task LeaveAsync(SmtpReply? data, CancellationToken cancel)
    {
        if (data?.Code != 354)
        {
            if (!_broken)
                await EndQuietlyAsync(cancel);
            return;
        }
        _broken = true;
        try
        {
            await SendLineAsync(".", cancel);
        }
        catch (SmtpUnavailableException)
        {
            // it is given up anyway
        }
    }

    /// <summary>Leaves a refused transaction. The verdict stands even when the server hangs up after it.</summary>
    private async Task EndQuietlyAsync(CancellationToken cancel)
    {
        try
        {
            await ResetAsync(cancel);
        }
        catch (SmtpUnavailableException)
        {
            _broken = true;
        }
    }
}
