using System.Net;
using System.Text;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>A real small message to somebody, sent as users' mail is, and what becomes of it.</summary>
internal sealed class TestMail(GatewayConfiguration configuration, Spool spool, TimeProvider time)
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>What nothing more is to be expected after.</summary>
    private static readonly string[] Ends = ["relayed", "failed", "refused", "clear"];

    private readonly RecordSearch _search = new(configuration, spool);

    /// <summary>Hands the message to the running gateway, as our own mail server would, from the postmaster.</summary>
    /// <param name="gateway">Where it takes mail that goes out.</param>
    /// <exception cref="SmtpUnavailableException">It does not answer.</exception>
    public async Task<SmtpReply> SendAsync(IPEndPoint gateway, Mailbox to, CancellationToken cancel)
    {
        await using var sender = new SmtpSender(() => configuration.Hostname);
        var recipient = ForwardPath.Parse($"<{to}> NOTIFY=SUCCESS,FAILURE,DELAY", utf8: true).Path!;
        var replies = await sender.SendAsync(
            new SmtpTarget("gateway", ListenSettings.Near(gateway), TlsMode.Opportunistic),
            new ReversePath(configuration.Postmaster),
            [recipient],
            [Encoding.UTF8.GetBytes(Message(to))],
            cancel
        );
        return replies[0];
    }

    private string Message(Mailbox to) =>
        $"""
            From: Encryption gateway <{configuration.Postmaster}>
            To: <{to}>
            Subject: Test of the encryption gateway
            Date: {MessageText.Date(time.GetUtcNow())}
            Message-ID: <{ParcelLife.NewId()}@{configuration.GatewayDomain}>
            Auto-Submitted: auto-generated
            MIME-Version: 1.0
            Content-Type: text/plain; charset=us-ascii

            The administrator of {configuration.Hostname} tests with this message
            whether mail reaches you. There is nothing to do.

            """.ReplaceLineEndings("\r\n");

    /// <summary>Waits until its end is on record, or nothing more can come.</summary>
    /// <returns>Null when nothing is on record of it.</returns>
    public async Task<MessageHistory?> FollowAsync(string id, TimeSpan patience, CancellationToken cancel)
    {
        for (var deadline = time.GetUtcNow() + patience; ; await Task.Delay(Poll, time, cancel))
        {
            var history = _search.Find(id).Count > 0 ? MessageHistory.Of(_search, spool, id) : null;
            if (history is not null && (Ends.Contains(history.State) || IsAllThereIs(history)))
                return history;
            if (time.GetUtcNow() >= deadline)
                return history;
        }
    }

    /// <summary>It was handed over for a domain that gives no receipts.</summary>
    private bool IsAllThereIs(MessageHistory history) =>
        history.State == "handed" && spool.Find(history.Id) is null or { Receipt: ReceiptState.None };
}
