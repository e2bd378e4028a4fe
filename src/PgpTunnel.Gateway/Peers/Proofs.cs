using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// Keeps what the DNS said of a domain so that it can be shown later: its policy, or that there is none, from the trust anchor down
/// (RFC 9102). One proof serves all mail of a day, as long as it says the same.
/// </summary>
internal sealed class Proofs(NameService names, Spool spool, TimeProvider time)
{
    private static readonly TimeSpan Life = TimeSpan.FromDays(1),
        Pause = TimeSpan.FromMinutes(5),
        Patience = TimeSpan.FromSeconds(5);
    private const int MostKnown = 10_000;

    /// <param name="Says">What it shows.</param>
    /// <param name="Name">SHA-256 of its octets, lower-case hex; null = none could be had.</param>
    private sealed record Known(string Says, string? Name, DateTimeOffset Until);

    private readonly ConcurrentDictionary<string, Lazy<Task<Known>>> _known = new();

    /// <summary>Names of certificates by their octets, of those that are kept.</summary>
    private readonly ConditionalWeakTable<byte[], string> _certificates = [];

    /// <summary>The state with the name of the proof that it rests on; without where there is none. Mail never waits long for it.</summary>
    public async Task<PeerState> WithProofAsync(PeerState peer)
    {
        foreach (var key in peer.Signers)
            await KeepAsync(key.Certificate);
        var says = Says(peer);
        if (says is null)
            return peer;
        if (_known.Count >= MostKnown)
            _known.Clear();
        var entry = _known.GetOrAdd(peer.Domain, domain => new(() => MakeAsync(domain, says)));
        var known = await entry.Value;
        if (known.Until <= time.GetUtcNow() || (known.Says != says && known.Name is not null))
        {
            // Over, or of what the domain said before.
            _known.TryRemove(KeyValuePair.Create(peer.Domain, entry));
            known = await _known.GetOrAdd(peer.Domain, domain => new(() => MakeAsync(domain, says))).Value;
        }
        return peer with { Proof = known.Says == says ? known.Name : null };
    }

    private async Task KeepAsync(byte[] certificate)
    {
        if (_certificates.TryGetValue(certificate, out _))
            return;
        var name = NameOf(certificate);
        try
        {
            await spool.KeepBlobAsync(Convert.FromHexString(name), certificate);
            _certificates.AddOrUpdate(certificate, name);
        }
        catch (SpoolException)
        {
            // what goes on record next will say so, or be refused
        }
    }

    /// <summary>The name of a certificate that is kept; null = it is not.</summary>
    public string? CertificateOf(SignerKey? key) =>
        key is not null && _certificates.TryGetValue(key.Certificate, out var name) ? name : null;

    /// <summary>What of a state a proof can show; null = nothing: it was not settled, or does not come from the DNS.</summary>
    private static string? Says(PeerState peer) =>
        peer switch
        {
            { Class: PeerClass.Usable, Security: DnsSecurity.Secure } => Says(peer.Mode, peer.Listed),
            { Class: PeerClass.None or PeerClass.Insecure } => Says(peer.Mode, peer.Listed),
            _ => null,
        };

    private static string Says(PolicyMode? mode, IReadOnlyList<string> listed) => $"{mode} {string.Join(',', listed)}";

    /// <summary>SHA-256 of a proof's octets, lower-case hex.</summary>
    public static string NameOf(byte[] proof) => Convert.ToHexStringLower(SHA256.HashData(proof));

    /// <summary>What the DNS says of a domain's policy, with all that shows it; without proof where that cannot be had now.</summary>
    /// <returns>Null when it takes too long.</returns>
    public static async Task<DnsAnswer?> AskAsync(NameService names, string domain)
    {
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            return await names
                .Unused()
                .LookupAsync(
                    DomainName.Parse(domain).Prepend(PolicyRecord.Label),
                    RecordType.TXT,
                    patience.Token,
                    budget: new WorkBudget { KeepsProof = true }
                );
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private async Task<Known> MakeAsync(string domain, string wanted)
    {
        var now = time.GetUtcNow();
        try
        {
            var answer = await AskAsync(names, domain);
            if (answer?.Proof is not { } proof)
                return new(wanted, null, now + Pause);
            var policy = answer.Security == DnsSecurity.Secure ? PolicyRecord.Find(answer.Data, domain) : null;
            if (Says(policy?.Mode, policy?.Fingerprints ?? []) != wanted)
                return new(wanted, null, now + Pause); // it has changed in this moment
            var octets = proof.ToStream();
            var name = NameOf(octets);
            await spool.KeepBlobAsync(Convert.FromHexString(name), octets);
            var end = proof.Window?.Until is { } until && until < now + Life ? until : now + Life;
            return new(wanted, name, end);
        }
        catch (Exception) // whatever it is: mail goes on, and its record says that there is no proof
        {
            return new(wanted, null, now + Pause);
        }
    }
}
