namespace PgpTunnel;

/// <summary>A folder of our own, mode 0700, for what is there for a while; gone when it is disposed.</summary>
internal sealed class StagingFolder : IDisposable
{
    public StagingFolder(string parent, string prefix)
    {
        Path = System.IO.Path.Combine(parent, $"{prefix}{Guid.NewGuid():N}");
        OwnFiles.MakeDirectory(Path);
    }

    public string Path { get; }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
