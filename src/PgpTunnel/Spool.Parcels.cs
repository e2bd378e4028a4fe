using System.Globalization;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string Columns = "id, route, form, domain, token, state, created, expires, next, attempts, done, status, must_seal, may_clear, exempt, delayed, key_fingerprint, octets";

    /// <summary>Octets of a body that stand in the parcel's own row; the rest follows in parts, so that SQLite never copies a large one whole.</summary>
    private const int PartSize = 512 * 1024;

    /// <summary>Takes parcels, and with them a replay id; all or nothing. Returned means durable.</summary>
    /// <returns>False when the replay id is there already; nothing was kept then.</returns>
    public async Task<bool> AddAsync(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels, ReplayEntry? replay)
    {
        var taken = true;
        await WriteAsync(connection =>
        {
            taken = replay is null || InsertReplay(connection, replay);
            if (taken)
                foreach (var (parcel, content) in parcels)
                    Insert(connection, parcel, content);
        });
        return taken;
    }

    /// <summary>Puts new parcels in the place of an old one in one step: re-sealed, sealed at last, or turned into a notice.</summary>
    public Task ReplaceAsync(string id, IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels) => WriteAsync(connection =>
    {
        Execute(connection, "DELETE FROM parcel WHERE id = $id", ("$id", id));
        foreach (var (parcel, content) in parcels)
            Insert(connection, parcel, content);
    });

    private static bool InsertReplay(SqliteConnection connection, ReplayEntry entry)
    {
        using var command = Command(connection, "INSERT INTO replay(sender, id, hash, expires) VALUES($sender, $id, $hash, $expires) ON CONFLICT DO NOTHING",
            [("$sender", entry.Sender), ("$id", entry.Id), ("$hash", entry.BodySha256), ("$expires", entry.Expires.ToUnixTimeSeconds())]);
        return command.ExecuteNonQuery() == 1;
    }

    private static void Insert(SqliteConnection connection, Parcel p, ParcelContent c)
    {
        Execute(connection,
            $"INSERT INTO parcel({Columns}, body, key, envelope) VALUES($id, $route, $form, $domain, $token, $state, $created, $expires, $next, $attempts, $done, $status, $must, $may, $exempt, $delayed, $fpr, $octets, $body, $key, $envelope)",
            ("$id", p.Id), ("$route", (int)p.Route), ("$form", (int)p.Form), ("$domain", p.Domain), ("$token", p.Token), ("$state", (int)p.State),
            ("$created", p.Created.ToUnixTimeSeconds()), ("$expires", p.Expires.ToUnixTimeSeconds()), ("$next", p.Next.ToUnixTimeSeconds()), ("$attempts", p.Attempts),
            ("$done", WriteDone(p.Done)), ("$status", p.Status), ("$must", p.MustSeal ? 1 : 0), ("$may", p.MayClear ? 1 : 0), ("$exempt", p.Exempt ? 1 : 0), ("$delayed", p.Delayed ? 1 : 0), ("$fpr", p.KeyFingerprint),
            ("$octets", c.Body.Length), ("$body", c.Body.Length <= PartSize ? c.Body : c.Body[..PartSize]), ("$key", c.Key), ("$envelope", c.Envelope));
        for (var at = PartSize; at < c.Body.Length; at += PartSize)
            Execute(connection, "INSERT INTO part(parcel, number, octets) VALUES($id, $number, $octets)", ("$id", p.Id), ("$number", at / PartSize), ("$octets", c.Body[at..Math.Min(c.Body.Length, at + PartSize)]));
    }

    /// <summary>Records the outcome of an attempt.</summary>
    public Task UpdateAsync(Parcel parcel) => WriteAsync(connection => Update(connection, parcel));

    /// <summary>Records the outcome of an attempt and takes new parcels, in one step.</summary>
    public Task UpdateWithAsync(Parcel parcel, IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels) => WriteAsync(connection =>
    {
        Update(connection, parcel);
        foreach (var (added, content) in parcels)
            Insert(connection, added, content);
    });

    // An administrator's hold that came while the attempt ran stays: Held is above Queued.
    private static void Update(SqliteConnection connection, Parcel p) => Execute(connection,
        "UPDATE parcel SET state = MAX(state, $state), next = $next, attempts = $attempts, done = $done, status = $status, delayed = $delayed WHERE id = $id",
        ("$id", p.Id), ("$state", (int)p.State), ("$next", p.Next.ToUnixTimeSeconds()), ("$attempts", p.Attempts), ("$done", WriteDone(p.Done)), ("$status", p.Status), ("$delayed", p.Delayed ? 1 : 0));

    /// <summary>An administrator's wish: another state, another time. A parcel that was handed over meanwhile stays so.</summary>
    public Task RescheduleAsync(string id, ParcelState state, DateTimeOffset next) => WriteAsync(connection => Execute(connection,
        "UPDATE parcel SET state = $state, next = $next WHERE id = $id AND state <> $handed", ("$id", id), ("$handed", (int)ParcelState.Handed), ("$state", (int)state), ("$next", next.ToUnixTimeSeconds())));

    /// <summary>The next server has the parcel: its body goes, its envelope stays for a bounce.</summary>
    public Task HandedAsync(string id, DateTimeOffset until) => WriteAsync(connection => Execute(connection,
        "UPDATE parcel SET state = $state, body = x'', key = x'', octets = 0, next = $until WHERE id = $id", ("$id", id), ("$state", (int)ParcelState.Handed), ("$until", until.ToUnixTimeSeconds())));

    public Task DeleteAsync(string id) => WriteAsync(connection => Execute(connection, "DELETE FROM parcel WHERE id = $id AND state <> $handed", ("$id", id), ("$handed", (int)ParcelState.Handed)));

    /// <summary>Forgets what has outlived its use: handed-over parcels and replay ids.</summary>
    public Task PurgeAsync(DateTimeOffset now) => WriteAsync(connection =>
    {
        Execute(connection, "DELETE FROM parcel WHERE state = $handed AND next < $now", ("$handed", (int)ParcelState.Handed), ("$now", now.ToUnixTimeSeconds()));
        Execute(connection, "DELETE FROM replay WHERE expires < $now", ("$now", now.ToUnixTimeSeconds()));
        Execute(connection, "DELETE FROM gateway WHERE name LIKE 'echo:%' AND value < $time", ("$time", InnerHeader.Time(now.AddDays(-1))));
    });

    /// <summary>
    /// Parcels whose time has come, at most a few a destination, so that a dead one does not crowd out the rest. Steps from destination
    /// to destination by the index: the cost is that of the destinations, not of the parcels that wait.
    /// </summary>
    /// <param name="longest">No pause is longer: what waits for a time much farther ahead was written when the clock was wrong.</param>
    /// <param name="local">Those for our own mail server, or all others.</param>
    public IReadOnlyList<Parcel> Due(DateTimeOffset now, TimeSpan longest, bool local, int perDestination, int most)
    {
        using var connection = Reader();
        var due = new List<Parcel>();
        foreach (var route in local ? [ParcelRoute.Local] : new[] { ParcelRoute.Gateway, ParcelRoute.World })
            foreach (var domain in Destinations(connection, route))
                due.AddRange(Parcels(connection, $"SELECT {Columns} FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND (next <= $now OR next > $far) ORDER BY next LIMIT $per",
                    ("$route", (int)route), ("$domain", domain), ("$now", now.ToUnixTimeSeconds()), ("$far", (now + 2 * longest).ToUnixTimeSeconds()), ("$per", perDestination)));
        return [.. due.OrderBy(p => p.Next).Take(most)];
    }

    public static bool IsDue(Parcel parcel, DateTimeOffset now, TimeSpan longest) => parcel.Next <= now || parcel.Next > now + 2 * longest;

    private static List<string> Destinations(SqliteConnection connection, ParcelRoute route)
    {
        using var command = Command(connection, """
            WITH RECURSIVE d(domain) AS (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route
                UNION ALL SELECT (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route AND domain > d.domain) FROM d WHERE d.domain IS NOT NULL)
            SELECT domain FROM d WHERE domain IS NOT NULL
            """, [("$route", (int)route)]);
        using var row = command.ExecuteReader();
        var domains = new List<string>();
        while (row.Read())
            domains.Add(row.GetString(0));
        return domains;
    }

    public IReadOnlyList<Parcel> List()
    {
        using var connection = Reader();
        return Parcels(connection, $"SELECT {Columns} FROM parcel ORDER BY created, id");
    }

    public Parcel? Find(string id)
    {
        using var connection = Reader();
        return Parcels(connection, $"SELECT {Columns} FROM parcel WHERE id = $id", ("$id", id)).FirstOrDefault();
    }

    /// <summary>The sealed parcel that carries this token, on its way or handed over.</summary>
    public Parcel? FindToken(string token)
    {
        using var connection = Reader();
        return token.Length == 0 ? null : Parcels(connection, $"SELECT {Columns} FROM parcel WHERE token = $token", ("$token", token)).FirstOrDefault();
    }

    public ParcelContent? Load(string id)
    {
        using var connection = Reader();
        using var snapshot = connection.BeginTransaction(deferred: true); // the row and its parts as they were at one time
        using var command = Command(connection, "SELECT octets, body, key, envelope FROM parcel WHERE id = $id", [("$id", id)]);
        using var row = command.ExecuteReader();
        if (!row.Read())
            return null;
        var body = (byte[])row[1];
        if (row.GetInt32(0) > body.Length)
        {
            var whole = GC.AllocateUninitializedArray<byte>(row.GetInt32(0));
            body.CopyTo(whole, 0);
            ReadParts(connection, id, whole.AsSpan(body.Length));
            body = whole;
        }
        return new(body, (byte[])row[2], (byte[])row[3]);
    }

    private static void ReadParts(SqliteConnection connection, string id, Span<byte> rest)
    {
        using var command = Command(connection, "SELECT octets FROM part WHERE parcel = $id ORDER BY number", [("$id", id)]);
        using var row = command.ExecuteReader();
        while (row.Read())
        {
            var part = (byte[])row[0];
            part.CopyTo(rest);
            rest = rest[part.Length..];
        }
        if (!rest.IsEmpty)
            throw new SpoolException($"parcel {id} lacks a part; the spool is damaged, see 'pgptunnel queue check'", false);
    }

    public ReplayEntry? FindReplay(string sender, string id)
    {
        using var connection = Reader();
        using var command = Command(connection, "SELECT hash, expires FROM replay WHERE sender = $sender AND id = $id", [("$sender", sender), ("$id", id)]);
        using var row = command.ExecuteReader();
        return row.Read() ? new(sender, id, (byte[])row[0], DateTimeOffset.FromUnixTimeSeconds(row.GetInt64(1))) : null;
    }

    private const string UsedFact = "used", OldSubkeyFact = "old-subkey";

    /// <summary>When a parcel for an older encryption subkey of ours last came.</summary>
    public DateTimeOffset? OldSubkeyUsed => Fact(OldSubkeyFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    public Task OldSubkeyUsedAsync(DateTimeOffset now) => SetAsync(new Dictionary<string, string> { [OldSubkeyFact] = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) });


    /// <summary>Notes that a gateway uses the spool now.</summary>
    public Task UsedAsync(DateTimeOffset now) => SetAsync(new Dictionary<string, string> { [UsedFact] = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) });

    /// <summary>When a gateway last noted that.</summary>
    public DateTimeOffset? LastUsed => Fact(UsedFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    /// <summary>Facts of the running gateway, for <c>status</c>.</summary>
    public Task SetAsync(IReadOnlyDictionary<string, string> facts) => WriteAsync(connection =>
    {
        foreach (var (name, value) in facts)
            Execute(connection, "INSERT INTO gateway(name, value) VALUES($name, $value) ON CONFLICT(name) DO UPDATE SET value = $value", ("$name", name), ("$value", value));
    });

    public string? Fact(string name)
    {
        using var connection = Reader();
        return Scalar(connection, "SELECT value FROM gateway WHERE name = $name", ("$name", name)) as string;
    }

    public Dictionary<string, string> Facts()
    {
        using var connection = Reader();
        using var command = Command(connection, "SELECT name, value FROM gateway", []);
        using var row = command.ExecuteReader();
        var facts = new Dictionary<string, string>();
        while (row.Read())
            facts[row.GetString(0)] = row.GetString(1);
        return facts;
    }

    private static List<Parcel> Parcels(SqliteConnection connection, string sql, params ReadOnlySpan<(string, object)> parameters)
    {
        using var command = Command(connection, sql, parameters);
        using var row = command.ExecuteReader();
        var list = new List<Parcel>();
        while (row.Read())
            list.Add(new(row.GetString(0), (ParcelRoute)row.GetInt32(1), (ParcelForm)row.GetInt32(2), row.GetString(3), row.GetString(4), (ParcelState)row.GetInt32(5),
                Time(row.GetInt64(6)), Time(row.GetInt64(7)), Time(row.GetInt64(8)), row.GetInt32(9), ReadDone(row.GetString(10)), row.GetString(11),
                row.GetInt64(12) != 0, row.GetInt64(13) != 0, row.GetInt64(14) != 0, row.GetInt64(15) != 0, row.GetString(16), row.GetInt64(17)));
        return list;
    }

    private static DateTimeOffset Time(long seconds) => DateTimeOffset.FromUnixTimeSeconds(seconds);

    private static string WriteDone(IReadOnlySet<int> done) => string.Join(',', done.Order());

    private static HashSet<int> ReadDone(string text) => [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
}
