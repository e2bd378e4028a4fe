namespace PgpTunnel;

/// <summary>
/// Bodies that are too large for the database, each in a file of its own in a folder beside it: there they are written once, not twice, and
/// by many at a time. A row names a file only when that is durable, and a file goes after its row; what a crash leaves over belongs to
/// nobody and goes at the next start.
/// </summary>
internal sealed class BodyFiles
{
    /// <summary>Octets from which on a body has a file; smaller ones are quicker in the database.</summary>
    public const int Smallest = 128 * 1024;

    private readonly string _directory;

    /// <param name="spoolFile">The database.</param>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    public BodyFiles(string spoolFile)
    {
        _directory = $"{spoolFile}.bodies";
        if (Directory.Exists(_directory))
            return;
        OwnFiles.MakeDirectory(_directory);
        OwnFiles.KeepOwner(_directory, spoolFile);
        OwnFiles.SyncNames(Path.GetDirectoryName(Path.GetFullPath(spoolFile))!);
    }

    private string PathOf(string name) => Path.Combine(_directory, name);

    /// <summary>Writes a new file, not yet durable.</summary>
    /// <exception cref="IOException">It cannot be written; nothing of it is left.</exception>
    public BodyFile Write(ReadOnlySpan<byte> octets)
    {
        var name = Parcels.NewId();
        var file = OwnFiles.Create(PathOf(name));
        try
        {
            RandomAccess.Write(file.SafeFileHandle, octets, 0);
            return new BodyFile(name, file);
        }
        catch
        {
            file.Dispose();
            Delete(name);
            throw;
        }
    }

    /// <summary>Makes the names of new files durable; <see cref="BodyFile.Sync"/> does so for what is in them.</summary>
    public void SyncNames() => OwnFiles.SyncNames(_directory);

    /// <returns>Null when there is no such file, or it has another size.</returns>
    public byte[]? Read(string name, long size)
    {
        try
        {
            using var handle = File.OpenHandle(PathOf(name));
            if (RandomAccess.GetLength(handle) != size)
                return null;
            var octets = GC.AllocateUninitializedArray<byte>((int)size);
            for (var at = 0; at < octets.Length;)
                at += RandomAccess.Read(handle, octets.AsSpan(at), at) is > 0 and var read ? read : throw new EndOfStreamException($"{PathOf(name)} became shorter while it was read");
            return octets;
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Deletes a file; one that stays goes at the next start.</summary>
    /// <param name="name">Empty = there is none.</param>
    public void Delete(string name)
    {
        try
        {
            if (name.Length > 0)
                File.Delete(PathOf(name));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>Deletes all files but those.</summary>
    public void DeleteAllBut(IReadOnlySet<string> names)
    {
        foreach (var path in Directory.EnumerateFiles(_directory))
            if (!names.Contains(Path.GetFileName(path)))
                Delete(Path.GetFileName(path));
    }
}

/// <summary>A body's new file, open until its row is written.</summary>
internal sealed class BodyFile(string name, FileStream file) : IDisposable
{
    public string Name => name;

    /// <summary>Returns when what is in it is on the disk.</summary>
    /// <exception cref="IOException">It is not.</exception>
    public void Sync() => OwnFiles.Sync(file.SafeFileHandle);

    public void Dispose() => file.Dispose();
}
