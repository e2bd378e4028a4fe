using System.Collections.Concurrent;

namespace PgpTunnel.Smtp;

/// <summary>How a server receives a client.</summary>
/// <param name="Text">Its first line, the host name in front.</param>
/// <param name="TlsFailure">What goes wrong when STARTTLS is used; null = nothing.</param>
public sealed record SmtpGreeting(string Text, bool OffersStartTls, string? TlsFailure);

/// <summary>Hands messages to servers, octet for octet, over connections that are kept a few seconds for the next message.</summary>
public sealed class SmtpSender : IAsyncDisposable
{
    private static readonly TimeSpan KeepIdle = TimeSpan.FromSeconds(10);

    private readonly Func<string> _hostname;
    private readonly ConcurrentDictionary<SmtpTarget, ConcurrentStack<SmtpConnection>> _idle = new();
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
    /// Sends one message. Recipients that the server wants in another transaction get one at once, and what it announces and then refuses is
    /// done without, now and for a while.
    /// </summary>
    /// <param name="message">CRLF lines, no dot-stuffing.</param>
    /// <returns>One final reply a recipient, in order.</returns>
    /// <exception cref="SmtpUnavailableException">No connection, or it broke; whether the server has the message is not known in the second case.</exception>
    public async Task<SmtpReplies> SendAsync(SmtpTarget target, ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        var replies = new SmtpReply?[to.Count];
        var (pending, takesDsn, learnt) = (Enumerable.Range(0, to.Count).ToArray(), true, new List<string>());
        while (pending.Length > 0)
        {
            SmtpOutcome outcome;
            try
            {
                outcome = await TransactAsync(target, from, [.. pending.Select(i => to[i])], message, cancel);
            }
            catch (SmtpUnavailableException e)
            {
                if (!Array.Exists(replies, r => r is not null) || cancel.IsCancellationRequested)
                {
                    Forget(target, learnt);
                    throw;
                }
                Array.ForEach(pending, i => replies[i] = e.Reply); // the others have their answers
                break;
            }
            takesDsn &= outcome.TakesDsn;
            learnt.AddRange(outcome.Suspects);
            Learn(target, outcome.Suspects);
            for (var i = 0; i < pending.Length; i++)
                if (!outcome.Rest.Contains(i))
                    replies[pending[i]] = outcome.Replies[i];
            pending = [.. outcome.Rest.Order().Select(i => pending[i])];
        }
        if (!Array.Exists(replies, r => r!.IsPositive) && Array.TrueForAll(replies, r => r!.IsPermanent))
            Forget(target, learnt); // it was not that
        return new SmtpReplies([.. replies.Select(r => r!)], takesDsn);
    }

    /// <summary>One transaction. What concerns the session is not charged to the message: a connection that was used before may be worn out.</summary>
    private async Task<SmtpOutcome> TransactAsync(SmtpTarget target, ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        if (TakeIdle(target) is { } used)
        {
            try
            {
                var outcome = await TransactAsync(used, target, from, to, message, cancel);
                if (!(outcome.RefusedAtMail || outcome.BrokeOff || outcome.Replies.All(r => r.Code == 421)))
                    return outcome;
            }
            catch (SmtpUnavailableException e) when (!e.AfterContent)
            {
                // The server has ended a connection that it had kept too long: a new one tells whether it is there.
            }
        }
        return await TransactAsync(await OpenAsync(target, from, cancel), target, from, to, message, cancel);
    }

    private async Task<SmtpOutcome> TransactAsync(SmtpConnection connection, SmtpTarget target, ReversePath from, IReadOnlyList<ForwardPath> to, OutgoingMessage message, CancellationToken cancel)
    {
        try
        {
            var outcome = await connection.TransactAsync(from, to, message, cancel);
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
                Learn(target, ["CHUNKING"]);
            throw;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    // What servers announce and do not have

    private static readonly TimeSpan Remembered = TimeSpan.FromHours(1);

    private readonly ConcurrentDictionary<SmtpTarget, ConcurrentDictionary<string, long>> _lacking = new();

    private HashSet<string> WithoutFor(SmtpTarget target)
    {
        var without = new HashSet<string>(target.Without.Split(' ', StringSplitOptions.RemoveEmptyEntries), StringComparer.OrdinalIgnoreCase);
        if (_lacking.TryGetValue(target, out var lacking))
            without.UnionWith(lacking.Where(l => System.Diagnostics.Stopwatch.GetElapsedTime(l.Value) < Remembered).Select(l => l.Key));
        return without;
    }

    private void Learn(SmtpTarget target, IReadOnlyList<string> keywords)
    {
        if (keywords.Count == 0)
            return;
        if (_lacking.Count >= MostRemembered)
            _lacking.Clear();
        foreach (var keyword in keywords)
            _lacking.GetOrAdd(target, _ => new())[keyword] = System.Diagnostics.Stopwatch.GetTimestamp();
        DropIdle(target); // those were greeted as if it had them
    }

    private void Forget(SmtpTarget target, List<string> keywords)
    {
        if (keywords.Count == 0 || !_lacking.TryGetValue(target, out var lacking))
            return;
        keywords.ForEach(k => lacking.TryRemove(k, out _));
        DropIdle(target);
    }

    private void DropIdle(SmtpTarget target)
    {
        while (_idle.TryGetValue(target, out var stack) && stack.TryPop(out var connection))
            _ = connection.QuitAsync();
    }

    private const int MostRemembered = 10_000;

    /// <summary>Greets a server, tries its STARTTLS, and leaves.</summary>
    /// <exception cref="SmtpUnavailableException">It cannot be reached, or wants nothing of us.</exception>
    public static async Task<SmtpGreeting> GreetAsync(SmtpTarget target, string hostname, CancellationToken cancel)
    {
        var plain = await SmtpConnection.OpenAsync(target with { Tls = TlsMode.None, Login = null }, hostname, [], cancel);
        var (text, offers) = (plain.Greeting.Split('\n')[0], plain.OffersStartTls);
        await plain.QuitAsync();
        if (!offers)
            return new(text, false, null);
        try
        {
            await (await SmtpConnection.OpenAsync(target with { Tls = TlsMode.Require, Login = null }, hostname, [], cancel)).QuitAsync();
            return new(text, true, null);
        }
        catch (TlsFailedException e)
        {
            return new(text, true, e.Reply.Text);
        }
    }

    private void Keep(SmtpTarget target, SmtpConnection connection)
    {
        var stack = _idle.GetOrAdd(target, _ => new());
        stack.Push(connection);
        // The sweeper may have dropped the stack in between; then nobody would ever find it there.
        if ((!_idle.TryGetValue(target, out var current) || !ReferenceEquals(stack, current)) && stack.TryPop(out var lost))
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
        var without = WithoutFor(target);
        try
        {
            return await SmtpConnection.OpenAsync(target, _hostname(), without, cancel);
        }
        catch (TlsFailedException) when (target is { Tls: TlsMode.Opportunistic, Login: null } && !from.RequireTls)
        {
            var plain = await SmtpConnection.OpenAsync(target with { Tls = TlsMode.None }, _hostname(), without, cancel);
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
