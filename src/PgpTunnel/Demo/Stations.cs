using System.Net;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel.Demo;

/// <summary>One message as a station got it.</summary>
internal sealed record Seen(ReversePath From, IReadOnlyList<ForwardPath> To, byte[] Message);

/// <summary>A mail server that takes everything and keeps it: company B's, and the inside of the hop.</summary>
internal sealed class CapturingServer(
    Func<Seen, Task<SmtpReply>>? then = null,
    Func<ForwardPath, SmtpReply?>? recipient = null
) : IMailFlow
{
    private readonly TaskCompletionSource<Seen> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The first message taken.</summary>
    public Task<Seen> First => _first.Task;

    public Task<(SmtpReply, IMailTransaction?)> BeginAsync(
        SmtpClientInfo client,
        ReversePath from,
        CancellationToken cancel
    ) =>
        Task.FromResult<(SmtpReply, IMailTransaction?)>(
            (new SmtpReply(250, "2.1.0", "OK"), new Transaction(this, from))
        );

    private SmtpReply? Refusal(ForwardPath path) => recipient?.Invoke(path);

    private async Task<SmtpReply> TakeAsync(Seen seen)
    {
        _first.TrySetResult(seen);
        return then is null ? new SmtpReply(250, "2.0.0", "taken") : await then(seen);
    }

    private sealed class Transaction(CapturingServer server, ReversePath from) : IMailTransaction
    {
        private readonly List<ForwardPath> _to = [];

        public Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel)
        {
            if (server.Refusal(recipient) is { } refusal)
                return Task.FromResult(refusal);
            _to.Add(recipient);
            return Task.FromResult(new SmtpReply(250, "2.1.5", "OK"));
        }

        public Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel) =>
            server.TakeAsync(new Seen(from, _to, message.ToArray()));
    }

    /// <summary>A server that stores what it gets and forwards it, as any provider between two companies does.</summary>
    public static CapturingServer Hop(SmtpSender sender, IPEndPoint next) =>
        new(async seen =>
        {
            byte[] stamp = Encoding.ASCII.GetBytes(
                "Received: from somewhere by hop.example with ESMTP; Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            );
            return (
                await sender.SendAsync(
                    new SmtpTarget("hop-to-b", next, TlsMode.Opportunistic),
                    seen.From,
                    seen.To,
                    [stamp, seen.Message],
                    CancellationToken.None
                )
            )[0];
        });
}
