using System.Text;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// What was signed last of each log: lines put behind each other, of which the last about a log counts. It stands apart from the spool,
/// so that who sets the spool back does not set this back with it. Read and written by who holds the lock of the keys.
/// </summary>
internal sealed class HeadsFile(string path)
{
    /// <summary>The line about each log, by the log's name: there can be very many, and few are looked at.</summary>
    private readonly Dictionary<string, string> _heads = [];

    /// <summary>Octets that have been read; all of them are whole lines.</summary>
    private long _read;

    private int _lines;

    /// <summary>Reads what has come since it was read last.</summary>
    /// <returns>How many logs it tells of.</returns>
    /// <exception cref="ConfigurationException">The file cannot be read.</exception>
    public int Read()
    {
        try
        {
            if (!OwnFiles.IsThere(path))
                Forget();
            else
                ReadOn();
            return _heads.Count;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(e);
        }
    }

    private ConfigurationException Unreadable(Exception e)
    {
        Forget();
        return new([$"keys.directory: {path} cannot be read: {e.Message}{OwnFiles.Whose(path)}"]);
    }

    private void Forget()
    {
        _heads.Clear();
        (_read, _lines) = (0, 0);
    }

    private void ReadOn()
    {
        using var file = File.OpenRead(path);
        if (file.Length < _read)
            Forget(); // another stands there now
        file.Position = _read;
        var octets = new byte[file.Length - _read];
        file.ReadExactly(octets);
        // What a crash has cut short was never signed.
        var whole = octets.AsSpan(0, octets.AsSpan().LastIndexOf((byte)'\n') + 1);
        foreach (var line in Encoding.ASCII.GetString(whole).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            _heads[line[..Math.Max(0, line.IndexOf(' '))]] = line;
            _lines++;
        }
        _read += whole.Length;
    }

    /// <summary>What was signed last of a log, as it was read; null = nothing.</summary>
    /// <exception cref="ConfigurationException">What stands there is no head.</exception>
    public Checkpoint? Last(LogOrigin origin)
    {
        try
        {
            return _heads.TryGetValue(origin.ToString(), out var line)
                ? Checkpoint.Read(Encoding.ASCII.GetBytes(line.Replace(' ', '\n') + '\n'))
                : null;
        }
        catch (EvidenceException e)
        {
            throw Unreadable(e);
        }
    }

    /// <summary>True where the last that was signed of a log is its head as it stands.</summary>
    public bool IsLast(Checkpoint head) => _heads.GetValueOrDefault(head.Origin.ToString()) == head.Line;

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
            var octets = Lines(heads.Select(h => h.Line));
            RandomAccess.SetLength(file, _read); // without what a crash has cut short
            RandomAccess.Write(file, octets, _read);
            OwnFiles.Sync(file);
        }
        Read();
    }

    private void Rewrite(IReadOnlyList<Checkpoint> heads)
    {
        foreach (var head in heads)
            _heads[head.Origin.ToString()] = head.Line;
        var octets = Lines(_heads.Values.Order(StringComparer.Ordinal));
        OwnFiles.Replace(path, octets, _ => { });
        (_read, _lines) = (octets.Length, _heads.Count);
    }

    private static byte[] Lines(IEnumerable<string> heads) =>
        Encoding.ASCII.GetBytes(string.Concat(heads.Select(h => $"{h}\n")));
}
