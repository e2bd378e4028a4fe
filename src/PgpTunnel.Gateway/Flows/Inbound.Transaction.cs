using System.Security.Cryptography;
using MimeKit;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>One transaction: whom it is for, and 1 recognise.</summary>
internal sealed partial class Inbound
{
    /// <summary>What kind of recipient was named.</summary>
    private enum Addressee
    {
        Gateway,
        Token,
        Postmaster,
    }

    private sealed class Transaction(Inbound inbound, SmtpClientInfo client, ReversePath from) : IMailTransaction
    {
        private readonly List<(Addressee Kind, string Token)> _addressees = [];

        /// <summary>A report may hold a whole parcel, and more: its beginning tells.</summary>
        public long? Enough =>
            _addressees.Count > 0 && _addressees.TrueForAll(a => a.Kind == Addressee.Token) ? Returns.Enough : null;

        /// <summary>What may have been meant for a token is refused for good with a line in the log only.</summary>
        public void Refused(string argument, SmtpReply reply) =>
            inbound.Refuse(
                reply,
                client,
                $"a recipient that cannot be read: {MessageText.OneLine(argument, most: 200)}"
            );

        public Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel)
        {
            var configuration = inbound._site.Configuration;
            var mailbox = recipient.Mailbox;
            if (GatewayAddress.Matches(configuration.Gateway, mailbox, out var token))
            {
                if (token.Length > 0 && inbound._returns.Refusal(from, token) is { } refusal)
                    return Task.FromResult(refusal);
                return Task.FromResult(Accept(token.Length > 0 ? Addressee.Token : Addressee.Gateway, token));
            }
            // RFC 5321 4.5.1: postmaster is there for whoever runs a server that takes mail.
            if (
                mailbox.Local.Equals("postmaster", StringComparison.OrdinalIgnoreCase)
                && (
                    mailbox.Domain.Length == 0
                    || mailbox.Domain.Equals(configuration.GatewayDomain, StringComparison.OrdinalIgnoreCase)
                )
            )
            {
                return Task.FromResult(Accept(Addressee.Postmaster, ""));
            }
            return Task.FromResult(
                new SmtpReply(550, "5.7.1", $"this gateway takes sealed mail for {configuration.Gateway} only")
            );
        }

        /// <summary>
        /// What comes to a token is about one parcel, so it is alone in its transaction; the rest gets another (RFC 5321 4.5.3.1.10).
        /// </summary>
        private SmtpReply Accept(Addressee kind, string token)
        {
            if (_addressees.Exists(a => a != (kind, token) && (a.Kind == Addressee.Token || kind == Addressee.Token)))
                return new SmtpReply(452, "4.5.3", "this recipient in a transaction of its own, please");
            _addressees.Add((kind, token));
            return new SmtpReply(250, "2.1.5", "OK");
        }

        public async Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel)
        {
            if (HeaderFields.LoopRefusal(message.Span) is { } loop)
                return inbound.Refuse(loop, client, "a mail loop");
            try
            {
                // 1 recognise
                if (_addressees.Find(a => a.Kind == Addressee.Token) is (Addressee.Token, { } token))
                    return await inbound._returns.TakeAsync(message, token);
                return
                    _addressees.Exists(a => a.Kind == Addressee.Gateway)
                    && OuterMessage.FindParcel(message) is { } armored
                    ? await inbound.TakeParcelAsync(armored, OuterMessage.DateOf(message), client, cancel)
                    : await inbound.TakePlainAsync(message, OuterMessage.Parse(message), from, client);
            }
            catch (SpoolException e)
            {
                inbound._site.Log.Write("not-taken", ("client", client.Address), ("why", e.Message), ("do", e.Remedy));
                return e.Reply;
            }
        }
    }
}
