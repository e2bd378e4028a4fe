using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string PeerColumns = "domain, fingerprints, enforce_until, verified, distrusted, contrary_since, contrary_last, contrary_apart, override_action, override_until, override_reason, alarmed, alarm";

    /// <summary>What is remembered of a domain, or null.</summary>
    public PeerRecord? FindPeer(string domain)
    {
        using var connection = Reader();
        return Peers(connection, $"SELECT {PeerColumns} FROM peer WHERE domain = $domain", ("$domain", domain)).FirstOrDefault();
    }

    public IReadOnlyList<PeerRecord> ListPeers()
    {
        using var connection = Reader();
        return Peers(connection, $"SELECT {PeerColumns} FROM peer ORDER BY domain");
    }

    /// <summary>Changes what is remembered of a domain in one step; <paramref name="change"/> gets what is there now.</summary>
    /// <param name="parcels">Taken in the same step.</param>
    /// <returns>What is remembered afterwards.</returns>
    public async Task<PeerRecord> ChangePeerAsync(string domain, Func<PeerRecord, PeerRecord> change, params IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels)
    {
        var after = new PeerRecord(domain);
        await WriteAsync(connection =>
        {
            var before = Peers(connection, $"SELECT {PeerColumns} FROM peer WHERE domain = $domain", ("$domain", domain)).FirstOrDefault() ?? new PeerRecord(domain);
            after = change(before);
            Execute(connection, $"INSERT OR REPLACE INTO peer({PeerColumns}) VALUES($domain, $fprs, $enforce, $verified, $distrusted, $since, $last, $apart, $action, $until, $reason, $alarmed, $alarm)",
                ("$domain", domain), ("$fprs", string.Join(',', after.Fingerprints)), ("$enforce", after.EnforceUntil.ToUnixTimeSeconds()), ("$verified", string.Join(',', after.Verified.Select(v => after.VouchedBy.TryGetValue(v, out var by) ? $"{v}<{by}" : v))),
                ("$distrusted", string.Join(',', after.Distrusted.Select(d => $"{d.Key}:{d.Value.ToUnixTimeSeconds()}"))), ("$since", Seconds(after.ContrarySince)), ("$last", Seconds(after.ContraryLast)),
                ("$apart", after.ContraryApart ? 1 : 0), ("$action", (object?)after.Override?.Action ?? DBNull.Value), ("$until", Seconds(after.Override?.Until)), ("$reason", (object?)after.Override?.Reason ?? DBNull.Value), ("$alarmed", Seconds(after.Alarmed)), ("$alarm", (object?)after.Alarm ?? DBNull.Value));
            foreach (var (parcel, content) in parcels)
                Insert(connection, parcel, content);
        });
        return after;
    }

    public Task ForgetPeerAsync(string domain) => WriteAsync(connection =>
    {
        Execute(connection, "DELETE FROM peer WHERE domain = $domain", ("$domain", domain));
        Execute(connection, "DELETE FROM certificate WHERE domain = $domain", ("$domain", domain));
    });

    /// <summary>Domains whose remembered <c>enforce</c> ends in that time.</summary>
    public IReadOnlyList<string> PeersEnding(DateTimeOffset from, DateTimeOffset to, int most)
    {
        using var connection = Reader();
        using var command = Command(connection, "SELECT domain FROM peer WHERE enforce_until > $from AND enforce_until <= $to ORDER BY enforce_until LIMIT $most",
            [("$from", from.ToUnixTimeSeconds()), ("$to", to.ToUnixTimeSeconds()), ("$most", most)]);
        using var row = command.ExecuteReader();
        var domains = new List<string>();
        while (row.Read())
            domains.Add(row.GetString(0));
        return domains;
    }

    /// <summary>Certificates kept of a trusted partner, as they were published.</summary>
    public IReadOnlyList<byte[]> Certificates(string domain)
    {
        using var connection = Reader();
        using var command = Command(connection, "SELECT octets FROM certificate WHERE domain = $domain", [("$domain", domain)]);
        using var row = command.ExecuteReader();
        var certificates = new List<byte[]>();
        while (row.Read())
            certificates.Add((byte[])row[0]);
        return certificates;
    }

    public Task KeepCertificateAsync(string domain, string fingerprint, byte[] octets) => WriteAsync(connection =>
        Execute(connection, "INSERT OR REPLACE INTO certificate(domain, fingerprint, octets) VALUES($domain, $fpr, $octets)", ("$domain", domain), ("$fpr", fingerprint), ("$octets", octets)));

    private static object Seconds(DateTimeOffset? time) => time is { } t ? t.ToUnixTimeSeconds() : DBNull.Value;

    private static List<PeerRecord> Peers(SqliteConnection connection, string sql, params ReadOnlySpan<(string, object)> parameters)
    {
        using var command = Command(connection, sql, parameters);
        using var row = command.ExecuteReader();
        var list = new List<PeerRecord>();
        DateTimeOffset? When(int i) => row.IsDBNull(i) ? null : Time(row.GetInt64(i));
        string[] Words(int i) => row.GetString(i).Split(',', StringSplitOptions.RemoveEmptyEntries);
        while (row.Read())
            list.Add(new PeerRecord(row.GetString(0))
            {
                Fingerprints = Words(1),
                EnforceUntil = Time(row.GetInt64(2)),
                Verified = [.. Words(3).Select(w => w.Split('<')[0])],
                VouchedBy = Words(3).Where(w => w.Contains('<')).Select(w => w.Split('<')).ToDictionary(w => w[0], w => w[1]),
                Distrusted = Words(4).Select(w => w.Split(':')).ToDictionary(w => w[0], w => Time(long.Parse(w[1], System.Globalization.CultureInfo.InvariantCulture))),
                ContrarySince = When(5),
                ContraryLast = When(6),
                ContraryApart = row.GetInt64(7) != 0,
                Override = row.IsDBNull(8) ? null : new PartnerOverride(row.GetString(8), When(9)!.Value, row.GetString(10)),
                Alarmed = When(11),
                Alarm = row.IsDBNull(12) ? null : row.GetString(12),
            });
        return list;
    }
}
