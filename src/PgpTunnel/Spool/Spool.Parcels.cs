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

    /// <summary>The same parcel under another key; a parcel that was settled meanwhile stays so.</summary>
    public async Task ChangeBodyAsync(string id, ReadOnlyMemory<byte> body)
    {
        IReadOnlyList<string> files = [];
        await WriteAsync(statements =>
        {
            files = FileOf(statements, "SELECT file FROM parcel WHERE id = $id", ("$id", id));
            if (
                statements.Execute(
                    "UPDATE parcel SET body = x'', stored = NULL, file = '', octets = $octets WHERE id = $id AND octets > 0",
                    ("$id", id),
                    ("$octets", body.Length)
                ) == 0
            )
                return;
            InsertBody(statements, body);
            statements.Execute("UPDATE parcel SET stored = last_insert_rowid() WHERE id = $id", ("$id", id));
        });
        foreach (var file in files)
            _bodies.Delete(file);
    }

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

    /// <summary>A parcel with its ciphertexts.</summary>
    /// <exception cref="SpoolException">Its body is gone.</exception>
    public (Parcel Parcel, ParcelContent Content)? Load(string id)
    {
        if (LoadRow(id) is not var (parcel, content, file))
            return null;
        if (content.Body.Length == parcel.Octets)
            return (parcel, content);
        if (file.Length > 0 && _bodies.Read(file, parcel.Octets) is { } body)
            return (parcel, content with { Body = body });
        // It may have been settled since its row was read.
        return LoadRow(id) is not var (row, rest, _) ? null
            : row.Octets == 0 ? (row, rest)
            : throw new SpoolException(
                $"the body of parcel {id} ({(file.Length > 0 ? file : "in the database")}) cannot be read or is not "
                    + "whole; the spool is damaged, see 'pgptunnel queue check'",
                false
            );
    }

    /// <summary>A parcel's other ciphertexts, whatever has become of its body.</summary>
    public ParcelContent? LoadWithoutBody(string id) =>
        Read(s =>
                s.Rows(
                    "SELECT key, envelope FROM parcel WHERE id = $id",
                    row => new ParcelContent(default, (byte[])row[0], (byte[])row[1]),
                    ("$id", id)
                )
            )
            .FirstOrDefault();

    private (Parcel, ParcelContent, string)? LoadRow(string id) =>
        Read<(Parcel, ParcelContent, string)?>(s =>
            s.Rows(
                $"SELECT {Columns}, coalesce((SELECT octets FROM body WHERE number = stored), body) AS octets_of_it, key, "
                    + "envelope, file FROM parcel WHERE id = $id",
                row =>
                    (
                        ReadParcel(row),
                        new ParcelContent((byte[])row["octets_of_it"], (byte[])row["key"], (byte[])row["envelope"]),
                        (string)row["file"]
                    ),
                ("$id", id)
            )
                is [var found]
                ? found
                : null
        );

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

    /// <summary>Deletes bodies that no parcel names, left by a crash long ago.</summary>
    private void DeleteLeftOver(DateTimeOffset now) =>
        _bodies.DeleteLeftOver(
            Read(s => s.Rows("SELECT file FROM parcel WHERE file <> '' AND octets > 0", row => row.GetString(0)))
                .ToHashSet(),
            now
        );

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
