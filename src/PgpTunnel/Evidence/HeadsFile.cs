using System.Text;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// What was signed last of each log: lines put behind each other, of which the last about a log counts. It stands apart from the spool,
/// so that who sets the spool back does not set this back with it. Read and written by who holds the lock of the keys.
/// </summary>
internal sealed class HeadsFile(string path)
{
    private readonly Dictionary<LogOrigin, Checkpoint> _heads = [];

    /// <summary>Octets that have been read; all of them are whole lines.</summary>
    private long _read;

    private int _lines;

    /// <exception cref="ConfigurationException">The file cannot be read.</exception>
    public IReadOnlyDictionary<LogOrigin, Checkpoint> Read()
    {
        try
        {
            if (!OwnFiles.IsThere(path))
                (_read, _lines) = (Forget(), 0);
            else
                ReadOn();
            return _heads;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or EvidenceException)
        {
            (_read, _lines) = (Forget(), 0);
            throw new ConfigurationException([
                $"keys.directory: {path} cannot be read: {e.Message}{OwnFiles.Whose(path)}",
            ]);
        }
    }

    private long Forget()
    {
        _heads.Clear();
        return 0;
    }

    private void ReadOn()
    {
        using var file = File.OpenRead(path);
        if (file.Length < _read)
            (_read, _lines) = (Forget(), 0); // another stands there now
        file.Position = _read;
        var octets = new byte[file.Length - _read];
        file.ReadExactly(octets);
        // What a crash has cut short was never signed.
        var whole = octets.AsSpan(0, octets.AsSpan().LastIndexOf((byte)'\n') + 1);
        foreach (var line in Encoding.ASCII.GetString(whole).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var head = Checkpoint.Read(Encoding.ASCII.GetBytes(line.Replace(' ', '\n') + '\n'));
            _heads[head.Origin] = head;
            _lines++;
        }
        _read += whole.Length;
    }

    /// <summary>Puts heads behind the others; they are on the disk when it returns.</summary>
    /// <exception cref="IOException">They are not.</exception>
    public void Append(IReadOnlyList<Checkpoint> heads)
    {
        if (!OwnFiles.IsThere(path) || _lines > 1000 + 2 * _heads.Count)
        {
            Rewrite(heads);
            return;
        }
        using (var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write))
        {
            var octets = Lines(heads);
            RandomAccess.SetLength(file, _read); // without what a crash has cut short
            RandomAccess.Write(file, octets, _read);
            OwnFiles.Sync(file);
        }
        Read();
    }

    private void Rewrite(IReadOnlyList<Checkpoint> heads)
    {
        foreach (var head in heads)
            _heads[head.Origin] = head;
        var octets = Lines(_heads.Values.OrderBy(h => h.Origin.ToString(), StringComparer.Ordinal));
        OwnFiles.Replace(path, octets, _ => { });
        (_read, _lines) = (octets.Length, _heads.Count);
    }

    private static byte[] Lines(IEnumerable<Checkpoint> heads) =>
        Encoding.ASCII.GetBytes(string.Concat(heads.Select(h => $"{h.Line}\n")));
}
