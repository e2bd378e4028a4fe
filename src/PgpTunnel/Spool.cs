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
/// One writer; what waits while it commits goes into the next transaction together (group commit). Opening it is in <c>Spool.Open.cs</c>, SQL in <c>Spool.Parcels.cs</c> and <c>Spool.Peers.cs</c>.
/// </remarks>
internal sealed partial class Spool : IAsyncDisposable
{
    private const int MaxBatch = 64, SqliteIoError = 10, SqliteFull = 13;

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

    /// <summary>Octets that are in use.</summary>
    public long Size()
    {
        using var connection = Reader();
        long Number(string pragma) => Convert.ToInt64(Scalar(connection, $"PRAGMA {pragma}"), System.Globalization.CultureInfo.InvariantCulture);
        return (Number("page_count") - Number("freelist_count")) * Number("page_size");
    }

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
