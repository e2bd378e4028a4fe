using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// Signs the heads of logs, and never two histories of one: what was signed last stands in a file of its own, apart from the spool and on
/// the disk before a signature leaves. A spool that is older than that was set back: its log is closed, and another begins.
/// </summary>
internal sealed class Heads(GatewayConfiguration configuration, Spool spool)
{
    private readonly HeadsFile _file = new(Path.Combine(configuration.Keys.Directory, "evidence", "heads"));

    /// <summary>Logs that were seen to continue what was signed of them; while we have the spool open, it is not set back.</summary>
    private readonly HashSet<LogOrigin> _continued = [];

    /// <summary>The head that a log has with so many records, signed.</summary>
    /// <param name="size">At most those that it has.</param>
    /// <exception cref="EvidenceException">The log is older than what was signed of it, or another; it is closed now.</exception>
    /// <exception cref="IOException">The file cannot be written; nothing was signed.</exception>
    public async Task<(Checkpoint Head, byte[] Signature)> SignAsync(
        StoredLog log,
        long size,
        GatewayKey signer,
        DateTimeOffset now
    )
    {
        var head = size == log.Edge.Size ? log.Head : new(log.Origin, size, spool.RootAt(log, size));
        using (var only = KeyRing.Lock(configuration))
        {
            // As it is now: it may have grown since it was read, and more of it have been signed by another process.
            if (!Continues(spool.Log(log.Number) ?? log))
            {
                await spool.CloseLogsAsync([log.Number]);
                throw new EvidenceException(
                    $"log {log.Origin} is older than what was signed of it: the spool was set back. It is closed; the next "
                        + "record begins another"
                );
            }
            if (_file.Last(log.Origin) is not { } last || last.Size < size)
                _file.Append([head]);
        }
        return (head, DetachedSignature.Make(head.Octets, signer, now));
    }

    /// <inheritdoc cref="SignAsync(StoredLog, long, GatewayKey, DateTimeOffset)"/>
    public Task<(Checkpoint Head, byte[] Signature)> SignAsync(StoredLog log, GatewayKey signer, DateTimeOffset now) =>
        SignAsync(log, log.Edge.Size, signer, now);

    private const string PlaceFact = "spool-file";

    /// <summary>
    /// Closes what must not be continued, asked before anything is appended: every log, where the spool is a copy of the file that it was,
    /// since the other may go on as well; else those that are older than what was signed of them.
    /// </summary>
    /// <returns>Those that were closed.</returns>
    public async Task<IReadOnlyList<LogOrigin>> CloseOldAsync()
    {
        var (before, place) = (spool.Fact(PlaceFact), OwnFiles.IdentityOf(configuration.SpoolFile));
        var isCopy = before is not null && place is not null && before != place;
        if (place is not null && before != place)
        {
            var closed = isCopy ? await CloseAsync([.. spool.Logs().Where(l => !l.IsClosed)]) : [];
            await spool.CommitAsync(new() { Facts = new Dictionary<string, string> { [PlaceFact] = place } });
            if (isCopy)
                return closed;
        }
        var old =
            _file.Read() == 0
                ? []
                : spool
                    .Logs()
                    .Where(l => !l.IsClosed && !_file.IsLast(l.Head))
                    .Where(l => _file.Last(l.Origin) is { } last && IsOlder(l, last))
                    .ToList();
        return await CloseAsync(old);
    }

    private async Task<IReadOnlyList<LogOrigin>> CloseAsync(IReadOnlyList<StoredLog> logs)
    {
        if (logs.Count > 0)
            await spool.CloseLogsAsync([.. logs.Select(l => l.Number)]);
        return [.. logs.Select(l => l.Origin)];
    }

    /// <summary>
    /// Of a spool that nothing has been appended to since it was opened its size tells, and where that is the same its root.
    /// </summary>
    private static bool IsOlder(StoredLog log, Checkpoint last) =>
        log.Edge.Size < last.Size || (log.Edge.Size == last.Size && !log.Edge.Root().AsSpan().SequenceEqual(last.Root));

    /// <summary>True when the log as it stands has grown out of what was signed of it.</summary>
    private bool Continues(StoredLog log)
    {
        _file.Read();
        if (_file.Last(log.Origin) is not { } last)
            return true;
        if (IsOlder(log, last))
            return false;
        if (_continued.Contains(log.Origin))
            return true;
        try
        {
            if (!spool.RootAt(log, last.Size).AsSpan().SequenceEqual(last.Root))
                return false;
        }
        catch (SpoolException)
        {
            return false; // records are lost: what is left shows nothing
        }
        _continued.Add(log.Origin);
        return true;
    }
}
