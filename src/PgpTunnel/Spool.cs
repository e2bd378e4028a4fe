using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The spool cannot take this now; nothing of it was kept.</summary>
public sealed class SpoolException(string message, bool full, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>For want of space.</summary>
    public bool Full => full;

    /// <summary>What the client is told: it keeps the message.</summary>
    public SmtpReply Reply => full ? new(452, "4.3.1", Message) : new(451, "4.3.0", Message);
}

/// <summary>
/// Parcels, replay ids and remembered policies in one SQLite database, so that they commit together. A write has returned only when
/// it is durable: SQLite fsyncs its log (<c>synchronous=FULL</c>) and, unlike .NET's own files on Linux, reports when that fails.
/// </summary>
/// <remarks>
/// One writer; what waits while it commits goes into the next transaction together (group commit). SQL is in <c>Spool.Parcels.cs</c>.
/// </remarks>
internal sealed partial class Spool : IAsyncDisposable
{
    private const int MaxBatch = 64, CheckedPages = 32 * 1024, SqliteIoError = 10, SqliteFull = 13;

    /// <summary>What each version of the schema adds; a spool is brought up from the one it was written with.</summary>
    private static readonly string[] Schema =
    [
        """
        CREATE TABLE parcel(id TEXT PRIMARY KEY, route INTEGER NOT NULL, form INTEGER NOT NULL, domain TEXT NOT NULL, token TEXT NOT NULL, state INTEGER NOT NULL,
            created INTEGER NOT NULL, expires INTEGER NOT NULL, next INTEGER NOT NULL, attempts INTEGER NOT NULL, done TEXT NOT NULL, status TEXT NOT NULL,
            must_seal INTEGER NOT NULL, may_clear INTEGER NOT NULL, exempt INTEGER NOT NULL, delayed INTEGER NOT NULL, key_fingerprint TEXT NOT NULL,
            body BLOB NOT NULL, key BLOB NOT NULL, envelope BLOB NOT NULL, envelope_key BLOB NOT NULL) STRICT;
        CREATE INDEX parcel_due ON parcel(state, route, domain, next);
        CREATE INDEX parcel_token ON parcel(token) WHERE token <> '';
        CREATE TABLE replay(sender TEXT NOT NULL, id TEXT NOT NULL, hash BLOB NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY(sender, id)) STRICT, WITHOUT ROWID;
        CREATE INDEX replay_expires ON replay(expires);
        CREATE TABLE peer(domain TEXT PRIMARY KEY, fingerprints TEXT NOT NULL, enforce_until INTEGER NOT NULL, verified TEXT NOT NULL, distrusted TEXT NOT NULL,
            contrary_since INTEGER, contrary_last INTEGER, contrary_apart INTEGER NOT NULL, override_action TEXT, override_until INTEGER, override_reason TEXT, alarmed INTEGER) STRICT;
        CREATE TABLE gateway(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
        """,
        """
        ALTER TABLE peer ADD COLUMN alarm TEXT;
        CREATE TABLE certificate(domain TEXT NOT NULL, fingerprint TEXT NOT NULL, octets BLOB NOT NULL, PRIMARY KEY(domain, fingerprint)) STRICT, WITHOUT ROWID;
        """,
        """
        ALTER TABLE parcel ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;
        UPDATE parcel SET octets = length(body);
        CREATE TABLE part(parcel TEXT NOT NULL, number INTEGER NOT NULL, octets BLOB NOT NULL, PRIMARY KEY(parcel, number)) STRICT;
        CREATE TRIGGER parcel_gone AFTER DELETE ON parcel WHEN OLD.octets > length(OLD.body) BEGIN DELETE FROM part WHERE parcel = OLD.id; END;
        CREATE TRIGGER parcel_handed AFTER UPDATE OF octets ON parcel WHEN NEW.octets = 0 BEGIN DELETE FROM part WHERE parcel = OLD.id; END;
        """,
    ];

    private readonly string _connectionString;
    private readonly SqliteConnection _writer;
    private readonly Channel<WriteJob> _jobs = Channel.CreateUnbounded<WriteJob>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _writing;
    private readonly SemaphoreSlim _changed = new(0, 1);

    private sealed record WriteJob(Action<SqliteConnection> Work, TaskCompletionSource Done);

    private readonly FileStream? _only;

    private Spool(string connectionString, SqliteConnection writer, FileStream? only)
    {
        (_connectionString, _writer, _only) = (connectionString, writer, only);
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>Opens or creates the database, mode 0600.</summary>
    /// <param name="running">This is the gateway itself, of which a spool has one.</param>
    /// <exception cref="SpoolException">It cannot be opened, is not ours, or is damaged; the message says what to do.</exception>
    public static Spool Open(string file, bool running)
    {
        FileStream? only = null;
        try
        {
            if (running)
                only = new FileStream($"{file}.lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not DirectoryNotFoundException)
        {
            throw new SpoolException($"spool {file} is in use by another running gateway ({e.Message})", false, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(file, e);
        }
        try
        {
            if (!File.Exists(file))
                KeyRing.WriteOwnerOnly(file, []);
            var connectionString = new SqliteConnectionStringBuilder { DataSource = file, DefaultTimeout = 10, Pooling = true }.ToString();
            var writer = new SqliteConnection(connectionString);
            writer.Open();
            Execute(writer, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;");
            var version = Convert.ToInt32(Scalar(writer, "PRAGMA user_version"), System.Globalization.CultureInfo.InvariantCulture);
            if (version > Schema.Length)
                throw new SpoolException($"spool {file} was written by a newer PgpTunnel (schema {version}); upgrade this program", false);
            if (running && version > 0 && Damage(writer) is { } damage)
                throw new SpoolException($"spool {file} is damaged: {damage}. 'pgptunnel queue check' says more; 'queue export DIR' writes out what can be read, then move the file away and 'queue import DIR' into a new one", false);
            if (version < Schema.Length)
                Upgrade(writer);
            return new Spool(connectionString, writer, only);
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            only?.Dispose();
            throw Unusable(file, e);
        }
        catch
        {
            only?.Dispose();
            throw;
        }
    }

    /// <summary>Brings the schema up to date; another process may have done so in this moment.</summary>
    private static void Upgrade(SqliteConnection connection)
    {
        using var transaction = connection.BeginTransaction(deferred: false);
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "PRAGMA user_version";
        var version = Convert.ToInt32(command.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
        if (version < Schema.Length)
        {
#pragma warning disable CA2100 // our own schema
            command.CommandText = $"{string.Concat(Schema[version..])} PRAGMA user_version={Schema.Length};";
#pragma warning restore CA2100
            command.ExecuteNonQuery();
        }
        transaction.Commit();
    }

    /// <summary>What is wrong with the file. A large one is looked at only where its size and its tables' roots show it: that must not delay a start.</summary>
    private static string? Damage(SqliteConnection connection)
    {
        long Number(string pragma) => Convert.ToInt64(Scalar(connection, $"PRAGMA {pragma}"), System.Globalization.CultureInfo.InvariantCulture);
        if (Number("page_count") <= CheckedPages)
            return SpoolRescue.Check(connection, "quick_check") is [var first, ..] ? first : null;
        Scalar(connection, "SELECT max(rowid) FROM parcel");
        Scalar(connection, "SELECT count(*) FROM (SELECT 1 FROM replay LIMIT 100)");
        return null;
    }

    /// <summary>Octets that are in use.</summary>
    public long Size()
    {
        using var connection = Reader();
        long Number(string pragma) => Convert.ToInt64(Scalar(connection, $"PRAGMA {pragma}"), System.Globalization.CultureInfo.InvariantCulture);
        return (Number("page_count") - Number("freelist_count")) * Number("page_size");
    }

    /// <summary>True when a gateway holds this spool.</summary>
    public static bool IsRunning(string file)
    {
        try
        {
            if (File.Exists($"{file}.lock"))
                using (new FileStream($"{file}.lock", FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                    return false;
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    private static SpoolException Unusable(string file, Exception e) =>
        new($"spool {file}: {e.Message.TrimEnd('.')}. It must be a writable file on a local disk; if it is damaged, 'pgptunnel queue check' says more, and 'queue export DIR' writes out what can be read", false, e);

    private static void Execute(SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object Value)> parameters)
    {
        using var command = Command(connection, sql, parameters);
        command.ExecuteNonQuery();
    }

    private static object? Scalar(SqliteConnection connection, string sql, params ReadOnlySpan<(string Name, object Value)> parameters)
    {
        using var command = Command(connection, sql, parameters);
        return command.ExecuteScalar();
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, ReadOnlySpan<(string Name, object Value)> parameters)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // every caller passes a constant; values are parameters
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value);
        return command;
    }

    /// <summary>Runs work in a transaction of the one writer; returns when it is durable.</summary>
    private async Task WriteAsync(Action<SqliteConnection> work)
    {
        var job = new WriteJob(work, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        if (!_jobs.Writer.TryWrite(job))
            throw new SpoolException("the spool is closed", false);
        await job.Done.Task;
    }

    private async Task WriteAsync()
    {
        var batch = new List<WriteJob>(MaxBatch);
        while (await _jobs.Reader.WaitToReadAsync())
        {
            batch.Clear();
            while (batch.Count < MaxBatch && _jobs.Reader.TryRead(out var job))
                batch.Add(job);
            Commit(batch);
        }
    }

    /// <summary>
    /// One transaction for the batch. A job that fails by itself is undone alone; when the database fails, every job is told so, and
    /// none that it was kept.
    /// </summary>
    private void Commit(List<WriteJob> batch)
    {
        var failed = new Dictionary<WriteJob, Exception>();
        try
        {
            Execute(_writer, "BEGIN IMMEDIATE");
            try
            {
                foreach (var job in batch)
                    if (RunAlone(job) is { } failure)
                        failed[job] = failure;
                Execute(_writer, "COMMIT");
            }
            catch
            {
                RollBack();
                throw;
            }
        }
        catch (Exception e)
        {
            Overwrite();
            foreach (var job in batch)
                job.Done.TrySetException(Failure(e));
            return;
        }
        foreach (var job in batch)
            if (failed.TryGetValue(job, out var failure))
                job.Done.TrySetException(Failure(failure));
            else
                job.Done.TrySetResult();
        Signal();
    }

    /// <summary>
    /// A commit whose sync failed stands in the log, whole perhaps, and would come back to life after a crash although its client was
    /// told to come again. A commit more, however small, takes its place there. Where that fails too, so does the disk.
    /// </summary>
    private void Overwrite()
    {
        try
        {
            Execute(_writer, "INSERT INTO gateway(name, value) VALUES('overwritten', '1') ON CONFLICT(name) DO UPDATE SET value = value + 1");
        }
        catch (SqliteException)
        {
            // nothing more can be done here; the caller hears that nothing was kept
        }
    }

    private static SpoolException Failure(Exception e)
    {
        var full = e is SqliteException { SqliteErrorCode: SqliteFull };
        return new SpoolException(full ? "the disk of the spool is full" : $"the spool cannot be written: {e.Message}", full, e);
    }

    /// <summary>Runs one job; what it threw if only it must be undone. Rethrows when the transaction itself is lost.</summary>
    private Exception? RunAlone(WriteJob job)
    {
        Execute(_writer, "SAVEPOINT job");
        try
        {
            job.Work(_writer);
            Execute(_writer, "RELEASE job");
            return null;
        }
        catch (SqliteException e) when (e.SqliteErrorCode is not (SqliteFull or SqliteIoError))
        {
            Execute(_writer, "ROLLBACK TO job; RELEASE job");
            return e;
        }
    }

    private void RollBack()
    {
        try
        {
            Execute(_writer, "ROLLBACK");
        }
        catch (SqliteException)
        {
            // SQLite has rolled back by itself (full disk, I/O error).
        }
    }

    /// <summary>Wakes whoever waits for work: something was written, or a place to do it has become free.</summary>
    public void Signal()
    {
        try
        {
            if (_changed.CurrentCount == 0)
                _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // another commit signalled in between
        }
    }

    /// <summary>Waits until something was written, or <paramref name="longest"/>.</summary>
    public Task WaitAsync(TimeSpan longest, CancellationToken cancel) => _changed.WaitAsync(longest, cancel);

    private SqliteConnection Reader()
    {
        var connection = new SqliteConnection(_connectionString);
        connection.Open();
        return connection;
    }

    public async ValueTask DisposeAsync()
    {
        _jobs.Writer.TryComplete();
        await _writing;
        await _writer.DisposeAsync();
        using (var any = new SqliteConnection(_connectionString))
            SqliteConnection.ClearPool(any);
        _changed.Dispose();
        if (_only is not null)
            await _only.DisposeAsync();
    }
}
