using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string PeerColumns =
        "domain, fingerprints, enforce_until, verified, distrusted, contrary_since, contrary_last, contrary_apart, "
        + "override_action, override_until, override_reason, alarmed, alarm, signed, signed_path, contrary_signed, sealed, receipts_until";

    private const string PeersVersionFact = "partners",
        SignedSinceFact = "signed-since";
    private const int MostPeersKnown = 10_000;
    private static readonly TimeSpan VersionFresh = TimeSpan.FromMilliseconds(5);

    private readonly ConcurrentDictionary<string, (PeerRecord? Record, string Version, long Write)> _knownPeers = new();

    /// <summary>Numbers our own writes in the order in which they are made.</summary>
    private long _peerWrites;
    private (string Text, long Asked) _peersVersion = ("", 0);
    private readonly Lock _versionLock = new();

    /// <summary>
    /// Changes with every change that another process makes to what is remembered, so that a running gateway looks again. Each message
    /// asks; the spool is asked every few milliseconds.
    /// </summary>
    public string PeersVersion
    {
        get
        {
            lock (_versionLock)
            {
                if (_peersVersion.Asked == 0 || Stopwatch.GetElapsedTime(_peersVersion.Asked) > VersionFresh)
                    _peersVersion = (Fact(PeersVersionFact) ?? "", Stopwatch.GetTimestamp());
                return _peersVersion.Text;
            }
        }
    }

    /// <summary>Tells a running gateway that what is remembered has been changed by hand; returns when it knows.</summary>
    public async Task PeersChangedAsync()
    {
        await CommitAsync(
            new() { Facts = new Dictionary<string, string> { [PeersVersionFact] = Guid.NewGuid().ToString("N") } }
        );
        lock (_versionLock)
            _peersVersion = ("", 0);
        await Task.Delay(2 * VersionFresh);
    }

    /// <summary>What is remembered of a domain, or null.</summary>
    public PeerRecord? FindPeer(string domain)
    {
        if (_only is null) // a command: the gateway writes as it likes
            return Read(s => FindPeer(s, domain));
        var (version, write) = (PeersVersion, Volatile.Read(ref _peerWrites)); // asked first: what is read afterwards is at least as new
        if (_knownPeers.TryGetValue(domain, out var known) && known.Version == version)
            return known.Record;
        var record = Read(s => FindPeer(s, domain));
        if (write == Volatile.Read(ref _peerWrites)) // else it may be older than what has just been written
            Know(domain, record, version, write);
        return record;
    }

    /// <param name="write">The last of our writes that it can know of; what knows of a later one stays.</param>
    private void Know(string domain, PeerRecord? record, string version, long write)
    {
        if (_knownPeers.Count >= MostPeersKnown)
            _knownPeers.Clear();
        _knownPeers.AddOrUpdate(
            domain,
            (record, version, write),
            (_, known) => write >= known.Write ? (record, version, write) : known
        );
    }

    private static PeerRecord? FindPeer(Statements statements, string domain) =>
        statements
            .Rows($"SELECT {PeerColumns} FROM peer WHERE domain = $domain", ReadPeer, ("$domain", domain))
            .FirstOrDefault();

    public IReadOnlyList<PeerRecord> ListPeers() =>
        Read(s => s.Rows($"SELECT {PeerColumns} FROM peer ORDER BY domain", ReadPeer));

    /// <returns>What is remembered afterwards, and which of our writes that was.</returns>
    private (PeerRecord After, long Write) ChangePeer(Statements statements, PeerChange peer)
    {
        var write = Interlocked.Increment(ref _peerWrites);
        var after = peer.Change(FindPeer(statements, peer.Domain) ?? new PeerRecord(peer.Domain));
        statements.Execute(
            $"INSERT OR REPLACE INTO peer({PeerColumns}) VALUES($domain, $fprs, $enforce, $verified, $distrusted, "
                + "$since, $last, $apart, $action, $until, $reason, $alarmed, $alarm, $signed, $path, $csigned, $sealed, $receipts)",
            ("$domain", peer.Domain),
            ("$fprs", string.Join(',', after.Fingerprints)),
            ("$enforce", after.EnforceUntil.ToUnixTimeSeconds()),
            (
                "$verified",
                string.Join(
                    ',',
                    after.Verified.Select(v => after.VouchedBy.TryGetValue(v, out var by) ? $"{v}<{by}" : v)
                )
            ),
            ("$distrusted", string.Join(',', after.Distrusted.Select(d => $"{d.Key}:{d.Value.ToUnixTimeSeconds()}"))),
            ("$since", Seconds(after.ContrarySince)),
            ("$last", Seconds(after.ContraryLast)),
            ("$apart", after.ContraryApart ? 1 : 0),
            ("$action", (object?)after.Override?.Action ?? DBNull.Value),
            ("$until", Seconds(after.Override?.Until)),
            ("$reason", (object?)after.Override?.Reason ?? DBNull.Value),
            ("$alarmed", Seconds(after.Alarmed)),
            ("$alarm", (object?)after.Alarm ?? DBNull.Value),
            ("$signed", Seconds(after.Signed)),
            ("$path", string.Join(' ', after.SignedPath)),
            ("$csigned", Seconds(after.ContrarySigned)),
            ("$sealed", Seconds(after.Sealed)),
            ("$receipts", after.ReceiptsUntil.ToUnixTimeSeconds())
        );
        return (after, write);
    }

    /// <returns>Which of our writes that was.</returns>
    private long ForgetPeer(Statements statements, string domain)
    {
        var write = Interlocked.Increment(ref _peerWrites);
        statements.Execute("DELETE FROM peer WHERE domain = $domain", ("$domain", domain));
        statements.Execute("DELETE FROM certificate WHERE domain = $domain", ("$domain", domain));
        return write;
    }

    /// <summary>Since when it is noted at what time a policy was signed; of what is older, nothing signed before then tells.</summary>
    public DateTimeOffset SignedSince =>
        _signedSince ??= Fact(SignedSinceFact) is { } text
            ? Time(long.Parse(text, System.Globalization.CultureInfo.InvariantCulture))
            : DateTimeOffset.MaxValue;

    private DateTimeOffset? _signedSince;

    /// <summary>Domains whose remembered <c>enforce</c> ends in that time.</summary>
    public IReadOnlyList<string> PeersEnding(DateTimeOffset from, DateTimeOffset to, int most) =>
        Read(s =>
            s.Rows(
                "SELECT domain FROM peer WHERE enforce_until > $from AND enforce_until <= $to ORDER BY enforce_until LIMIT $most",
                row => row.GetString(0),
                ("$from", from.ToUnixTimeSeconds()),
                ("$to", to.ToUnixTimeSeconds()),
                ("$most", most)
            )
        );

    /// <summary>Certificates kept of a trusted partner, as they were published, each with when it was last seen listed.</summary>
    public IReadOnlyList<(byte[] Octets, DateTimeOffset Listed)> Certificates(string domain) =>
        Read(s =>
            s.Rows(
                "SELECT octets, listed FROM certificate WHERE domain = $domain",
                row => ((byte[])row[0], Time(row.GetInt64(1))),
                ("$domain", domain)
            )
        );

    public Task KeepCertificateAsync(string domain, string fingerprint, byte[] octets, DateTimeOffset listed) =>
        WriteAsync(statements =>
            statements.Execute(
                "INSERT OR REPLACE INTO certificate(domain, fingerprint, octets, listed) VALUES($domain, $fpr, $octets, $listed)",
                ("$domain", domain),
                ("$fpr", fingerprint),
                ("$octets", octets),
                ("$listed", listed.ToUnixTimeSeconds())
            )
        );

    /// <summary>Domains about which somebody should look, since their mail waits.</summary>
    public IReadOnlyList<string> PeersInAlarm() =>
        Read(s => s.Rows("SELECT domain FROM peer WHERE alarm IS NOT NULL ORDER BY domain", row => row.GetString(0)));

    /// <summary>Domains of which an administrator has verified a key.</summary>
    public IReadOnlyList<string> VerifiedPeers() =>
        Read(s => s.Rows("SELECT domain FROM peer WHERE verified <> ''", row => row.GetString(0)));

    private static object Seconds(DateTimeOffset? time) => time is { } t ? t.ToUnixTimeSeconds() : DBNull.Value;

    private static PeerRecord ReadPeer(SqliteDataReader row)
    {
        DateTimeOffset? When(int i) => row.IsDBNull(i) ? null : Time(row.GetInt64(i));
        string[] Words(int i) => row.GetString(i).Split(',', StringSplitOptions.RemoveEmptyEntries);
        return new PeerRecord(row.GetString(0))
        {
            Fingerprints = Words(1),
            EnforceUntil = Time(row.GetInt64(2)),
            Verified = [.. Words(3).Select(w => w.Split('<')[0])],
            VouchedBy = Words(3)
                .Where(w => w.Contains('<'))
                .Select(w => w.Split('<'))
                .ToDictionary(w => w[0], w => w[1]),
            Distrusted = Words(4)
                .Select(w => w.Split(':'))
                .ToDictionary(
                    w => w[0],
                    w => Time(long.Parse(w[1], System.Globalization.CultureInfo.InvariantCulture))
                ),
            ContrarySince = When(5),
            ContraryLast = When(6),
            ContraryApart = row.GetInt64(7) != 0,
            Override = row.IsDBNull(8)
                ? null
                : new PartnerOverride(row.GetString(8), When(9)!.Value, row.GetString(10)),
            Alarmed = When(11),
            Alarm = row.IsDBNull(12) ? null : row.GetString(12),
            Signed = When(13),
            SignedPath = row.GetString(14).Split(' ', StringSplitOptions.RemoveEmptyEntries),
            ContrarySigned = When(15),
            Sealed = When(16),
            ReceiptsUntil = Time(row.GetInt64(17)),
        };
    }
}
