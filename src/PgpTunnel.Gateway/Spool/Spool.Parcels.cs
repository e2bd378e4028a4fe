using System.Globalization;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string Columns =
        "id, route, form, domain, token, state, created, expires, next, attempts, done, status, must_seal, may_clear, "
        + "exempt, delayed, key_fingerprint, octets, notice, refusals, refused_since, told, server, own, lit, receipt, overdue";

    private static void Reschedule(Statements statements, Rescheduled wish) =>
        statements.Execute(
            "UPDATE parcel SET state = $state, next = $next WHERE id = $id AND state <> $handed",
            ("$id", wish.Id),
            ("$handed", (int)ParcelState.Handed),
            ("$state", (int)wish.State),
            ("$next", wish.Next.ToUnixTimeSeconds())
        );

    /// <summary>Forgets what has outlived its use: handed-over parcels and replay ids.</summary>
    public async Task PurgeAsync(DateTimeOffset now)
    {
        List<string> files = [];
        await WriteAsync(statements =>
        {
            files = statements.Rows(
                "DELETE FROM parcel WHERE state = $handed AND next < $now RETURNING CASE WHEN octets > 0 THEN file ELSE '' END",
                row => row.GetString(0),
                ("$handed", (int)ParcelState.Handed),
                ("$now", now.ToUnixTimeSeconds())
            );
            statements.Execute("DELETE FROM replay WHERE expires < $now", ("$now", now.ToUnixTimeSeconds()));
            statements.Execute(
                "DELETE FROM gateway WHERE (name LIKE 'echo:%' OR name LIKE 'told:%') AND value < $time",
                ("$time", InnerHeader.Time(now.AddDays(-1)))
            );
        });
        files.FindAll(f => f.Length > 0).ForEach(_bodies.Delete);
    }

    /// <summary>True when another process has written since this was last asked.</summary>
    public async Task<bool> ChangedElsewhereAsync()
    {
        // It changes on this connection when another one commits; all our writing goes through this one.
        var version = 0L;
        await WriteAsync(statements => version = statements.Number("PRAGMA data_version"));
        var changed = version != _dataVersion;
        _dataVersion = version;
        return changed;
    }

    private long _dataVersion;

    /// <summary>
    /// Each destination for which parcels wait, with the earliest time of one. Steps over the index: the cost is that of the
    /// destinations.
    /// </summary>
    public IReadOnlyList<(Destination Destination, DateTimeOffset Next)> Destinations() =>
        Read(s =>
            Enum.GetValues<ParcelRoute>()
                .SelectMany(route =>
                    s.Rows(
                        """
                        WITH RECURSIVE d(domain) AS (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route
                            UNION ALL SELECT (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route AND
                                domain > d.domain) FROM d WHERE d.domain IS NOT NULL)
                        SELECT domain, (SELECT min(next) FROM parcel WHERE state = 0 AND route = $route AND domain = d.domain)
                            FROM d WHERE domain IS NOT NULL
                        """,
                        row => (new Destination(route, row.GetString(0)), Time(row.GetInt64(1))),
                        ("$route", (int)route)
                    )
                )
                .ToList()
        );

    /// <summary>Parcels for one destination whose time has come, the oldest first.</summary>
    /// <param name="far">What waits for a time beyond this was written when the clock was wrong, and has come too.</param>
    /// <remarks><c>LIMIT</c> with a bare parameter is compiled anew for each value it is given; a sum is not.</remarks>
    public IReadOnlyList<Parcel> Due(Destination destination, DateTimeOffset now, DateTimeOffset far, int most) =>
        Read(s =>
            s.Rows(
                $"""
                SELECT * FROM (SELECT {Columns} FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next <= $now
                    ORDER BY next LIMIT $most + 0)
                UNION ALL
                SELECT * FROM (SELECT {Columns} FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next > $far
                    ORDER BY next LIMIT $most + 0)
                """,
                ReadParcel,
                ("$route", (int)destination.Route),
                ("$domain", destination.Domain),
                ("$now", now.ToUnixTimeSeconds()),
                ("$far", far.ToUnixTimeSeconds()),
                ("$most", most)
            )
        );

    /// <summary>When the next parcel for a destination comes due after <paramref name="now"/>; null = none waits.</summary>
    public DateTimeOffset? NextDue(Destination destination, DateTimeOffset now) =>
        Read(s =>
            s.Scalar(
                "SELECT min(next) FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next > $now",
                ("$route", (int)destination.Route),
                ("$domain", destination.Domain),
                ("$now", now.ToUnixTimeSeconds())
            )
        )
            is long next
            ? Time(next)
            : null;

    /// <summary>What is held of what came from peers: how many parcels, and octets of those that lie in files.</summary>
    public (long Parcels, long Octets) Held() =>
        Read(s =>
            s.Rows(
                "SELECT count(*), coalesce(sum(octets), 0) FROM parcel WHERE state = 1 AND form = $form",
                row => (row.GetInt64(0), row.GetInt64(1)),
                ("$form", (int)ParcelForm.Received)
            )
        )[0];

    /// <summary>Of each state how many parcels are in it, and when the oldest of them came.</summary>
    public IReadOnlyDictionary<ParcelState, (long Count, DateTimeOffset Oldest)> Counts() =>
        Read(s =>
                s.Rows(
                    "SELECT state, count(*), min(created) FROM parcel GROUP BY state",
                    row => ((ParcelState)row.GetInt32(0), row.GetInt64(1), Time(row.GetInt64(2)))
                )
            )
            .ToDictionary(r => r.Item1, r => (r.Item2, r.Item3));

    public IReadOnlyList<Parcel> List() =>
        Read(s => s.Rows($"SELECT {Columns} FROM parcel ORDER BY created, id", ReadParcel));

    public Parcel? Find(string id) =>
        Read(s => s.Rows($"SELECT {Columns} FROM parcel WHERE id = $id", ReadParcel, ("$id", id))).FirstOrDefault();

    /// <summary>The sealed parcel that carries this token, on its way or handed over.</summary>
    public Parcel? FindToken(string token) =>
        token.Length == 0
            ? null
            : Read(s =>
                    s.Rows(
                        $"SELECT {Columns} FROM parcel WHERE token = $token AND token <> ''",
                        ReadParcel,
                        ("$token", token)
                    )
                )
                .FirstOrDefault();

    public ReplayEntry? FindReplay(string sender, string id) =>
        Read(s =>
                s.Rows(
                    "SELECT hash, expires FROM replay WHERE sender = $sender AND id = $id",
                    row => new ReplayEntry(
                        sender,
                        id,
                        (byte[])row[0],
                        DateTimeOffset.FromUnixTimeSeconds(row.GetInt64(1))
                    ),
                    ("$sender", sender),
                    ("$id", id)
                )
            )
            .FirstOrDefault();

    /// <summary>
    /// By the three columns of the first version; exempt came before everything there, and "never in clear" before "in clear after a
    /// test".
    /// </summary>
    private static Leaving ReadLeaving(bool mustSeal, bool mayClear, bool exempt) =>
        exempt ? Leaving.Exempt
        : mustSeal ? Leaving.SealedOnly
        : mayClear ? Leaving.ClearAfterTest
        : Leaving.AsDecided;

    private static Parcel ReadParcel(SqliteDataReader row) =>
        new()
        {
            Id = row.GetString(0),
            Route = (ParcelRoute)row.GetInt32(1),
            Form = (ParcelForm)row.GetInt32(2),
            Domain = row.GetString(3),
            Token = row.GetString(4),
            State = (ParcelState)row.GetInt32(5),
            Created = Time(row.GetInt64(6)),
            Expires = Time(row.GetInt64(7)),
            Next = Time(row.GetInt64(8)),
            Attempts = row.GetInt32(9),
            Done = ReadDone(row.GetString(10)),
            Status = row.GetString(11),
            Leaving = ReadLeaving(
                mustSeal: row.GetInt64(12) != 0,
                mayClear: row.GetInt64(13) != 0,
                exempt: row.GetInt64(14) != 0
            ),
            Delayed = row.GetInt64(15) != 0,
            KeyFingerprint = row.GetString(16),
            Octets = row.GetInt64(17),
            IsNotice = row.GetInt64(18) != 0,
            Refusals = row.GetInt32(19),
            RefusedSince = row.IsDBNull(20) ? null : Time(row.GetInt64(20)),
            IsTold = row.GetInt64(21) != 0,
            Server = row.GetString(22),
            Own = row.GetString(23),
            Lit = (byte[])row[24],
            Receipt = (ReceiptState)row.GetInt32(25),
            Overdue = row.IsDBNull(26) ? null : Time(row.GetInt64(26)),
        };

    /// <summary>A time that makes no sense is the nearest that does: one bad row is not to hide all others.</summary>
    private static DateTimeOffset Time(long seconds) =>
        DateTimeOffset.FromUnixTimeSeconds(
            Math.Clamp(
                seconds,
                DateTimeOffset.MinValue.ToUnixTimeSeconds(),
                DateTimeOffset.MaxValue.ToUnixTimeSeconds()
            )
        );

    private static HashSet<int> ReadDone(string text) =>
        [
            .. text.Split(',', StringSplitOptions.RemoveEmptyEntries)
                .Select(n => int.Parse(n, CultureInfo.InvariantCulture)),
        ];
}
