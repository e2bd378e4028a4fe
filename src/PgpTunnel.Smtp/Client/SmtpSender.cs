using System.Collections.Concurrent;

namespace PgpTunnel.Smtp;

/// <summary>How a server receives a client.</summary>
/// <param name="Text">Its first line, the host name in front.</param>
/// <param name="TlsFailure">What goes wrong when STARTTLS is used; null = nothing.</param>
public sealed record SmtpGreeting(string Text, bool OffersStartTls, string? TlsFailure)
{
    /// <summary>Why it would take no mail of us all the same: no STARTTLS where it is required, or no login; null = it would.</summary>
    public string? Refusal { get; init; }
}

/// <summary>Hands messages to servers, octet for octet, over connections that are kept a few seconds for the next message.</summary>
public sealed class SmtpSender : IAsyncDisposable
{
    private static readonly TimeSpan KeepIdle = TimeSpan.FromSeconds(10);

    private readonly Func<string> _hostname;
    private readonly ConcurrentDictionary<SmtpTarget, ConcurrentStack<SmtpConnection>> _idle = new();
    private readonly Lacking _lacking = new();
    private readonly Timer _sweeper;

    /// <param name="hostname">Our name in EHLO.</param>
    public SmtpSender(Func<string> hostname)
    {
        _hostname = hostname;
        _sweeper = new Timer(_ => Sweep(KeepIdle), null, KeepIdle, KeepIdle);
    }

    /// <summary>Connections opened so far.</summary>
    public int Opened { get; private set; }

    /// <summary>
    /// Sends one message. Recipients that the server wants in another transaction get one at once. What it may announce and not have is
    /// done without, one thing at a time, and where that helped for a while.
    /// </summary>
    /// <param name="message">CRLF lines, no dot-stuffing.</param>
    /// <returns>One final reply a recipient, in order.</returns>
    /// <exception cref="SmtpUnavailableException">No connection, or it broke; whether the server has the message is not known in the
    /// second case.</exception>
    public async Task<IReadOnlyList<SmtpReply>> SendAsync(
        SmtpTarget target,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        CancellationToken cancel
    )
    {
        var replies = new SmtpReply?[to.Count];
        var suspected = new string?[to.Count];
        var lacking = _lacking.Of(target);
        for (var pending = Enumerable.Range(0, to.Count).ToArray(); pending.Length > 0; )
        {
            SmtpOutcome outcome;
            try
            {
                outcome = await TransactAsync(target, from, [.. pending.Select(i => to[i])], message, lacking, cancel);
            }
            catch (Exception e)
                when (e is SmtpUnavailableException or OperationCanceledException
                    && Array.Exists(replies, r => r is not null)
                )
            {
                // The others have their answers, which are kept even when we are going down.
                Array.ForEach(
                    pending,
                    i => replies[i] = e is SmtpUnavailableException { Reply: var reply } ? reply : GoingDown
                );
                break;
            }
            _lacking.Learn(target, outcome.Lacks);
            lacking.UnionWith([.. outcome.Lacks, .. outcome.Suspects.Take(1)]);
            for (var i = 0; i < pending.Length; i++)
                if (!outcome.Rest.Contains(i))
                    replies[pending[i]] = outcome.Replies[i];
                else
                    suspected[pending[i]] = outcome.Suspects is [var suspect, ..] ? suspect : suspected[pending[i]];
            pending = [.. outcome.Rest.Order().Select(i => pending[i])];
        }
        _lacking.Learn(
            target,
            suspected.Where((s, i) => s is not null && replies[i]!.IsPositive).Select(s => s!).Distinct()
        );
        return replies!;
    }

    private static readonly SmtpReply GoingDown = new(
        451,
        "4.3.2",
        "the gateway goes down between two transactions of this message"
    );

    /// <summary>
    /// One transaction. What concerns the session is not charged to the message: a connection that was used before may be worn out.
    /// </summary>
    private async Task<SmtpOutcome> TransactAsync(
        SmtpTarget target,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        HashSet<string> lacking,
        CancellationToken cancel
    )
    {
        if (TakeIdle(target) is { } used)
        {
            try
            {
                var outcome = await TransactAsync(used, target, from, to, message, lacking, cancel);
                if (!(outcome.RefusedAtMail || outcome.BrokeOff || outcome.Replies.All(r => r.Code == 421)))
                    return outcome;
            }
            catch (SmtpUnavailableException e) when (!e.AfterContent)
            {
                // The server has ended a connection that it had kept too long: a new one tells whether it is there.
            }
        }
        return await TransactAsync(await OpenAsync(target, from, cancel), target, from, to, message, lacking, cancel);
    }

    private async Task<SmtpOutcome> TransactAsync(
        SmtpConnection connection,
        SmtpTarget target,
        ReversePath from,
        IReadOnlyList<ForwardPath> to,
        OutgoingMessage message,
        HashSet<string> lacking,
        CancellationToken cancel
    )
    {
        try
        {
            var outcome = await connection.TransactAsync(from, to, message, lacking, cancel);
            if (connection.IsBroken)
                connection.Dispose();
            else if (connection.IsForOne)
                _ = connection.QuitAsync();
            else
                Keep(target, connection);
            return outcome;
        }
        catch (SmtpUnavailableException e)
        {
            connection.Dispose();
            if (e.ByChunk)
                _lacking.Learn(target, ["CHUNKING"]);
            throw;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Greets a server in clear, then as the target has it, with STARTTLS and login, and leaves.</summary>
    /// <param name="target">Opportunistic TLS is tried where it is offered.</param>
    /// <exception cref="SmtpUnavailableException">It cannot be reached, or wants nothing of us.</exception>
    public static async Task<SmtpGreeting> GreetAsync(SmtpTarget target, string hostname, CancellationToken cancel)
    {
        var plain = await SmtpConnection.OpenAsync(target with { Tls = TlsMode.None, Login = null }, hostname, cancel);
        var (text, offers) = (plain.Greeting.Split('\n')[0], plain.OffersStartTls);
        await plain.QuitAsync();
        try
        {
            if (
                target.Login is not null
                || target.Tls is TlsMode.Require or TlsMode.Verify
                || (target.Tls == TlsMode.Opportunistic && offers)
            )
                await (await SmtpConnection.OpenAsync(target, hostname, cancel)).QuitAsync();
            return new(text, offers, null);
        }
        catch (TlsFailedException e)
        {
            return new(text, offers, e.Reply.Text);
        }
        catch (SmtpUnavailableException e)
        {
            return new(text, offers, null) { Refusal = e.Reply.Text };
        }
    }

    private void Keep(SmtpTarget target, SmtpConnection connection)
    {
        var stack = _idle.GetOrAdd(target, _ => new());
        stack.Push(connection);
        // The sweeper may have dropped the stack in between; then nobody would ever find it there.
        if (
            (!_idle.TryGetValue(target, out var current) || !ReferenceEquals(stack, current))
            && stack.TryPop(out var lost)
        )
            lost.Dispose();
    }

    private SmtpConnection? TakeIdle(SmtpTarget target)
    {
        while (_idle.TryGetValue(target, out var stack) && stack.TryPop(out var used))
        {
            if (used.IdleFor < KeepIdle && used.IsQuiet)
                return used;
            used.Dispose();
        }
        return null;
    }

    /// <summary>RFC 7435: where TLS is opportunistic, a server that offers it and fails at it gets its mail without.</summary>
    private async Task<SmtpConnection> OpenAsync(SmtpTarget target, ReversePath from, CancellationToken cancel)
    {
        Opened++;
        try
        {
            return await SmtpConnection.OpenAsync(target, _hostname(), cancel);
        }
        catch (TlsFailedException) when (target is { Tls: TlsMode.Opportunistic, Login: null } && !from.RequireTls)
        {
            var plain = await SmtpConnection.OpenAsync(target with { Tls = TlsMode.None }, _hostname(), cancel);
            plain.IsForOne = true; // the next message tries TLS anew
            return plain;
        }
        catch (TlsFailedException e)
        {
            throw new SmtpUnavailableException(e.Reply, e);
        }
    }

    /// <summary>Closes what has been idle for that long, and forgets targets without connections.</summary>
    private void Sweep(TimeSpan idle)
    {
        foreach (var (target, stack) in _idle)
        {
            var all = new SmtpConnection[stack.Count];
            var count = all.Length == 0 ? 0 : stack.TryPopRange(all);
            foreach (var connection in all.Take(count))
            {
                if (connection.IdleFor >= idle)
                    _ = connection.QuitAsync();
                else
                    stack.Push(connection);
            }
            if (stack.IsEmpty)
                _idle.TryRemove(new KeyValuePair<SmtpTarget, ConcurrentStack<SmtpConnection>>(target, stack));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _sweeper.DisposeAsync();
        Sweep(TimeSpan.Zero);
    }
}
