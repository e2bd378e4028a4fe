using System.Runtime.InteropServices;

namespace PgpTunnel;

/// <summary>
/// A folder of our own, mode 0700, for what is there for a while: gone when it is disposed, or when the process is told to end. What a
/// killed one has left goes with the next of its kind.
/// </summary>
internal sealed class StagingFolder : IDisposable
{
    private readonly FileStream _held;
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly List<string> _more = [];

    public StagingFolder(string parent, string prefix)
    {
        foreach (var left in Directory.EnumerateDirectories(parent, $"{prefix}*").Where(IsLeft))
            Directory.Delete(left, recursive: true);
        Path = System.IO.Path.Combine(parent, $"{prefix}{Guid.NewGuid():N}");
        OwnFiles.MakeDirectory(Path);
        _held = new FileStream(LockOf(Path), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP })
            _signals.Add(PosixSignalRegistration.Create(signal, _ => Delete())); // and then it ends
    }

    public string Path { get; }

    /// <summary>Another file that is to go with it, unless <see cref="Keep"/> says otherwise.</summary>
    public void Holds(string file) => _more.Add(file);

    public void Keep(string file) => _more.Remove(file);

    private static string LockOf(string folder) => System.IO.Path.Combine(folder, "lock");

    /// <summary>Whoever made it holds its lock while it runs.</summary>
    private static bool IsLeft(string folder)
    {
        try
        {
            using (new FileStream(LockOf(folder), FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                return true;
        }
        catch (FileNotFoundException)
        {
            return false; // it is being made
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private void Delete()
    {
        foreach (var file in _more.Where(File.Exists).ToList())
            File.Delete(file);
        if (Directory.Exists(Path))
            Directory.Delete(Path, recursive: true);
    }

    public void Dispose()
    {
        _signals.ForEach(s => s.Dispose());
        Delete();
        _held.Dispose();
    }
}
