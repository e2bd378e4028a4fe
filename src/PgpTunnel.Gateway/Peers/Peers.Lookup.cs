using System.Collections.Concurrent;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>A look-up while it goes on, and what it ends in.</summary>
internal sealed partial class Peers
{
    /// <summary>One look-up while it goes on.</summary>
    /// <param name="Configured">Trusted fingerprints of the configuration.</param>
    private sealed record Lookup(string Domain, PeerRecord Record, bool Remembered, IReadOnlyList<string> Configured)
    {
        public bool Fresh { get; init; }

        public WorkBudget Budget { get; init; } = new();

        /// <summary>Configured and verified ones; where there are any, only they are candidates.</summary>
        public IReadOnlyList<string> TrustedFingerprints => [.. Configured, .. Record.Verified];

        public bool Trusted => TrustedFingerprints.Count > 0;

        /// <summary>Its gateway has said that it gives receipts, and the time for which it said so is not over.</summary>
        public bool HeldToReceipts { get; init; }

        /// <summary>The answer is older than one that was seen, or not signed: nothing of it is remembered.</summary>
        public bool WritesNothing { get; init; }
    }

    private IEnumerable<string> Distrusted(PeerRecord record) =>
        record.Distrusted.Where(d => d.Value > memory.Sure).Select(d => d.Key);

    /// <summary>
    /// The class of an answer that cannot be believed; null = it can. Where a key is trusted by its fingerprint an answer without
    /// signatures will do, since it may only say where that very key is.
    /// </summary>
    private static PeerClass? NotGood(Lookup lookup, DnsAnswer answer) =>
        answer.Security switch
        {
            DnsSecurity.Secure => null,
            DnsSecurity.Insecure => lookup.Trusted ? null : PeerClass.Insecure,
            _ => PeerClass.Temporary,
        };

    private PeerState State(
        Lookup lookup,
        PeerClass @class,
        DnsSecurity security,
        PolicyRecord? policy,
        TimeSpan ttl,
        string why
    ) =>
        new()
        {
            Domain = lookup.Domain,
            Class = @class,
            Security = security,
            Mode = policy?.Mode,
            Listed = policy?.Fingerprints ?? [],
            Distrusted = [.. policy?.Distrusted ?? [], .. Distrusted(lookup.Record)],
            Gateway = policy?.Gateway ?? "",
            Size = policy?.Size,
            GivesReceipts = policy is { GivesReceipts: true } || lookup.HeldToReceipts,
            Trusted = lookup.Trusted,
            Remembered = lookup.Remembered,
            IsForStrangers = lookup.Budget.Asker == Asker.Stranger && (lookup.Remembered || lookup.Trusted),
            Until = time.GetUtcNow() + (ttl > ShortestUse ? ttl : ShortestUse),
            Why = why,
        };

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
