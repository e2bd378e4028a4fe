using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string PeerColumns = "domain, fingerprints, enforce_until, verified, distrusted, contrary_since, contrary_last, contrary_apart, override_action, override_until, override_reason, alarmed";

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
    /// <returns>What is remembered afterwards.</returns>
    public async Task<PeerRecord> ChangePeerAsync(string domain, Func<PeerRecord, PeerRecord> change)
    {
        var after = new PeerRecord(domain);
        await WriteAsync(connection =>
        {
            var before = Peers(connection, $"SELECT {PeerColumns} FROM peer WHERE domain = $domain", ("$domain", domain)).FirstOrDefault() ?? new PeerRecord(domain);
            after = change(before);
            Execute(connection, $"INSERT OR REPLACE INTO peer({PeerColumns}) VALUES($domain, $fprs, $enforce, $verified, $distrusted, $since, $last, $apart, $action, $until, $reason, $alarmed)",
                ("$domain", domain), ("$fprs", string.Join(',', after.Fingerprints)), ("$enforce", after.EnforceUntil.ToUnixTimeSeconds()), ("$verified", string.Join(',', after.Verified)),
                ("$distrusted", string.Join(',', after.Distrusted.Select(d => $"{d.Key}:{d.Value.ToUnixTimeSeconds()}"))), ("$since", Seconds(after.ContrarySince)), ("$last", Seconds(after.ContraryLast)),
                ("$apart", after.ContraryApart ? 1 : 0), ("$action", (object?)after.Override?.Action ?? DBNull.Value), ("$until", Seconds(after.Override?.Until)), ("$reason", (object?)after.Override?.Reason ?? DBNull.Value), ("$alarmed", Seconds(after.Alarmed)));
        });
        return after;
    }

    public Task ForgetPeerAsync(string domain) => WriteAsync(connection => Execute(connection, "DELETE FROM peer WHERE domain = $domain", ("$domain", domain)));

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
                Verified = Words(3),
                Distrusted = Words(4).Select(w => w.Split(':')).ToDictionary(w => w[0], w => Time(long.Parse(w[1], System.Globalization.CultureInfo.InvariantCulture))),
                ContrarySince = When(5),
                ContraryLast = When(6),
                ContraryApart = row.GetInt64(7) != 0,
                Override = row.IsDBNull(8) ? null : new PartnerOverride(row.GetString(8), When(9)!.Value, row.GetString(10)),
                Alarmed = When(11),
            });
        return list;
    }
}
