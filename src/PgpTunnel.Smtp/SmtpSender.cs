using System.Collections.Concurrent;
using System.Net;

namespace PgpTunnel.Smtp;

/// <summary>How a connection to a server is protected.</summary>
public enum TlsMode
{
    None,

    /// <summary>STARTTLS where offered, certificate not looked at: what crosses is sealed, or local.</summary>
    Opportunistic,

    /// <summary>STARTTLS or no mail; certificate not looked at.</summary>
    Require,

    /// <summary>STARTTLS with a certificate for the host's name that the system trusts, or no mail.</summary>
    Verify,
}

/// <summary>One server to hand mail to.</summary>
/// <param name="Host">Its name, for TLS and the log.</param>
public sealed record SmtpTarget(string Host, IPEndPoint Address, TlsMode Tls, SmtpLogin? Login = null)
{
    public override string ToString() => Address.Address.ToString() == Host ? $"{Host}:{Address.Port}" : $"{Host}[{Address.Address}]:{Address.Port}";
}

/// <summary>A name and password for AUTH.</summary>
public sealed record SmtpLogin(string User, string Password);

/// <summary>The server could not be brought to a verdict: try another or try later. <see cref="Reply"/> is what to tell.</summary>
public sealed class SmtpUnavailableException(SmtpReply reply, Exception? inner = null) : Exception(reply.ToString(), inner)
{
    public SmtpReply Reply => reply;

    /// <summary>The content had been sent: the server may have the message, so no other is tried with it now.</summary>
    public bool AfterContent { get; init; }
}

/// <summary>STARTTLS did not work out.</summary>
internal sealed class TlsFailedException(SmtpReply reply, Exception? inner = null) : Exception(reply.ToString(), inner)
{
    public SmtpReply Reply => reply;
}

/// <summary>Hands messages to servers, octet for octet, over connections that are kept for the next message.</summary>
/// <param name="hostname">Our name in EHLO.</param>
public sealed class SmtpSender(Func<string> hostname) : IAsyncDisposable
{
    private static readonly TimeSpan KeepIdle = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<SmtpTarget, ConcurrentStack<SmtpConnection>> _idle = new();

    /// <summary>Connections opened so far.</summary>
    public int Opened { get; private set; }

    /// <summary>Sends one message.</summary>
    /// <param name="content">The message in one or more parts, CRLF lines, no dot-stuffing.</param>
    /// <returns>One final reply a recipient, in order.</returns>
    /// <exception cref="SmtpUnavailableException">No connection, or it broke; whether the server has the message is not known in the second case.</exception>
    public async Task<IReadOnlyList<SmtpReply>> SendAsync(SmtpTarget target, ReversePath from, IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> content, CancellationToken cancel)
    {
        var stack = _idle.GetOrAdd(target, _ => new());
        while (stack.TryPop(out var used))
        {
            try
            {
                // A server may have closed an idle connection; only an answer to RSET shows that it has not.
                await used.ResetAsync(cancel);
            }
            catch (Exception e) when (e is SmtpUnavailableException)
            {
                used.Dispose();
                continue;
            }
            return await SendOverAsync(used, stack, from, to, content, cancel);
        }
        return await SendOverAsync(await OpenAsync(target, cancel), stack, from, to, content, cancel);
    }

    /// <summary>RFC 7435: where TLS is opportunistic, a server that offers it and fails at it gets its mail without.</summary>
    private async Task<SmtpConnection> OpenAsync(SmtpTarget target, CancellationToken cancel)
    {
        Opened++;
        try
        {
            return await SmtpConnection.OpenAsync(target, hostname(), cancel);
        }
        catch (TlsFailedException) when (target is { Tls: TlsMode.Opportunistic, Login: null })
        {
            return await SmtpConnection.OpenAsync(target with { Tls = TlsMode.None }, hostname(), cancel);
        }
        catch (TlsFailedException e)
        {
            throw new SmtpUnavailableException(e.Reply, e);
        }
    }

    private static async Task<IReadOnlyList<SmtpReply>> SendOverAsync(SmtpConnection connection, ConcurrentStack<SmtpConnection> stack, ReversePath from,
        IReadOnlyList<ForwardPath> to, IReadOnlyList<ReadOnlyMemory<byte>> content, CancellationToken cancel)
    {
        try
        {
            var replies = await connection.TransactAsync(from, to, content, cancel);
            if (connection.Broken)
            {
                connection.Dispose();
                return replies;
            }
            stack.Push(connection);
            _ = CloseWhenIdleAsync(connection, stack);
            return replies;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    private static async Task CloseWhenIdleAsync(SmtpConnection connection, ConcurrentStack<SmtpConnection> stack)
    {
        var uses = connection.Uses;
        await Task.Delay(KeepIdle);
        if (connection.Uses != uses)
            return;
        var all = new SmtpConnection[stack.Count];
        var count = stack.TryPopRange(all);
        foreach (var other in all.Take(count))
        {
            if (ReferenceEquals(other, connection))
                await other.QuitAsync();
            else
                stack.Push(other);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var stack in _idle.Values)
            while (stack.TryPop(out var connection))
                await connection.QuitAsync();
    }
}
