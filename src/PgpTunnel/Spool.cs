using System.Collections.Concurrent;
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
/// Parcels, replay ids and remembered policies in one SQLite database, so that they commit together; bodies of large parcels in files
/// (<see cref="BodyFiles"/>). A write has returned only when it is durable: SQLite fsyncs its log (<c>synchronous=FULL</c>) and, unlike
/// .NET's own files on Linux, reports when that fails.
/// </summary>
/// <remarks>
/// One writer; what waits while it commits goes into the next transaction together (group commit). Opening it is in <c>Spool.Open.cs</c>, SQL in <c>Spool.Parcels.cs</c> and <c>Spool.Peers.cs</c>.
/// </remarks>
internal sealed partial class Spool : IAsyncDisposable
{
    private const int MaxBatch = 64, SqliteIoError = 10, SqliteFull = 13, NoSpace = 28, NoQuota = 122;

    private readonly string _connectionString;
    private readonly Statements _writer;
    private readonly ConcurrentBag<Statements> _readers = [];
    private readonly Channel<WriteJob> _jobs = Channel.CreateUnbounded<WriteJob>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task _writing;

    private sealed record WriteJob(Action<Statements> Work, IReadOnlyList<BodyFile> Files, TaskCompletionSource Done);

    private readonly BodyFiles _bodies;
    private readonly FileStream? _only;

    private Spool(string connectionString, Statements writer, BodyFiles bodies, FileStream? only)
    {
        (_connectionString, _writer, _bodies, _only) = (connectionString, writer, bodies, only);
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>Runs work in a transaction of the one writer; returns when it is durable.</summary>
    /// <param name="files">What must be durable before it.</param>
    private async Task WriteAsync(Action<Statements> work, params IReadOnlyList<BodyFile> files)
    {
        var job = new WriteJob(work, files, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
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
            Sync(batch);
            Commit(batch);
        }
    }

    /// <summary>Makes the files durable that the batch will name. Jobs whose files are not leave the batch.</summary>
    private void Sync(List<WriteJob> batch)
    {
        var jobs = batch.FindAll(j => j.Files.Count > 0);
        var unnamed = jobs.Count > 0 ? Try(_bodies.SyncNames) : null;
        foreach (var job in jobs)
        {
            if ((unnamed ?? Try(() => Array.ForEach([.. job.Files], f => f.Sync()))) is not { } failed)
                continue;
            batch.Remove(job);
            job.Done.TrySetException(Failure(failed));
        }

        static Exception? Try(Action sync)
        {
            try
            {
                sync();
                return null;
            }
            catch (Exception e)
            {
                return e; // whatever it is: the writer lives on
            }
        }
    }

    /// <summary>
    /// One transaction for the batch. When a job fails by itself all are undone and done again one by one, so that it fails alone; when
    /// the database fails, every job is told so, and none that it was kept.
    /// </summary>
    private void Commit(IReadOnlyList<WriteJob> batch)
    {
        var working = false;
        try
        {
            _writer.Execute("BEGIN IMMEDIATE");
            try
            {
                working = true;
                foreach (var job in batch)
                    job.Work(_writer);
                working = false;
                _writer.Execute("COMMIT");
            }
            catch
            {
                RollBack();
                throw;
            }
        }
        catch (SqliteException e) when (working && batch.Count > 1 && e.SqliteErrorCode is not (SqliteFull or SqliteIoError))
        {
            foreach (var job in batch)
                Commit([job]);
            return;
        }
        catch (Exception e)
        {
            Overwrite();
            foreach (var job in batch)
                job.Done.TrySetException(Failure(e));
            return;
        }
        foreach (var job in batch)
            job.Done.TrySetResult();
    }

    /// <summary>
    /// A commit whose sync failed stands in the log, whole perhaps, and would come back to life after a crash although its client was
    /// told to come again. A commit more, however small, takes its place there. Where that fails too, so does the disk.
    /// </summary>
    private void Overwrite()
    {
        try
        {
            _writer.Execute("INSERT INTO gateway(name, value) VALUES('overwritten', '1') ON CONFLICT(name) DO UPDATE SET value = value + 1");
        }
        catch (SqliteException)
        {
            // nothing more can be done here; the caller hears that nothing was kept
        }
    }

    private static SpoolException Failure(Exception e)
    {
        var full = e is SqliteException { SqliteErrorCode: SqliteFull } or IOException { HResult: NoSpace or NoQuota };
        return new SpoolException(full ? "the disk of the spool is full" : $"the spool cannot be written: {e.Message}", full, e);
    }

    private void RollBack()
    {
        try
        {
            _writer.Execute("ROLLBACK");
        }
        catch (SqliteException)
        {
            // SQLite has rolled back by itself (full disk, I/O error).
        }
    }

    /// <summary>Octets that are in use.</summary>
    public long Size() => Read(s => ((s.Number("PRAGMA page_count") - s.Number("PRAGMA freelist_count")) * s.Number("PRAGMA page_size"))
        + s.Number("SELECT coalesce(sum(octets), 0) FROM parcel WHERE file <> ''"));

    private T Read<T>(Func<Statements, T> work)
    {
        if (!_readers.TryTake(out var reader))
        {
            var connection = new SqliteConnection(_connectionString);
            connection.Open();
            reader = new Statements(connection);
        }
        try
        {
            return work(reader);
        }
        finally
        {
            _readers.Add(reader);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _jobs.Writer.TryComplete();
        await _writing;
        while (_readers.TryTake(out var reader))
            reader.Dispose();
        _writer.Dispose(); // the last one, so that it empties the log into the file
        if (_only is not null)
            await _only.DisposeAsync();
    }
}
