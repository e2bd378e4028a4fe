using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// Signs the heads of logs, and never two histories of one: what was signed last stands in a file of its own, apart from the spool and on
/// the disk before a signature leaves. A spool that is older than that was set back: its log is closed, and another begins.
/// </summary>
internal sealed class Heads(GatewayConfiguration configuration, Spool spool)
{
    private string File => Path.Combine(configuration.Keys.Directory, "evidence", "heads");

    /// <summary>The head of a log as it stands, signed.</summary>
    /// <exception cref="EvidenceException">The log is older than what was signed of it, or another; it is closed now.</exception>
    /// <exception cref="IOException">The file cannot be written; nothing was signed.</exception>
    public async Task<(Checkpoint Head, byte[] Signature)> SignAsync(
        StoredLog log,
        GatewayKey signer,
        DateTimeOffset now
    )
    {
        using var only = KeyRing.Lock(configuration);
        var (head, known) = (log.Head, Read());
        if (known.GetValueOrDefault(log.Origin) is { } last && !Continues(log, last))
        {
            await spool.CloseLogAsync(log.Number);
            throw new EvidenceException(
                $"log {log.Origin} is older than what was signed of it: the spool was set back. It is closed; the next record "
                    + "begins another"
            );
        }
        known[log.Origin] = head;
        OwnFiles.Replace(File, Write(known), _ => { });
        return (head, DetachedSignature.Make(head.Octets, signer, now));
    }

    /// <summary>Closes every log that is older than what was signed of it; asked before anything is appended.</summary>
    /// <returns>Those that were.</returns>
    public async Task<IReadOnlyList<LogOrigin>> CloseOldAsync()
    {
        var known = Read();
        var old =
            known.Count == 0
                ? []
                : spool
                    .Logs()
                    .Where(l => !l.IsClosed && known.GetValueOrDefault(l.Origin) is { } last && IsOlder(l, last))
                    .ToList();
        foreach (var log in old)
            await spool.CloseLogAsync(log.Number);
        return [.. old.Select(l => l.Origin)];
    }

    /// <summary>
    /// Of a spool that nothing has been appended to since it was opened its size tells, and where that is the same its root.
    /// </summary>
    private static bool IsOlder(StoredLog log, Checkpoint last) =>
        log.Edge.Size < last.Size || (log.Edge.Size == last.Size && !log.Edge.Root().AsSpan().SequenceEqual(last.Root));

    /// <summary>True when the log as it stands has grown out of that head.</summary>
    private bool Continues(StoredLog log, Checkpoint last)
    {
        if (IsOlder(log, last))
            return false;
        try
        {
            return InclusionPath
                .Root(last.Size, n => spool.LeafHash(log.Number, n), b => spool.BlockRoot(log.Number, b))
                .AsSpan()
                .SequenceEqual(last.Root);
        }
        catch (SpoolException)
        {
            return false; // records are lost: what is left shows nothing
        }
    }

    /// <exception cref="ConfigurationException">The file cannot be read.</exception>
    private Dictionary<LogOrigin, Checkpoint> Read()
    {
        try
        {
            return OwnFiles.IsThere(File)
                ? System
                    .IO.File.ReadLines(File)
                    .Select(l => Checkpoint.Read(Encoding.ASCII.GetBytes(l.Replace(' ', '\n') + '\n')))
                    .ToDictionary(c => c.Origin)
                : [];
        }
        catch (Exception e)
            when (e is IOException or UnauthorizedAccessException or EvidenceException or ArgumentException)
        {
            throw new ConfigurationException([
                $"keys.directory: {File} cannot be read: {e.Message}{OwnFiles.Whose(File)}",
            ]);
        }
    }

    private static byte[] Write(Dictionary<LogOrigin, Checkpoint> heads) =>
        Encoding.ASCII.GetBytes(
            string.Concat(
                heads.Values.OrderBy(h => h.Origin.ToString(), StringComparer.Ordinal).Select(h => $"{h.Line}\n")
            )
        );
}
