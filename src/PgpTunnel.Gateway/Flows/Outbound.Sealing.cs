using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

internal sealed partial class Outbound
{
    /// <summary>Its end: what the message turns out to be, whether the decisions still hold, and the parcels made of it.</summary>
    private sealed partial class Transaction
    {
        private const int LongestReport = 64 * 1024;

        /// <summary>
        /// What was exempt by its envelope stays so only by its shape: a parcel, or to a token a report or something as small (bounces of a
        /// partner's parcels that our own mail server makes). All else is decided about like any other mail.
        /// </summary>
        private async Task RecogniseAsync(
            ReadOnlyMemory<byte> message,
            string senderDomain,
            bool required,
            CancellationToken cancel
        )
        {
            var claimed = _destinations.Values.Where(d => d.OwnParcel).ToList();
            if (claimed.Count == 0 || IsParcel(message))
                return;
            var report = from.Mailbox is null && (message.Length <= LongestReport || OuterMessage.IsReport(message));
            foreach (var destination in claimed.Where(d => !(report && IsToken(d.Gateway!))))
            {
                var atLeast =
                    required && destination.Otherwise < LocalPolicy.Require
                        ? LocalPolicy.Require
                        : destination.Otherwise;
                _destinations[destination.Key] = await outbound.DecideAsync(
                    destination.Domain,
                    senderDomain,
                    atLeast,
                    cancel
                ) with
                {
                    Key = destination.Key,
                };
            }
        }

        private const int LongestAround = 16 * 1024;

        /// <summary>
        /// An encrypted message and no more than what gateways and relays write about one: a line that begins an armor is none.
        /// </summary>
        private static bool IsParcel(ReadOnlyMemory<byte> message)
        {
            try
            {
                return OuterMessage.FindParcel(message) is { } armored
                    && Armor.Decode(Armor.Message, armored.Span) is var octets
                    && MessageOpener.IsSealed(octets)
                    && message.Length <= 2L * octets.Length + LongestAround;
            }
            catch (OpenPgpException)
            {
                return false;
            }
        }

        /// <summary>
        /// Takes a decision again whose time has run out, or that the message itself raises to require; a worse one defers the whole
        /// message, save a refusal that only the message's wish brought: that becomes a notice.
        /// </summary>
        private async Task<SmtpReply?> RefreshAsync(string senderDomain, bool required, CancellationToken cancel)
        {
            foreach (var old in _destinations.Values.Where(d => !d.OwnParcel && d.Route != ParcelRoute.Local).ToList())
            {
                var stale = old.Peer is { } peer && peer.Until <= outbound._site.Time.GetUtcNow();
                var armed = !old.Seals || outbound._arming.State(senderDomain).IsArmed;
                if (!stale && armed && !(required && !old.Seals))
                    continue;
                var anew = await outbound.DecideAsync(
                    old.Domain,
                    senderDomain,
                    required ? LocalPolicy.Require : old.Otherwise,
                    cancel
                );
                if (anew.Decision.Kind > old.Decision.Kind && !(required && anew.Decision.Kind == DecisionKind.Refuse))
                {
                    var reply = new SmtpReply(
                        451,
                        anew.Decision.Reply is { IsTemporary: true } r ? r.Status : "4.7.5",
                        $"the decision for {old.Domain} has changed since RCPT: {anew.Decision.Why}"
                    );
                    await outbound.ReportAsync(anew, from, reply);
                    return reply;
                }
                _destinations[old.Key] = anew with { Key = old.Key, Gateway = old.Gateway, Otherwise = old.Otherwise };
            }
            return null;
        }

        /// <summary>Has at hand what the DNS said for each decision, to go on record with what comes of it.</summary>
        private async Task ProveAsync()
        {
            // All at once: who waits for the answer to a message does not wait for each.
            var decided = _destinations.Values.Where(d => d is { Decision.Reply: null, Peer: not null }).ToList();
            var proved = await Task.WhenAll(decided.Select(d => outbound._witness.ProveAsync(d.Peer!)));
            foreach (var (one, peer) in decided.Zip(proved))
                _destinations[one.Key] = one with { Peer = peer };
        }

        private IEnumerable<(Parcel Parcel, ParcelContent Content, Decided Decided)> Make(
            Decided destination,
            string senderDomain,
            IReadOnlyList<ReadOnlyMemory<byte>> content,
            bool required
        )
        {
            // Gateways of version 0.1 refuse a parcel with a long local part: so each such recipient has one of its own, and that refusal
            // is no reason for clear text.
            var paths = _recipients
                .Where(r => r.Key == destination.Key)
                .Select(r => r.Path)
                .Distinct()
                .ToLookup(p => p.Mailbox.IsLong);
            foreach (var chunk in paths[false].Chunk(InnerHeader.MaxRecipients).Concat(paths[true].Chunk(1)))
            {
                var isLong = chunk[0].Mailbox.IsLong || (from.Mailbox?.IsLong ?? false);
                var leaving =
                    destination.OwnParcel ? Leaving.Exempt
                    : required ? Leaving.SealedOnly
                    : destination.Seals
                    && !isLong
                    && PeerState.OnlyTests(outbound._site.Configuration.PolicyFor(destination.Domain), destination.Peer)
                        ? Leaving.ClearAfterTest
                    : Leaving.AsDecided;
                var mail = new MailObject(senderDomain, from, chunk, content, leaving)
                {
                    Why = destination.Decision.Why,
                    Proof = destination.Peer?.Proof,
                };
                var (parcel, body) = destination.Seals
                    ? outbound._parcels.Seal(destination.Peer!, mail)
                    : outbound._parcels.Keep(destination.Route, destination.Domain, mail);
                yield return (parcel, body, destination);
            }
        }

        /// <summary>Recipients that cannot be sealed for, where the message asked for it: a notice each domain, to the sender.</summary>
        private IEnumerable<(Parcel, ParcelContent)> NoticesFor(
            List<Decided> refused,
            string senderDomain,
            IReadOnlyList<ReadOnlyMemory<byte>> content
        )
        {
            foreach (var destination in refused)
            {
                var failed = _recipients
                    .Where(r => r.Key == destination.Key)
                    .Select(r => (r.Path, destination.Decision.Reply!))
                    .ToList();
                if (
                    Notice.Build(
                        outbound._site.Configuration,
                        NoticeAction.Failed,
                        from,
                        failed,
                        content,
                        outbound._site.Time.GetUtcNow(),
                        null
                    ) is
                    { } notice
                )
                    yield return outbound._ownMail.Report(senderDomain, from, notice, Leaving.AsDecided);
            }
        }
    }
}
