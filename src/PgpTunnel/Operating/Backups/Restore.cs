namespace PgpTunnel;

/// <summary>
/// Puts a gateway where there is none: all of a backup, or nothing. What must not be twice in the world is seen to when it starts: the logs
/// of a spool that is a copy are closed, and parcels that may have come since are taken (<see cref="Spool.Restored"/>).
/// </summary>
/// <param name="directory">Of the configuration; where that has paths which are not relative to it, they are gone by.</param>
internal sealed class Restore(BackupReader backup, string directory, TimeProvider time)
{
    /// <param name="Left">Files that the configuration names, and that were not in the backup.</param>
    internal sealed record Result(
        BackupManifest Manifest,
        GatewayConfiguration Configuration,
        IReadOnlyList<string> Left,
        DateTimeOffset At
    );

    private readonly List<string> _written = [];

    private string Target => Path.Combine(directory, BackupManifest.Configuration);

    /// <exception cref="BackupException">It does not fit together, or there is a gateway already.</exception>
    /// <exception cref="ConfigurationException">Its configuration cannot be used here.</exception>
    /// <exception cref="IOException">Something cannot be written.</exception>
    public async Task<Result> PlaceAsync()
    {
        try
        {
            var (manifest, now) = (BackupManifest.Read(backup.Read(BackupManifest.Name)), time.GetUtcNow());
            var configuration = PlaceConfiguration(manifest);
            PlaceKeys(configuration.Keys.Directory);
            if (backup.Names.Contains(BackupManifest.Spool))
                await PlaceSpoolAsync(configuration.SpoolFile, manifest, now);
            File.Move(Draft, Target);
            OwnFiles.SyncNames(directory);
            var named = NamedFiles.Of(await File.ReadAllTextAsync(Target));
            return new(manifest, ConfigurationReader.Read(Target), named.Left, now);
        }
        catch
        {
            foreach (var path in Enumerable.Reverse(_written))
                Remove(path);
            throw;
        }
    }

    private string Draft => $"{Target}.new";

    private static void Remove(string path)
    {
        if (!Directory.Exists(path))
            File.Delete(path);
        else if (!Directory.EnumerateFileSystemEntries(path).Any())
            Directory.Delete(path);
    }

    /// <summary>Those first that it names: it is not read without them. What is there already stays.</summary>
    private GatewayConfiguration PlaceConfiguration(BackupManifest manifest)
    {
        RefuseTaken(Target, File.Exists(Target));
        foreach (var (name, configured) in manifest.Files)
        {
            var path = Path.GetFullPath(configured, directory);
            if (File.Exists(path))
                continue;
            MakeFolder(Path.GetDirectoryName(path)!);
            WriteAsItWas(path, name);
        }
        WriteAsItWas(Draft, BackupManifest.Configuration);
        var configuration = ConfigurationReader.Read(Draft);
        var (keys, spool) = (configuration.Keys.Directory, configuration.SpoolFile);
        RefuseTaken(keys, Directory.Exists(keys) && Directory.EnumerateFiles(keys, "*.key").Any());
        RefuseTaken(spool, SpoolFile.IsThere(spool) || Directory.Exists($"{spool}.bodies"));
        return configuration;
    }

    private static void RefuseTaken(string path, bool isThere)
    {
        if (isThere)
            throw new BackupException($"{path} is there already; nothing was written") { IsAboutPlace = true };
    }

    private void PlaceKeys(string folder)
    {
        MakeFolder(folder);
        foreach (var name in backup.Names.Where(n => n.StartsWith(BackupManifest.KeyFolder, StringComparison.Ordinal)))
        {
            var path = Path.Combine(folder, name[BackupManifest.KeyFolder.Length..]);
            MakeFolder(Path.GetDirectoryName(path)!);
            Write(path, backup.Read(name));
        }
    }

    private async Task PlaceSpoolAsync(string file, BackupManifest manifest, DateTimeOffset now)
    {
        MakeFolder(Path.GetDirectoryName(file)!);
        Move(BackupManifest.Spool, file);
        MakeFolder($"{file}.bodies");
        foreach (var name in backup.Names.Where(n => n.StartsWith(BackupManifest.BodyFolder, StringComparison.Ordinal)))
            Move(name, Path.Combine($"{file}.bodies", name[BackupManifest.BodyFolder.Length..]));
        _written.AddRange([$"{file}-wal", $"{file}-shm"]);
        await using var spool = Spool.Open(file, running: false);
        await spool.RestoredAsync(manifest.Made, now);
        await new Acts(spool, time, Acts.Who).RestoredAsync(manifest.Made);
    }

    /// <summary>A new one belongs to whom the folder above belongs to.</summary>
    private void MakeFolder(string path)
    {
        if (Directory.Exists(path))
            return;
        var parent = Path.GetDirectoryName(path)!;
        MakeFolder(parent);
        OwnFiles.MakeDirectory(path);
        _written.Add(path);
        OwnFiles.KeepOwner(path, parent);
    }

    private void Write(string path, byte[] content)
    {
        _written.Add(path);
        OwnFiles.Write(path, content);
        Settle(path);
    }

    /// <summary>With the mode that it had: the gateway's user may not be its owner.</summary>
    private void WriteAsItWas(string path, string name)
    {
        Write(path, backup.Read(name));
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, backup.ModeOf(name));
    }

    private void Move(string name, string path)
    {
        File.Move(backup.PathOf(name), path);
        _written.Add(path);
        Settle(path);
    }

    /// <summary>On the disk, and its folder's owner's.</summary>
    private static void Settle(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        using (var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
            OwnFiles.Sync(handle);
        OwnFiles.KeepOwner(path, folder);
        OwnFiles.SyncNames(folder);
    }
}
