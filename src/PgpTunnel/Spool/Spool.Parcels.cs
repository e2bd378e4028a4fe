using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Data.Sqlite;

namespace PgpTunnel;

internal sealed partial class Spool
{
    private const string Columns = "id, route, form, domain, token, state, created, expires, next, attempts, done, status, must_seal, may_clear, exempt, delayed, key_fingerprint, octets, notice, refusals, refused_since, told, server";

    /// <summary>Told of each new parcel that is to go on, once it is durable; from then on it is the receiver's to see to.</summary>
    public Action<Parcel, ParcelContent>? Kept { get; set; }

    /// <summary>Takes parcels, and with them a replay id; all or nothing. Returned means durable.</summary>
    /// <returns>False when the replay id is there already; nothing was kept then.</returns>
    public Task<bool> AddAsync(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels, ReplayEntry? replay) =>
        KeepAsync(parcels, statements => replay is null || InsertReplay(statements, replay));

    /// <summary>Takes a report to the sender of a parcel, if none was taken before.</summary>
    /// <returns>False when there was; nothing was kept then.</returns>
    public Task<bool> TellOnceAsync(string id, IReadOnlyList<(Parcel Parcel, ParcelContent Content)> report) =>
        KeepAsync(report, statements => statements.Execute("UPDATE parcel SET told = 1 WHERE id = $id AND told = 0", ("$id", id)) == 1);

    /// <summary>Puts new parcels in the place of an old one in one step: re-sealed, sealed at last, or turned into a notice.</summary>
    public async Task ReplaceAsync(string id, IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels)
    {
        var file = "";
        await KeepAsync(parcels, statements =>
        {
            file = FileOf(statements, "DELETE FROM parcel WHERE id = $id RETURNING file", ("$id", id));
            return true;
        });
        _bodies.Delete(file);
    }

    /// <summary>Writes new parcels, large bodies to files and all else to rows. After an exception nothing of them is there, or may be again whole.</summary>
    /// <param name="first">What is done before them in the same transaction; false = nothing is to be kept.</param>
    private async Task<bool> KeepAsync(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels, Func<Statements, bool> first)
    {
        var (files, taken, kept) = (new string[parcels.Count], false, false);
        try
        {
            await WriteBodiesAsync(parcels, files);
            await WriteAsync(statements =>
            {
                taken = first(statements);
                for (var i = 0; taken && i < parcels.Count; i++)
                    Insert(statements, parcels[i].Parcel, parcels[i].Content, files[i]);
            }, namesFiles: files.Any(f => f.Length > 0));
            kept = taken;
        }
        catch (SpoolException e) when (e.MayReturn)
        {
            files = []; // the rows may be there again after a crash, and name them
            throw;
        }
        finally
        {
            if (!kept)
                Array.ForEach(files, _bodies.Delete);
        }
        if (kept)
            Tell(parcels);
        return kept;
    }

    /// <summary>Writes large bodies to files, on a thread of its own: a sync takes as long as the disk likes.</summary>
    /// <param name="files">Gets the name of each parcel's file; empty where its row holds the body.</param>
    private async Task WriteBodiesAsync(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels, string[] files)
    {
        Array.Fill(files, "");
        var large = Enumerable.Range(0, parcels.Count).Where(i => parcels[i].Content.Body.Length >= BodyFiles.Smallest).ToList();
        if (large.Count == 0)
            return;
        try
        {
            await Task.Factory.StartNew(() => large.ForEach(i => files[i] = _bodies.Write(parcels[i].Content.Body.Span)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>The file named by the row that a statement has changed; empty = none.</summary>
    private static string FileOf(Statements statements, string sql, params ReadOnlySpan<(string, object)> parameters) =>
        statements.Rows(sql, row => row.GetString(0), parameters) is [var file] ? file : "";

    private void Tell(IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels)
    {
        foreach (var (parcel, content) in parcels)
            Kept?.Invoke(parcel with { Octets = content.Body.Length }, content);
    }

    private static bool InsertReplay(Statements statements, ReplayEntry entry) =>
        statements.Execute("INSERT INTO replay(sender, id, hash, expires) VALUES($sender, $id, $hash, $expires) ON CONFLICT DO NOTHING",
            ("$sender", entry.Sender), ("$id", entry.Id), ("$hash", entry.BodySha256), ("$expires", entry.Expires.ToUnixTimeSeconds())) == 1;

    private static void Insert(Statements statements, Parcel p, ParcelContent c, string file) => statements.Execute(
        $"INSERT INTO parcel({Columns}, body, key, envelope, file) VALUES($id, $route, $form, $domain, $token, $state, $created, $expires, $next, $attempts, $done, $status, $must, $may, $exempt, $delayed, $fpr, $octets, $notice, $refusals, $since, $told, $server, $body, $key, $envelope, $file)",
        ("$id", p.Id), ("$route", (int)p.Route), ("$form", (int)p.Form), ("$domain", p.Domain), ("$token", p.Token), ("$state", (int)p.State),
        ("$created", p.Created.ToUnixTimeSeconds()), ("$expires", p.Expires.ToUnixTimeSeconds()), ("$next", p.Next.ToUnixTimeSeconds()), ("$attempts", p.Attempts),
        ("$done", WriteDone(p.Done)), ("$status", p.Status), ("$must", Is(p, Leaving.SealedOnly)), ("$may", Is(p, Leaving.ClearAfterTest)), ("$exempt", Is(p, Leaving.Exempt)), ("$delayed", p.Delayed ? 1 : 0), ("$fpr", p.KeyFingerprint),
        ("$octets", c.Body.Length), ("$notice", p.IsNotice ? 1 : 0), ("$refusals", p.Refusals), ("$since", Seconds(p.RefusedSince)), ("$told", p.IsTold ? 1 : 0), ("$server", p.Server), ("$body", file.Length > 0 ? Array.Empty<byte>() : ArrayOf(c.Body)), ("$key", c.Key), ("$envelope", c.Envelope), ("$file", file));

    /// <summary>As SQLite takes it.</summary>
    private static byte[] ArrayOf(ReadOnlyMemory<byte> octets) =>
        MemoryMarshal.TryGetArray(octets, out var whole) && whole.Array!.Length == octets.Length ? whole.Array : octets.ToArray();

    /// <summary>Records the outcome of an attempt.</summary>
    public Task UpdateAsync(Parcel parcel) => WriteAsync(statements => Update(statements, parcel));

    /// <summary>Records the outcome of an attempt and takes new parcels, in one step.</summary>
    public Task UpdateWithAsync(Parcel parcel, IReadOnlyList<(Parcel Parcel, ParcelContent Content)> parcels) => KeepAsync(parcels, statements =>
    {
        Update(statements, parcel);
        return true;
    });

    // An administrator's hold that came while the attempt ran stays: Held is above Queued.
    private static void Update(Statements statements, Parcel p) => statements.Execute(
        "UPDATE parcel SET state = MAX(state, $state), next = $next, attempts = $attempts, done = $done, status = $status, delayed = $delayed, refusals = $refusals, refused_since = $since, server = $server WHERE id = $id",
        ("$id", p.Id), ("$state", (int)p.State), ("$next", p.Next.ToUnixTimeSeconds()), ("$attempts", p.Attempts), ("$done", WriteDone(p.Done)), ("$status", p.Status), ("$delayed", p.Delayed ? 1 : 0), ("$refusals", p.Refusals), ("$since", Seconds(p.RefusedSince)), ("$server", p.Server));

    /// <summary>An administrator's wish: another state, another time. A parcel that was handed over meanwhile stays so.</summary>
    public Task RescheduleAsync(string id, ParcelState state, DateTimeOffset next) => WriteAsync(statements => statements.Execute(
        "UPDATE parcel SET state = $state, next = $next WHERE id = $id AND state <> $handed", ("$id", id), ("$handed", (int)ParcelState.Handed), ("$state", (int)state), ("$next", next.ToUnixTimeSeconds())));

    /// <summary>The next server has the parcel: its body goes, its envelope stays for a bounce.</summary>
    public Task HandedAsync(string id, DateTimeOffset until) => WithoutBodyAsync(
        "UPDATE parcel SET state = $handed, body = x'', key = x'', octets = 0, next = $until WHERE id = $id RETURNING file", ("$id", id), ("$handed", (int)ParcelState.Handed), ("$until", until.ToUnixTimeSeconds()));

    public Task DeleteAsync(string id) => WithoutBodyAsync("DELETE FROM parcel WHERE id = $id AND state <> $handed RETURNING file", ("$id", id), ("$handed", (int)ParcelState.Handed));

    /// <summary>The same parcel under another key; a parcel that was settled meanwhile stays so.</summary>
    public async Task ChangeBodyAsync(string id, ReadOnlyMemory<byte> body)
    {
        var file = "";
        await WriteAsync(statements =>
        {
            file = FileOf(statements, "SELECT file FROM parcel WHERE id = $id", ("$id", id));
            statements.Execute("UPDATE parcel SET body = $body, file = '', octets = $octets WHERE id = $id AND octets > 0", ("$id", id), ("$body", ArrayOf(body)), ("$octets", body.Length));
        });
        _bodies.Delete(file);
    }

    private async Task WithoutBodyAsync(string sql, params (string, object)[] parameters)
    {
        var file = "";
        await WriteAsync(statements => file = FileOf(statements, sql, parameters));
        _bodies.Delete(file);
    }

    /// <summary>Forgets what has outlived its use: handed-over parcels and replay ids.</summary>
    public Task PurgeAsync(DateTimeOffset now) => WriteAsync(statements =>
    {
        statements.Execute("DELETE FROM parcel WHERE state = $handed AND next < $now", ("$handed", (int)ParcelState.Handed), ("$now", now.ToUnixTimeSeconds()));
        statements.Execute("DELETE FROM replay WHERE expires < $now", ("$now", now.ToUnixTimeSeconds()));
        statements.Execute("DELETE FROM gateway WHERE name LIKE 'echo:%' AND value < $time", ("$time", InnerHeader.Time(now.AddDays(-1))));
    });

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

    /// <summary>Each destination for which parcels wait, with the earliest time of one. Steps over the index: the cost is that of the destinations.</summary>
    public IReadOnlyList<(ParcelRoute Route, string Domain, DateTimeOffset Next)> Destinations() => Read(s => Enum.GetValues<ParcelRoute>().SelectMany(route => s.Rows("""
        WITH RECURSIVE d(domain) AS (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route
            UNION ALL SELECT (SELECT min(domain) FROM parcel WHERE state = 0 AND route = $route AND domain > d.domain) FROM d WHERE d.domain IS NOT NULL)
        SELECT domain, (SELECT min(next) FROM parcel WHERE state = 0 AND route = $route AND domain = d.domain) FROM d WHERE domain IS NOT NULL
        """, row => (route, row.GetString(0), Time(row.GetInt64(1))), ("$route", (int)route))).ToList());

    /// <summary>Parcels for one destination whose time has come, the oldest first.</summary>
    /// <param name="far">What waits for a time beyond this was written when the clock was wrong, and has come too.</param>
    /// <remarks><c>LIMIT</c> with a bare parameter is compiled anew for each value it is given; a sum is not.</remarks>
    public IReadOnlyList<Parcel> Due(ParcelRoute route, string domain, DateTimeOffset now, DateTimeOffset far, int most) => Read(s => s.Rows(
        $"""
        SELECT * FROM (SELECT {Columns} FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next <= $now ORDER BY next LIMIT $most + 0)
        UNION ALL
        SELECT * FROM (SELECT {Columns} FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next > $far ORDER BY next LIMIT $most + 0)
        """, ReadParcel, ("$route", (int)route), ("$domain", domain), ("$now", now.ToUnixTimeSeconds()), ("$far", far.ToUnixTimeSeconds()), ("$most", most)));

    /// <summary>When the next parcel for a destination comes due after <paramref name="now"/>; null = none waits.</summary>
    public DateTimeOffset? NextDue(ParcelRoute route, string domain, DateTimeOffset now) => Read(s => s.Scalar(
        "SELECT min(next) FROM parcel WHERE state = 0 AND route = $route AND domain = $domain AND next > $now", ("$route", (int)route), ("$domain", domain), ("$now", now.ToUnixTimeSeconds()))) is long next ? Time(next) : null;

    public IReadOnlyList<Parcel> List() => Read(s => s.Rows($"SELECT {Columns} FROM parcel ORDER BY created, id", ReadParcel));

    public Parcel? Find(string id) => Read(s => s.Rows($"SELECT {Columns} FROM parcel WHERE id = $id", ReadParcel, ("$id", id))).FirstOrDefault();

    /// <summary>The sealed parcel that carries this token, on its way or handed over.</summary>
    public Parcel? FindToken(string token) => token.Length == 0 ? null
        : Read(s => s.Rows($"SELECT {Columns} FROM parcel WHERE token = $token AND token <> ''", ReadParcel, ("$token", token))).FirstOrDefault();

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
        return LoadRow(id) is not var (row, rest, _) ? null : row.Octets == 0 ? (row, rest)
            : throw new SpoolException($"the body of parcel {id} ({(file.Length > 0 ? file : "in the database")}) cannot be read or is not whole; the spool is damaged, see 'pgptunnel queue check'", false);
    }

    /// <summary>A parcel's other ciphertexts, whatever has become of its body.</summary>
    public ParcelContent? LoadWithoutBody(string id) => LoadRow(id) is var (_, content, _) ? content with { Body = default } : null;

    private (Parcel, ParcelContent, string)? LoadRow(string id) => Read<(Parcel, ParcelContent, string)?>(s => s.Rows($"SELECT {Columns}, body, key, envelope, file FROM parcel WHERE id = $id",
        row => (ReadParcel(row), new ParcelContent((byte[])row["body"], (byte[])row["key"], (byte[])row["envelope"]), (string)row["file"]), ("$id", id)) is [var found] ? found : null);

    public ReplayEntry? FindReplay(string sender, string id) => Read(s => s.Rows("SELECT hash, expires FROM replay WHERE sender = $sender AND id = $id",
        row => new ReplayEntry(sender, id, (byte[])row[0], DateTimeOffset.FromUnixTimeSeconds(row.GetInt64(1))), ("$sender", sender), ("$id", id))).FirstOrDefault();

    /// <summary>Deletes bodies that no parcel names, left by a crash long ago.</summary>
    private void DeleteLeftOver(DateTimeOffset now) => _bodies.DeleteLeftOver(Read(s => s.Rows("SELECT file FROM parcel WHERE file <> '' AND octets > 0", row => row.GetString(0))).ToHashSet(), now);

    private const string UsedFact = "used", OldSubkeyFact = "old-subkey";

    /// <summary>When a parcel for an older encryption subkey of ours last came.</summary>
    public DateTimeOffset? OldSubkeyUsed => Fact(OldSubkeyFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    public Task OldSubkeyUsedAsync(DateTimeOffset now) => SetAsync(new Dictionary<string, string> { [OldSubkeyFact] = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) });

    /// <summary>Notes that a gateway uses the spool now.</summary>
    public Task UsedAsync(DateTimeOffset now) => SetAsync(new Dictionary<string, string> { [UsedFact] = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) });

    /// <summary>When a gateway last noted that.</summary>
    public DateTimeOffset? LastUsed => Fact(UsedFact) is { } text ? Time(long.Parse(text, CultureInfo.InvariantCulture)) : null;

    /// <summary>Facts of the running gateway, for <c>status</c>.</summary>
    public Task SetAsync(IReadOnlyDictionary<string, string> facts) => WriteAsync(statements =>
    {
        foreach (var (name, value) in facts)
            statements.Execute("INSERT INTO gateway(name, value) VALUES($name, $value) ON CONFLICT(name) DO UPDATE SET value = $value", ("$name", name), ("$value", value));
    });

    public string? Fact(string name) => Read(s => s.Scalar("SELECT value FROM gateway WHERE name = $name", ("$name", name))) as string;

    public Dictionary<string, string> Facts() => Read(s => s.Rows("SELECT name, value FROM gateway", row => KeyValuePair.Create(row.GetString(0), row.GetString(1)))).ToDictionary();

    private static int Is(Parcel parcel, Leaving leaving) => parcel.Leaving == leaving ? 1 : 0;

    /// <summary>By the three columns of the first version; exempt came before everything there, and "never in clear" before "in clear after a test".</summary>
    private static Leaving ReadLeaving(bool mustSeal, bool mayClear, bool exempt) =>
        exempt ? Leaving.Exempt : mustSeal ? Leaving.SealedOnly : mayClear ? Leaving.ClearAfterTest : Leaving.AsDecided;

    private static Parcel ReadParcel(SqliteDataReader row) => new()
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
        Leaving = ReadLeaving(mustSeal: row.GetInt64(12) != 0, mayClear: row.GetInt64(13) != 0, exempt: row.GetInt64(14) != 0),
        Delayed = row.GetInt64(15) != 0,
        KeyFingerprint = row.GetString(16),
        Octets = row.GetInt64(17),
        IsNotice = row.GetInt64(18) != 0,
        Refusals = row.GetInt32(19),
        RefusedSince = row.IsDBNull(20) ? null : Time(row.GetInt64(20)),
        IsTold = row.GetInt64(21) != 0,
        Server = row.GetString(22),
    };

    private static DateTimeOffset Time(long seconds) => DateTimeOffset.FromUnixTimeSeconds(seconds);

    private static string WriteDone(IReadOnlySet<int> done) => string.Join(',', done.Order());

    private static HashSet<int> ReadDone(string text) => [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
}
