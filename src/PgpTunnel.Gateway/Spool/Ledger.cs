using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// The logs of what is on record, as the spool's one writer has them: appended to within its transactions, each by its right edge. For the
/// writer's thread alone.
/// </summary>
internal sealed partial class Ledger
{
    private const int MostKnown = 4096,
        MostReason = 2000; // characters

    /// <summary>A log that records are appended to.</summary>
    private sealed class Log(long number, TreeEdge edge, DateTimeOffset at)
    {
        public long Number => number;
        public TreeEdge Edge => edge;

        /// <summary>Time of its last record.</summary>
        public DateTimeOffset At { get; set; } = at;

        public bool IsChanged { get; set; }
    }

    private readonly Dictionary<(string Own, string Peer), Log> _logs = [];

    /// <summary>Those whose heads this transaction has moved.</summary>
    private readonly List<Log> _changed = [];

    /// <summary>What this transaction's records are found by, of each log.</summary>
    private readonly Dictionary<long, TagRun> _tags = [];

    /// <summary>Rows of wrapped session keys, by the array itself: all that share one share it.</summary>
    private readonly Dictionary<byte[], long> _seals = new(ReferenceEqualityComparer.Instance);

    private long _version;

    /// <summary>What peers are owed of these logs.</summary>
    public OwedReceipts Receipts { get; } = new();

    /// <summary>The highest number that a log has or has had, by the records that are left.</summary>
    public const string HighestLog =
        "SELECT max(coalesce((SELECT max(number) FROM log), 0), coalesce((SELECT max(place) >> 32 FROM record), 0), "
        + "coalesce((SELECT max(place) >> 32 FROM tag), 0), coalesce((SELECT max(place) >> 32 FROM found), 0), "
        + "coalesce((SELECT max(place) >> 32 FROM block), 0))";

    /// <summary>A record's place: its log above, its index in it below.</summary>
    public static long Place(long log, long n) => (log << 32) | n;

    public static long LogOf(long place) => place >> 32;

    /// <summary>Called when a transaction has begun: another process may have appended since the last.</summary>
    public void Begin(Statements statements)
    {
        var version = statements.Number("PRAGMA data_version");
        if (version != _version)
            Forget();
        _version = version;
    }

    /// <summary>Whatever is known may not be so: it is read again when it is needed.</summary>
    public void Forget()
    {
        _logs.Clear();
        _changed.Clear();
        _tags.Clear();
        _seals.Clear();
        Receipts.Forget();
    }

    public void Append(Statements statements, LogEntry entry)
    {
        var log =
            Find(statements, entry.Own, entry.Peer)
            ?? (entry.BeginsNoLog ? Find(statements, entry.Own, LogOrigin.World) : null)
            ?? New(statements, entry);
        Append(statements, log, entry);
    }

    /// <summary>
    /// What an administrator did goes into each log about that domain; where there is none, into those about all that have none. Where
    /// nothing is on record at all, the journal alone has it.
    /// </summary>
    public void Append(Statements statements, OperatorAct act, string domain)
    {
        var draft = new Draft(
            "operator",
            ("who", act.Who),
            ("what", act.What),
            ("subject", act.Subject),
            ("reason", MessageText.OneLine(act.Reason, MostReason)) // the journal has it whole
        );
        var logs = statements.Rows(
            "SELECT own, peer FROM log WHERE peer = $peer AND closed = 0 ORDER BY number",
            row => (Own: row.GetString(0), Peer: row.GetString(1)),
            ("$peer", domain)
        );
        if (logs.Count == 0)
            logs = statements.Rows(
                "SELECT DISTINCT own FROM log WHERE mirror = 0",
                row => (row.GetString(0), LogOrigin.World)
            );
        foreach (var (own, peer) in logs)
            Append(statements, new LogEntry(own, peer, act.Time, draft));
    }

    /// <summary>Indexes in a record that has its largest size.</summary>
    public const int MostIndexes = 4000;

    /// <summary>
    /// Which private parts are gone stands in our log about that domain: the one that they were of, or that has come after it, or, where
    /// they were of the domain's own log, the one that is about it.
    /// </summary>
    public void AppendErased(Statements statements, OperatorAct act, Erased erased)
    {
        var isOurs =
            statements.Scalar(
                "SELECT 1 FROM log WHERE own = $own AND peer = $peer AND id = $id AND mirror = 0",
                ("$own", erased.Log.Own),
                ("$peer", erased.Log.Peer),
                ("$id", erased.Log.Id)
            )
            is not null;
        var draft = new Draft(
            "operator",
            ("who", act.Who),
            ("what", act.What),
            ("subject", act.Subject),
            ("reason", MessageText.OneLine(act.Reason, MostReason)),
            ("log", erased.Log.ToString()),
            ("indexes", erased.Indexes)
        );
        var (own, peer) = isOurs ? (erased.Log.Own, erased.Log.Peer) : (erased.Log.Peer, erased.Log.Own);
        Append(statements, new LogEntry(own, peer, act.Time, draft));
    }

    private Log? Find(Statements statements, string own, string peer)
    {
        if (_logs.TryGetValue((own, peer), out var known))
            return known;
        var found = statements.Rows(
            "SELECT number, size, edge, at FROM log WHERE own = $own AND peer = $peer AND closed = 0",
            row =>
                (
                    Number: row.GetInt64(0),
                    Edge: TreeEdge.Read(row.GetInt64(1), (byte[])row[2]),
                    At: DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(3))
                ),
            ("$own", own),
            ("$peer", peer)
        );
        if (found is not [var row])
            return null;
        if (row.Edge is { } edge)
            return _logs[(own, peer)] = new(row.Number, edge, row.At);
        statements.Execute("UPDATE log SET closed = 1 WHERE number = $number", ("$number", row.Number));
        return null; // it is damaged, which must stop no mail: another log begins
    }

    private Log New(Statements statements, LogEntry entry)
    {
        var origin = LogOrigin.New(entry.Own, entry.BeginsNoLog ? LogOrigin.World : entry.Peer);
        var former = Former(statements, origin);
        var number = (long)
            statements.Scalar(
                $"""
                INSERT INTO log(number, own, peer, id, closed, size, edge, at)
                    VALUES(({HighestLog}) + 1, $own, $peer, $id, 0, 0, x'', $at) RETURNING number
                """,
                ("$own", origin.Own),
                ("$peer", origin.Peer),
                ("$id", origin.Id),
                ("$at", entry.At.ToUnixTimeMilliseconds())
            )!;
        var log = _logs[(origin.Own, origin.Peer)] = new(number, new(), entry.At);
        var begin = new Draft("begin", ("why", former is null ? "first" : "restored"), ("was", former));
        Append(statements, log, new(origin.Own, origin.Peer, entry.At, begin));
        return log;
    }

    /// <summary>The head of the closed log that the new one comes after, on one line; null = there is none.</summary>
    private static string? Former(Statements statements, LogOrigin origin) =>
        statements.Rows(
            "SELECT id, size, edge FROM log WHERE own = $own AND peer = $peer AND closed = 1 AND mirror = 0 ORDER BY number DESC LIMIT 1",
            row =>
                TreeEdge.Read(row.GetInt64(1), (byte[])row[2]) is { } edge
                    ? new Checkpoint(origin with { Id = row.GetString(0) }, edge.Size, edge.Root()).Line
                    : (origin with { Id = row.GetString(0) }).ToString(),
            ("$own", origin.Own),
            ("$peer", origin.Peer)
        )
            is [var former]
            ? former
            : null;

    private void Append(Statements statements, Log log, LogEntry entry)
    {
        (var record, log.At) = entry.Draft.Write(entry.At, log.At, log.Edge.Size);
        if (entry.OwesReceipt)
            Receipts.Owe(statements, entry, log.Number, log.Edge.Size);
        Append(statements, (log.Number, log.Edge), new(TreeHash.Leaf(record), record, entry.Opening, entry.Tags));
        if (!log.IsChanged)
            _changed.Add(log);
        log.IsChanged = true;
    }

    private void AddTags(Statements statements, long log, long place, byte[] tags)
    {
        if (_tags.TryGetValue(log, out var run) && !run.Reaches(place))
        {
            run.Write(statements);
            _tags.Remove(log);
        }
        if (!_tags.TryGetValue(log, out run))
            _tags[log] = run = new(place);
        run.Add(place, tags);
    }

    /// <summary>Puts a record behind the others of a log.</summary>
    private void Append(Statements statements, (long Number, TreeEdge Edge) log, KeptRecord record)
    {
        var place = Place(log.Number, log.Edge.Size);
        statements.Execute(
            "INSERT INTO record(place, octets, seal, opening) VALUES($place, $octets, $seal, $opening)",
            ("$place", place),
            ("$octets", record.Octets),
            ("$seal", record.Opening is { } opening ? Seal(statements, opening) : DBNull.Value),
            ("$opening", record.Opening is { } sealedOpening ? sealedOpening.Octets.Octets : DBNull.Value)
        );
        if (record.Tags.Length > 0)
            AddTags(statements, log.Number, place, record.Tags);
        if (log.Edge.Append(record.Leaf) is { } block)
            statements.Execute(
                "INSERT INTO block(place, root) VALUES($place, $root)",
                ("$place", Place(log.Number, log.Edge.Size / TreeEdge.Block - 1)),
                ("$root", block)
            );
    }

    private long Seal(Statements statements, SealedOpening opening)
    {
        if (!_seals.TryGetValue(opening.Octets.Wrapped, out var number))
            _seals[opening.Octets.Wrapped] = number = (long)
                statements.Scalar(
                    "INSERT INTO seal(month, wrapped) VALUES($month, $wrapped) RETURNING number",
                    ("$month", opening.Month),
                    ("$wrapped", opening.Octets.Wrapped)
                )!;
        return number;
    }

    /// <summary>Nothing is appended to these logs any more.</summary>
    public void Close(Statements statements, IEnumerable<long> numbers)
    {
        Write(statements);
        foreach (var number in numbers)
            statements.Execute("UPDATE log SET closed = 1 WHERE number = $number", ("$number", number));
        Forget();
    }

    /// <summary>Called before a transaction is committed: the heads of what was appended to, and what it is found by.</summary>
    public void Write(Statements statements)
    {
        foreach (var run in _tags.Values)
            run.Write(statements);
        _tags.Clear();
        foreach (var log in _changed)
        {
            statements.Execute(
                "UPDATE log SET size = $size, edge = $edge, at = $at WHERE number = $number",
                ("$number", log.Number),
                ("$size", log.Edge.Size),
                ("$edge", log.Edge.Write()),
                ("$at", log.At.ToUnixTimeMilliseconds())
            );
            log.IsChanged = false;
        }
        _changed.Clear();
        if (_logs.Count > MostKnown)
            Forget();
    }
}
