using System.Collections.Concurrent;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>
/// Parcels, replay ids and remembered policies in one SQLite database, so that they commit together; bodies of large parcels in files
/// (<see cref="BodyFiles"/>). A write has returned only when it is durable: SQLite fsyncs its log (<c>synchronous=FULL</c>) and, unlike
/// .NET's own files on Linux, reports when that fails.
/// </summary>
/// <remarks>
/// One writer; what waits while it commits goes into the next transaction together (group commit). Opening it is in <c>Spool.Open.cs</c>,
/// SQL in <c>Spool.Parcels.cs</c> and <c>Spool.Peers.cs</c>.
/// </remarks>
internal sealed partial class Spool : IAsyncDisposable
{
    private const int MaxBatch = 64,
        SqliteIoError = 10,
        SqliteFull = 13,
        NoSpace = 28,
        NoQuota = 122;

    private readonly string _connectionString;
    private readonly Statements _writer;
    private readonly ConcurrentBag<Statements> _readers = [];
    private readonly Channel<WriteJob> _jobs = Channel.CreateUnbounded<WriteJob>(
        new UnboundedChannelOptions { SingleReader = true }
    );
    private readonly Task _writing;

    private sealed record WriteJob(Action<Statements> Work, bool NamesFiles, TaskCompletionSource Done);

    private readonly BodyFiles _bodies;
    private readonly FileStream? _only;
    private readonly Ledger _ledger = new();

    private Spool(string connectionString, Statements writer, BodyFiles bodies, FileStream? only)
    {
        (_connectionString, _writer, _bodies, _only) = (connectionString, writer, bodies, only);
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>Runs work in a transaction of the one writer; returns when it is durable.</summary>
    /// <param name="namesFiles">New files are named in it, which must be durable first.</param>
    private async Task WriteAsync(Action<Statements> work, bool namesFiles = false)
    {
        var job = new WriteJob(
            work,
            namesFiles,
            new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
        );
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
            SyncNames(batch);
            Commit(batch);
        }
    }

    /// <summary>
    /// Makes the names of files durable that the batch will name, all at once. Where that fails those jobs leave the batch.
    /// </summary>
    private void SyncNames(List<WriteJob> batch)
    {
        if (!batch.Exists(j => j.NamesFiles))
            return;
        try
        {
            _bodies.SyncNames();
        }
        catch (Exception e)
        {
            foreach (var job in batch.FindAll(j => j.NamesFiles))
                job.Done.TrySetException(Failure(e));
            batch.RemoveAll(j => j.NamesFiles);
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
                _ledger.Begin(_writer);
                foreach (var job in batch)
                    job.Work(_writer);
                _ledger.Write(_writer);
                working = false;
                _writer.Execute("COMMIT");
            }
            catch
            {
                RollBack();
                _ledger.Forget();
                throw;
            }
        }
        catch (Exception e)
            when (working
                && batch.Count > 1
                && e is not SqliteException { SqliteErrorCode: SqliteFull or SqliteIoError }
            )
        {
            foreach (var job in batch)
                Commit([job]);
            return;
        }
        catch (Exception e)
        {
            var mayReturn = !TryOverwrite();
            foreach (var job in batch)
                job.Done.TrySetException(Failure(e, mayReturn));
            return;
        }
        foreach (var job in batch)
            job.Done.TrySetResult();
    }

    /// <summary>
    /// A commit whose sync failed stands in the log, whole perhaps, and would come back to life after a crash although its client was
    /// told to come again. A commit more, however small, takes its place there. Where that fails too, so does the disk.
    /// </summary>
    private bool TryOverwrite()
    {
        try
        {
            _writer.Execute(
                "INSERT INTO gateway(name, value) VALUES('overwritten', '1') ON CONFLICT(name) DO UPDATE SET value = value + 1"
            );
            return true;
        }
        catch (SqliteException)
        {
            return false; // nothing more can be done here; the caller hears that nothing was kept
        }
    }

    private static SpoolException Failure(Exception e, bool mayReturn = false)
    {
        var full = e is SqliteException { SqliteErrorCode: SqliteFull } or IOException { HResult: NoSpace or NoQuota };
        return new SpoolException(
            full ? "the disk of the spool is full" : $"the spool cannot be written: {e.Message}",
            full,
            e
        )
        {
            MayReturn = mayReturn,
        };
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

    /// <summary>Octets of what waits. What is on record grows for years and is no part of it.</summary>
    public long Size() =>
        Read(s => s.Number("SELECT coalesce(sum(octets + length(key) + length(envelope)), 0) FROM parcel"));

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
        catch (SqliteException e)
        {
            throw new SpoolException(
                $"the spool cannot be read: {e.Message.TrimEnd('.')}; 'pgptunnel queue check' says more",
                false,
                e
            );
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
