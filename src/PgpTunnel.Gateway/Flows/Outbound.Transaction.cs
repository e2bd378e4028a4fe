using System.Diagnostics;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>One transaction.</summary>
internal sealed partial class Outbound
{
    private sealed partial class Transaction(Outbound outbound, ReversePath from, IReadOnlyList<string>? senders)
        : IMailTransaction
    {
        private readonly Dictionary<string, Decided> _decided = [],
            _destinations = [];
        private readonly List<(ForwardPath Path, string Key)> _recipients = [];

        private readonly DateTimeOffset _begun = outbound._site.Time.GetUtcNow();

        // 1 and 2: policy and peer, at RCPT

        public async Task<SmtpReply> AddAsync(ForwardPath recipient, CancellationToken cancel)
        {
            if (recipient.Mailbox.Domain.Length == 0) // RFC 5321 4.5.1; wherever that is, it is held to the same policy
                recipient = recipient with { Mailbox = outbound._ownMail.Postmaster };
            var domain = recipient.Mailbox.Domain;
            if (!recipient.Mailbox.IsLiteral && !Domains.TryNormalise(domain, out domain))
                return new SmtpReply(550, "5.1.2", "the recipient's domain is not a domain");
            if (TooLong(recipient.ToString()) is { } tooLong)
                return tooLong;
            var configuration = outbound._site.Configuration;
            if (
                configuration.Deliver.Local.RefusesRouting
                && recipient.Mailbox.CarriesRouting
                && configuration.Domains.Contains(domain)
            )
                return Mailbox.RoutingRefusal;
            var budget = new WorkBudget(); // one for all that this recipient causes
            var own = await outbound.OwnParcelAsync(from, recipient.Mailbox, budget, cancel);
            var key = own is not null ? $"{domain} {recipient.Mailbox}" : domain; // an exempt mailbox exempts nobody beside it
            if (!_decided.TryGetValue(key, out var destination))
                _decided[key] = destination = own is not null
                    ? Decided.Own(key, domain, recipient.Mailbox, outbound.PolicyOf(own))
                    : await outbound.DecideAsync(domain, SenderDomain(null), LocalPolicy.Never, cancel, budget);
            if (destination.Decision.Reply is { } refusal)
            {
                await outbound.ReportAsync(destination, from, refusal);
                return refusal;
            }
            if (destination is { Seals: true, Decision.Alarm: true })
                await outbound.WarnAsync(destination);
            return TooLarge(destination, from.Size ?? 0) ?? Accept(recipient, destination);
        }

        private SmtpReply Accept(ForwardPath recipient, Decided destination)
        {
            // Each destination takes its own copy through memory; a client sends the rest in another transaction (RFC 5321 4.5.3.1.10).
            if (
                _destinations.Count > 0
                && !_destinations.ContainsKey(destination.Key)
                && (_destinations.Count + 1) * (from.Size ?? AssumedSize)
                    > outbound._site.Configuration.Limits.Memory / 4
            )
                return new SmtpReply(
                    452,
                    "4.5.3",
                    "too many destinations for a message of this size; send the rest in another transaction"
                );
            _destinations[destination.Key] = destination;
            _recipients.Add((recipient, destination.Key));
            return destination.Decision.RecipientReply(destination.Domain);
        }

        private static SmtpReply? TooLarge(Decided destination, long size) =>
            destination.Seals && destination.Peer!.Size is { } largest && size > largest
                ? new SmtpReply(552, "5.3.4", $"{destination.Domain} takes messages of at most {largest} octets")
                : null;

        /// <summary>The reverse-path's domain if ours, else the header-From's if ours, else the first of our domains.</summary>
        private string SenderDomain(string? headerFrom)
        {
            var ours = senders ?? outbound._site.Configuration.Domains;
            return outbound.OwnDomain(from)
                ?? (headerFrom is not null && ours.Contains(headerFrom) ? headerFrom : ours[0]);
        }

        // 3 and 4: seal, commit, at the end of the message

        public async Task<SmtpReply> CommitAsync(ReadOnlyMemory<byte> message, CancellationToken cancel)
        {
            if (HeaderFields.LoopRefusal(message.Span) is { } loop)
                return loop;
            var wishes = HeaderFields
                .Values(message.Span, RequireField)
                .Concat(HeaderFields.Values(message.Span, RequireFieldX))
                .ToList();
            if (wishes.Any(w => !w.Equals("yes", StringComparison.OrdinalIgnoreCase)))
                return new SmtpReply(554, "5.6.0", $"{RequireField} has another value than yes");
            var required = wishes.Count > 0;
            var senderDomain = SenderDomain(HeaderFields.FromDomain(message.Span));
            await RecogniseAsync(message, senderDomain, required, cancel);
            if (await RefreshAsync(senderDomain, required, cancel) is { } worse)
                return worse;
            var content = HeaderFields.Without(
                message,
                (name, _) =>
                    name.Equals(RequireField, StringComparison.OrdinalIgnoreCase)
                    || name.Equals(RequireFieldX, StringComparison.OrdinalIgnoreCase)
            );
            var size = content.Sum(c => (long)c.Length);
            if (_destinations.Values.Select(d => TooLarge(d, size)).FirstOrDefault(r => r is not null) is { } tooLarge)
                return tooLarge;
            if (_destinations.Count > 1 && _destinations.Count * size > outbound._site.Configuration.Limits.Memory / 2)
                return new SmtpReply(
                    452,
                    "4.3.1",
                    "too many destinations for a message of this size; declare SIZE, or send to fewer at once"
                );
            var refused = _destinations.Values.Where(d => d.Decision.Reply is not null).ToList();
            // One that waits, or whose sender cannot be told, is no part of a message that was taken: the client keeps all of it.
            var whole =
                refused.Count == _destinations.Count
                    ? refused[0]
                    : refused.Find(d => d.Decision.Reply!.IsTemporary || from.Mailbox is null);
            if (whole?.Decision.Reply is { } reply)
            {
                await outbound.ReportAsync(whole, from, reply);
                return reply;
            }
            await ProveAsync();
            var made = await LargeWork.DoAsync(
                size,
                () =>
                    _destinations
                        .Values.Where(d => d.Decision.Reply is null)
                        .SelectMany(d => Make(d, senderDomain, content, required))
                        .ToList(),
                cancel
            );
            var items = made.Select(m => (m.Parcel, m.Content)).ToList();
            foreach (var destination in refused)
                await outbound.ReportAsync(destination, from, destination.Decision.Reply!);
            items.AddRange(NoticesFor(refused, senderDomain, content));
            var answer = await outbound.StoreAsync(
                items,
                made.Select(m => (m.Parcel, m.Decided)).ToList(),
                from,
                HeaderFields.Values(message.Span, "Message-ID").FirstOrDefault(),
                size
            );
            var time = (_begun, outbound._site.Time.GetUtcNow());
            foreach (var (parcel, _, decided) in made)
                Traces.Span(
                    decided.Seals ? "seal" : "accept",
                    ActivityKind.Server,
                    parcel.Id,
                    time,
                    answer.IsPositive ? null : answer.Status,
                    ("domain", decided.Domain),
                    ("size", size)
                );
            return answer;
        }
    }
}
