namespace PgpTunnel;

/// <summary>
/// Bodies that are too large for the database, each in a file of its own in a folder beside it: there they are written once, not twice, and
/// by many at a time. A row names a file only when that is durable, and a file goes after its row; what a crash leaves over belongs to
/// nobody and goes in time.
/// </summary>
/// <param name="spoolFile">The database.</param>
internal sealed class BodyFiles(string spoolFile)
{
    /// <summary>Octets from which on a body has a file; smaller ones are quicker in the database.</summary>
    public const int Smallest = 128 * 1024;

    /// <summary>
    /// How long a file stays that no row names: longer than any parcel lives. It may be what a damaged or exchanged database has lost.
    /// </summary>
    public static readonly TimeSpan LeftOverLife = ParcelLife.Longest;

    private readonly string _directory = $"{spoolFile}.bodies";

    /// <summary>Makes the folder where it is not there yet, or was left half made.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    public void MakeFolder()
    {
        if (Directory.Exists(_directory) && Directory.EnumerateFileSystemEntries(_directory).Any())
            return;
        OwnFiles.MakeDirectory(_directory);
        OwnFiles.KeepOwner(_directory, spoolFile);
        OwnFiles.SyncNames(Path.GetDirectoryName(Path.GetFullPath(spoolFile))!);
    }

    private string PathOf(string name) => Path.Combine(_directory, name);

    /// <summary>Writes a new file; returned means that what is in it is on the disk. Its name is after <see cref="SyncNames"/>.</summary>
    /// <returns>Its name.</returns>
    /// <exception cref="IOException">It cannot be written; nothing of it is left.</exception>
    public string Write(ReadOnlySpan<byte> octets)
    {
        var name = ParcelLife.NewId();
        try
        {
            using var file = OwnFiles.Create(PathOf(name));
            RandomAccess.Write(file.SafeFileHandle, octets, 0);
            OwnFiles.Sync(file.SafeFileHandle);
            return name;
        }
        catch
        {
            Delete(name);
            throw;
        }
    }

    /// <summary>Makes the names of new files durable.</summary>
    public void SyncNames() => OwnFiles.SyncNames(_directory);

    /// <returns>Null when it cannot be read, or has another size.</returns>
    public byte[]? Read(string name, long size)
    {
        try
        {
            using var handle = File.OpenHandle(PathOf(name));
            if (RandomAccess.GetLength(handle) != size || size > Array.MaxLength)
                return null;
            var octets = GC.AllocateUninitializedArray<byte>((int)size);
            for (var at = 0; at < octets.Length; )
                at += RandomAccess.Read(handle, octets.AsSpan(at), at) is > 0 and var read
                    ? read
                    : throw new EndOfStreamException();
            return octets;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Deletes a file; one that stays is left over.</summary>
    /// <param name="name">Empty = there is none.</param>
    public void Delete(string name)
    {
        try
        {
            if (name.Length > 0)
                File.Delete(PathOf(name));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }
    }

    /// <summary>Deletes what no row names and is older than a parcel gets.</summary>
    public void DeleteLeftOver(IReadOnlySet<string> named, DateTimeOffset now)
    {
        foreach (var file in new DirectoryInfo(_directory).EnumerateFiles())
            if (!named.Contains(file.Name) && file.LastWriteTimeUtc < now - LeftOverLife)
                Delete(file.Name);
    }
}
