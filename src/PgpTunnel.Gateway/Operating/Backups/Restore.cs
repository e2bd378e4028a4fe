namespace PgpTunnel;

/// <summary>
/// Puts a gateway where there is none: all of a backup, or nothing. What must not be twice in the world is seen to: the logs of the spool,
/// which is a copy, are closed, and parcels that may have come since are taken (<see cref="Spool.Restored"/>).
/// </summary>
/// <param name="directory">Of the configuration. It is written there and, where that says so, keys and spool elsewhere; other files
/// elsewhere only of a backup that is known to be ours.</param>
internal sealed class Restore(BackupReader backup, BackupSource source, string directory, TimeProvider time)
{
    /// <param name="Config">The configuration.</param>
    /// <param name="Spool">Null where none was in the backup.</param>
    /// <param name="Missing">Files that the configuration names, and that are not there.</param>
    internal sealed record Result(
        BackupManifest Manifest,
        string Config,
        string Keys,
        string? Spool,
        IReadOnlyList<string> Missing,
        DateTimeOffset At
    )
    {
        /// <summary>Private parts that were in it, and are erased again.</summary>
        public int Erased { get; init; }
    }

    private const UnixFileMode Readable = OwnFiles.OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private readonly List<string> _written = [];
    private int _erased;

    /// <summary>Private parts that were erased after the backup was made, and are not to come back.</summary>
    public IReadOnlyList<Erased> Erased { get; init; } = [];

    private string Target => Path.Combine(directory, BackupManifest.Configuration);

    private string Draft => $"{Target}.new";

    /// <exception cref="BackupException">It does not fit together, or there is a gateway already.</exception>
    /// <exception cref="ConfigurationException">Its configuration does not say where keys and spool are to lie.</exception>
    /// <exception cref="IOException">Something cannot be written.</exception>
    public async Task<Result> PlaceAsync()
    {
        var (manifest, now) = (BackupManifest.Read(backup.Read(BackupManifest.Name)), time.GetUtcNow());
        try
        {
            RefuseTaken(Target);
            WriteReadable(Draft, BackupManifest.Configuration);
            var (keys, spool) = ConfigurationReader.ReadPlaces(Draft);
            var hasSpool = backup.Names.Contains(BackupManifest.Spool);
            RefuseGateway(keys, spool);
            PlaceKeys(keys);
            if (hasSpool)
                await PlaceSpoolAsync(spool, (keys, manifest), now);
            PlaceNamed(manifest);
            File.Move(Draft, Target);
            OwnFiles.SyncNames(directory);
            return new(manifest, Target, keys, hasSpool ? spool : null, [.. Missing()], now) { Erased = _erased };
        }
        catch
        {
            foreach (var path in Enumerable.Reverse(_written))
                Remove(path);
            throw;
        }
    }

    private static void Remove(string path)
    {
        if (!Directory.Exists(path))
            File.Delete(path);
        else if (!Directory.EnumerateFileSystemEntries(path).Any())
            Directory.Delete(path);
    }

    private static void RefuseTaken(string path)
    {
        if (Path.Exists(path))
            throw new BackupException(
                $"{path} is there already; nothing was written. Where it is of a restore that was cut short, move it away"
            )
            {
                IsAboutPlace = true,
            };
    }

    /// <summary>Nothing that is to be written may be there, nor what belongs to another spool.</summary>
    private void RefuseGateway(string keys, string spool)
    {
        if (Directory.Exists(keys))
            foreach (var key in Directory.EnumerateFiles(keys, "*.key"))
                RefuseTaken(key);
        RefuseTaken(ErasedFile.PathOf(keys));
        foreach (var name in Under(BackupManifest.KeyFolder))
            RefuseTaken(Path.Combine(keys, name));
        foreach (var end in new[] { "", "-wal", "-shm", "-journal", ".bodies" })
            RefuseTaken($"{spool}{end}");
    }

    /// <summary>Names of what lies in a folder of the backup, without the folder's.</summary>
    private IEnumerable<string> Under(string folder) =>
        backup.Names.Where(n => n.StartsWith(folder, StringComparison.Ordinal)).Select(n => n[folder.Length..]);

    private void PlaceKeys(string folder)
    {
        MakeFolder(folder);
        foreach (var name in Under(BackupManifest.KeyFolder))
        {
            var path = Path.Combine(folder, name);
            MakeFolder(Path.GetDirectoryName(path)!);
            Write(path, backup.Read($"{BackupManifest.KeyFolder}{name}"));
        }
    }

    private async Task PlaceSpoolAsync(string file, (string Keys, BackupManifest Manifest) from, DateTimeOffset now)
    {
        MakeFolder(Path.GetDirectoryName(file)!);
        Move(BackupManifest.Spool, file);
        MakeFolder($"{file}.bodies");
        foreach (var name in Under(BackupManifest.BodyFolder))
            Move($"{BackupManifest.BodyFolder}{name}", Path.Combine($"{file}.bodies", name));
        _written.AddRange([$"{file}-wal", $"{file}-shm"]);
        await using (var spool = Spool.Open(file, running: false))
            await CloseAsync(spool, from, now);
        if (_erased > 0 && SpoolSweep.Sweep(file, keepFree: 0) is { } why)
            throw new IOException($"what was erased may be left in the spool: {why}");
    }

    private async Task CloseAsync(Spool spool, (string Keys, BackupManifest Manifest) from, DateTimeOffset now)
    {
        // Before anything else is done with it: the gateway that it is of may have gone on with its logs.
        await spool.CloseLogsAsync([.. spool.Logs().Where(l => !l.IsClosed).Select(l => l.Number)]);
        await spool.RestoredAsync(from.Manifest.Made, now);
        await new Acts(spool, time, Acts.Who).RestoredAsync(from.Manifest.Made);
        MarkLost(from.Keys, spool.SealMonths());
        await EraseAgainAsync(spool, from.Keys);
    }

    private async Task EraseAgainAsync(Spool spool, string keys)
    {
        var list = ErasedFile.PathOf(keys);
        var all = ErasedFile.Union(OwnFiles.IsThere(list) ? ErasedFile.Read(list) : [], Erased);
        if (all.Count == 0)
            return;
        _written.Add(list);
        ErasedFile.Write(keys, all); // whole: a backup that is newer may be restored next
        var here = ErasedFile.In(spool, all);
        if (here.Count == 0)
            return;
        _erased = here.Sum(e => e.Indexes.Count);
        await new Acts(spool, time, Acts.Who, "they were erased after the backup was made").EraseAsync(here);
    }

    /// <summary>Month keys that did not come along keep their names: somebody may have them.</summary>
    private void MarkLost(string keys, IReadOnlyList<string> months)
    {
        var folder = Path.Combine(keys, "evidence");
        MakeFolder(folder);
        foreach (var month in months.Where(m => !File.Exists(Path.Combine(folder, $"{m}.key"))))
            if (Path.Combine(folder, $"{month}{MonthKeys.Lost}") is var mark && !File.Exists(mark))
                Write(mark, "Its key was in no backup that this gateway was restored from.\n"u8.ToArray());
    }

    /// <summary>Certificates and anchors. What is there already stays.</summary>
    private void PlaceNamed(BackupManifest manifest)
    {
        var named = NamedFiles.Of(File.ReadAllText(Draft)).Kept;
        foreach (var (name, configured) in manifest.Files.Where(f => named.Contains(f.Value)))
            if (PathOf(configured) is var path && MayCome(path) && !Path.Exists(path))
            {
                MakeFolder(Path.GetDirectoryName(path)!);
                WriteReadable(path, name);
            }
    }

    private string PathOf(string configured) => Path.GetFullPath(configured, directory);

    private bool MayCome(string path) =>
        source == BackupSource.OwnPassphrase || path.StartsWith($"{directory}/", StringComparison.Ordinal);

    private IEnumerable<string> Missing()
    {
        var named = NamedFiles.Of(File.ReadAllText(Target));
        return named.Kept.Concat(named.Left).Select(PathOf).Where(f => !File.Exists(f));
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
        OwnFiles.Write(path, content);
        _written.Add(path);
        Give(path);
    }

    /// <summary>With the mode that it had, and for the folder's group at least: the gateway's user may not be its owner.</summary>
    private void WriteReadable(string path, string name)
    {
        RefuseTaken(path);
        Write(path, backup.Read(name));
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, (backup.ModeOf(name) | OwnFiles.OwnerOnly | UnixFileMode.GroupRead) & Readable);
    }

    private void Move(string name, string path)
    {
        _written.Add(path); // it was not there before
        File.Move(backup.PathOf(name), path);
        using (var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite))
            OwnFiles.Sync(handle);
        Give(path);
    }

    /// <summary>It is its folder's owner's, and its name is on the disk.</summary>
    private static void Give(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        OwnFiles.KeepOwner(path, folder);
        OwnFiles.SyncNames(folder);
    }
}
