using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Evidence;

/// <summary>
/// Checks bundles about the same message and says what they show together, statement by statement. Needs nothing but them and the trust
/// anchor of the DNS: no configuration, no network, no gateway.
/// </summary>
/// <param name="bundles">That of one side, or those of both.</param>
/// <param name="message">The message that it is to be about, as its author's mail server had it; null = none is at hand.</param>
/// <param name="now">When it is checked; a key that has expired by then still shows what it signed before.</param>
public sealed partial class BundleVerification(
    IReadOnlyList<BundleFiles> bundles,
    TrustAnchors anchors,
    byte[]? message,
    DateTimeOffset now
)
{
    private readonly List<Statement> _statements = [];

    /// <summary>A log whose head is signed.</summary>
    private sealed record Signed(BundleLog Log, SignerKey Key, DateTimeOffset At)
    {
        /// <summary>The key is that of the domain whose log it says it is, by signed DNS.</summary>
        public bool IsItsOwners { get; init; }

        public LogOrigin Origin => Log.Head.Origin;
    }

    /// <returns>What it shows, from what all rests on to what people ask.</returns>
    public async Task<IReadOnlyList<Statement>> RunAsync()
    {
        IReadOnlyList<SignerKey> keys;
        IReadOnlyList<BundleLog> logs;
        try
        {
            keys =
            [
                .. bundles
                    .SelectMany(b => b.In("keys/", ".pgp"))
                    .Select(f => Certificate.Read(f.Octets).SignerAt(now))
                    .OfType<SignerKey>(),
            ];
            logs = [.. bundles.SelectMany(BundleLog.Of)];
        }
        catch (Exception e) when (e is EvidenceException or OpenPgpException)
        {
            return [Statement.Contradicted("the bundle can be read", e.Message)];
        }
        foreach (var (name, octets) in Proofs())
            if (Convert.ToHexStringLower(SHA256.HashData(octets)) != name)
                _statements.Add(
                    Statement.Contradicted($"dns/{name}.rr is the proof that records name", "its SHA-256 is another")
                );
        var signed = new List<Signed>();
        foreach (var log in logs)
            if (CheckHead(log, keys) is { } head)
                signed.Add(head);
        for (var i = 0; i < signed.Count; i++)
        {
            var log = signed[i] = signed[i] with { IsItsOwners = await CheckOwnerAsync(signed[i]) };
            foreach (var record in log.Log.Records)
                await CheckRecordAsync(log, record);
        }
        // What all rests on comes first, and is known only now: whose the keys are.
        var owners = signed
            .Where(l => l.IsItsOwners)
            .DistinctBy(l => l.Key.Fingerprint)
            .ToDictionary(l => l.Key.Fingerprint, l => l.Origin.Own);
        _statements.InsertRange(0, bundles.Select(b => CheckSums(b, keys, owners)));
        CheckHistories(signed);
        CheckStory(signed);
        CheckMessage(signed, keys);
        _statements.Add(
            Statement.NotCovered(
                "when",
                "times are those of the gateways' own clocks: no time stamp from outside is in it"
            )
        );
        return _statements;
    }

    private static Statement CheckSums(
        BundleFiles files,
        IReadOnlyList<SignerKey> keys,
        Dictionary<string, string> owners
    )
    {
        const string What = "nothing in the bundle was changed since it was made";
        if (Sums.Difference(files) is { } difference)
            return Statement.Contradicted(What, difference);
        if (Sums.Signer(files, keys) is not var (key, at))
            return Statement.Contradicted(What, "SHA256SUMS.asc is by none of the keys in it");
        return owners.TryGetValue(key.Fingerprint, out var domain)
            ? Statement.Proved(What, key.Fingerprint, why: $"made by {domain} at {RecordTime.Write(at)}")
            : Statement.Claimed(What, key.Fingerprint, "whose key that is no signed DNS in the bundle says");
    }

    private Signed? CheckHead(BundleLog log, IReadOnlyList<SignerKey> keys)
    {
        var what = $"log {log.Head.Origin} had {log.Head.Size} records";
        if (log.Signer(keys) is not var (key, at))
        {
            _statements.Add(Statement.Contradicted(what, "its head is signed by none of the keys in the bundle"));
            return null;
        }
        _statements.Add(Statement.Proved(what, key.Fingerprint, why: $"signed at {RecordTime.Write(at)}"));
        return new(log, key, at);
    }

    private Task<bool> CheckOwnerAsync(Signed log) =>
        CheckKeyAsync(log.Key.Fingerprint, log.Log.Head.Origin.Own, log.At, Proofs());

    private IEnumerable<(string Name, byte[] Octets)> Proofs() => bundles.SelectMany(b => b.In("dns/", ".rr"));

    /// <summary>That a key was a domain's by what the signed DNS said at that time.</summary>
    private async Task<bool> CheckKeyAsync(
        string fingerprint,
        string domain,
        DateTimeOffset at,
        IEnumerable<(string Name, byte[] Octets)> proofs
    )
    {
        var what = $"key {fingerprint} was that of {domain} at {RecordTime.Write(at)}, by signed DNS";
        var why = "no proof of it is in the bundle";
        foreach (var (name, octets) in proofs)
        {
            try
            {
                var shown = await PublishedKeys.ReadAsync(octets, anchors, at);
                if (shown.Domain != domain)
                    continue;
                if (shown.Fingerprints.Contains(fingerprint))
                {
                    _statements.Add(Statement.Proved(what, until: shown.Until, why: $"dns/{name}.rr"));
                    return true;
                }
                why =
                    shown.Security == DnsSecurity.Secure
                        ? $"dns/{name}.rr lists other keys"
                        : $"dns/{name}.rr is {shown.Security.ToString().ToLowerInvariant()} by the root's trust anchor, or the one given";
            }
            catch (EvidenceException e)
            {
                why = $"dns/{name}.rr: {e.Message}";
            }
        }
        _statements.Add(Statement.NotCovered(what, why));
        return false;
    }

    private async Task CheckRecordAsync(Signed log, BundleRecord item)
    {
        var (record, origin) = (item.Record, log.Log.Head.Origin);
        var what = $"record {record.N} of {origin}: {record.Event} at {RecordTime.Write(record.At)}";
        if (!item.StandsIn(log.Log.Head))
        {
            _statements.Add(Statement.Contradicted(what, "the record is not in that log"));
            return;
        }
        _statements.Add(Statement.Proved(what, log.Key.Fingerprint));
        var commitment = record.Text("open");
        if (item.Opening is { } opening)
            _statements.Add(
                opening.Commitment == commitment
                    ? Statement.Proved($"the private part of record {record.N} of {origin}", log.Key.Fingerprint)
                    : Statement.Contradicted(
                        $"the private part of record {record.N} of {origin}",
                        "it is not the one that the record was made with"
                    )
            );
        var (key, domain) = record.Event switch
        {
            "sealed" => (record.Text("key"), origin.Peer),
            "opened" => (record.Text("signer"), origin.Peer),
            _ => (null, ""),
        };
        if (key is not null)
            await CheckKeyAsync(key, domain, record.At, Proofs().Where(p => p.Name == record.Text("dns")));
    }

    /// <summary>Two heads of one log at one size, or two records in one place: whoever signed them tells two stories.</summary>
    private void CheckHistories(List<Signed> logs)
    {
        // What anybody else has signed under a domain's name is no story of that domain's; what a key of its has, whenever, is.
        var owners = logs.Where(l => l.IsItsOwners).Select(l => (l.Origin.Own, l.Key.Fingerprint)).ToHashSet();
        string By(Signed log) => owners.Contains((log.Origin.Own, log.Key.Fingerprint)) ? "" : log.Key.Fingerprint;
        foreach (var log in logs.GroupBy(l => (l.Origin, By: By(l))))
        {
            var forked =
                log.GroupBy(l => l.Log.Head.Size)
                    .Any(h => h.Select(l => Convert.ToHexString(l.Log.Head.Root)).Distinct().Count() > 1)
                || log.SelectMany(l => l.Log.Records.Where(r => r.StandsIn(l.Log.Head)))
                    .GroupBy(r => r.Record.N)
                    .Any(n => n.Select(r => Convert.ToHexString(r.Record.LeafHash)).Distinct().Count() > 1);
            if (forked)
                _statements.Add(
                    Statement.Contradicted($"log {log.Key.Origin} has one history", "two of it are signed")
                );
        }
    }
}
