using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;

namespace PgpTunnel;

/// <summary>What goes into a backup.</summary>
/// <param name="Queue">The mail that waits, too.</param>
/// <param name="EvidenceKeys">The keys to the private parts of what is on record, too.</param>
internal sealed record BackupWishes(bool Queue, bool EvidenceKeys);

/// <summary>
/// Writes all that a gateway is, as it is at one moment, while it runs: configuration, keys with the plan of their change, what is
/// remembered of partners, and what is on record. A tar archive, whose last file has the SHA-256 of all others.
/// </summary>
internal sealed class Backup(GatewayConfiguration configuration, BackupWishes wishes, TimeProvider time)
{
    /// <summary>What of it goes out, and what does not.</summary>
    /// <param name="Left">Files that the configuration names and that are not in it.</param>
    internal sealed record Result(BackupManifest Manifest, IReadOnlyList<string> Left)
    {
        /// <summary>False where no gateway has run yet.</summary>
        public bool HasSpool { get; init; }
    }

    private readonly StringBuilder _sums = new();

    /// <param name="output">Takes the archive.</param>
    /// <param name="staging">On the spool's disk.</param>
    /// <exception cref="IOException">Something cannot be read or written.</exception>
    /// <exception cref="SpoolException">The spool cannot be copied.</exception>
    public Result Write(Stream output, StagingFolder staging, IProgress<Stage> progress)
    {
        var (made, text) = (time.GetUtcNow(), File.ReadAllBytes(configuration.File));
        var named = NamedFiles.Of(File.ReadAllText(configuration.File));
        var files = named
            .Kept.Select((file, n) => (Name: $"{BackupManifest.FileFolder}{n}", File: file))
            .ToDictionary(f => f.Name, f => f.File);
        progress.Report(new("the spool is copied"));
        var spool = CopySpool(staging);
        var keys = ReadKeys(); // after the spool: what that has sealed to a key made meanwhile is read by one that is here
        var manifest = new BackupManifest(
            BackupManifest.Version,
            made,
            configuration.Gateway,
            [.. keys.Select(k => k.Name).Where(IsGatewayKey).Select(Path.GetFileNameWithoutExtension).OfType<string>()],
            wishes.Queue && spool is not null,
            wishes.EvidenceKeys,
            files
        );
        using (var tar = new TarWriter(output, TarEntryFormat.Pax, leaveOpen: true))
        {
            Put(tar, BackupManifest.Name, manifest.Write());
            Put(tar, BackupManifest.Configuration, text, ModeOf(configuration.File));
            foreach (var (name, file) in files)
                PutNamed(tar, name, Path.GetFullPath(file, Path.GetDirectoryName(configuration.File)!));
            foreach (var (name, octets) in keys)
                Put(tar, name, octets);
            if (spool is not null)
                PutSpool(tar, spool, progress);
            Put(tar, BackupManifest.Sums, Encoding.ASCII.GetBytes(_sums.ToString()));
        }
        return new(manifest, named.Left) { HasSpool = spool is not null };
    }

    private static bool IsGatewayKey(string name) =>
        name.EndsWith(".key", StringComparison.Ordinal) && name.Count(c => c == '/') == 1;

    /// <summary>All in the folder of keys as it is at one moment, but for what is left out.</summary>
    private List<(string Name, byte[] Octets)> ReadKeys()
    {
        var folder = configuration.Keys.Directory;
        using var alone = KeyRing.Lock(configuration);
        return
        [
            .. Directory
                .EnumerateFiles(folder, "*", SearchOption.AllDirectories)
                .Select(f => Path.GetRelativePath(folder, f).Replace('\\', '/'))
                .Where(IsKept)
                .Order(StringComparer.Ordinal)
                .Select(f => ($"{BackupManifest.KeyFolder}{f}", File.ReadAllBytes(Path.Combine(folder, f)))),
        ];
    }

    /// <summary>Neither locks and drafts nor what others have put there.</summary>
    private bool IsKept(string name) =>
        name.StartsWith("evidence/", StringComparison.Ordinal)
            ? Path.GetExtension(name) is ("" or MonthKeys.Lost)
                || (wishes.EvidenceKeys && Path.GetExtension(name) == ".key")
            : name == "plan.json" || (!name.Contains('/') && Path.GetExtension(name) is ".key" or ".revocation");

    /// <returns>Null where no gateway has run yet.</returns>
    private string? CopySpool(StagingFolder staging)
    {
        if (!SpoolFile.IsThere(configuration.SpoolFile))
            return null;
        var (needed, free) = (
            2 * SpoolCopy.SizeOf(configuration.SpoolFile, wishes.Queue), // the archive may lie on the same disk
            new DriveInfo(staging.Path).AvailableFreeSpace - 2 * configuration.Limits.FreeDisk
        );
        if (needed > free)
            throw new IOException(
                $"a copy of the spool and the backup need {needed} octets; its disk has {Math.Max(0, free)}, beside what the "
                    + "gateway needs (limits.freeDisk twice)"
            );
        var copy = Path.Combine(staging.Path, BackupManifest.Spool);
        SpoolCopy.Write(configuration.SpoolFile, copy, wishes.Queue);
        return copy;
    }

    private void PutSpool(TarWriter tar, string spool, IProgress<Stage> progress)
    {
        var bodies = Directory.Exists($"{spool}.bodies")
            ? Directory.EnumerateFiles($"{spool}.bodies").Order(StringComparer.Ordinal)
            : Enumerable.Empty<string>();
        var files = bodies
            .Select(b => (Name: $"{BackupManifest.BodyFolder}{Path.GetFileName(b)}", File: b))
            .Prepend((Name: BackupManifest.Spool, File: spool))
            .ToList();
        var (done, octets) = (0L, files.Sum(f => new FileInfo(f.File).Length));
        foreach (var (name, file) in files)
        {
            using var content = File.OpenRead(file);
            _sums.Append(BackupManifest.Sum(SHA256.HashData(content), name));
            content.Position = 0;
            using var watched = new WatchedStream(content, "it is sealed and written", octets, progress, done);
            Put(tar, name, watched);
            done += content.Length;
        }
    }

    private void PutNamed(TarWriter tar, string name, string file) =>
        Put(tar, name, File.ReadAllBytes(file), ModeOf(file));

    private static UnixFileMode ModeOf(string file) =>
        OperatingSystem.IsWindows() ? OwnFiles.OwnerOnly : File.GetUnixFileMode(file);

    private void Put(TarWriter tar, string name, byte[] content, UnixFileMode mode = OwnFiles.OwnerOnly)
    {
        _sums.Append(BackupManifest.Sum(SHA256.HashData(content), name));
        Put(tar, name, new MemoryStream(content), mode);
    }

    /// <exception cref="IOException">It could not be restored under that name.</exception>
    private void Put(TarWriter tar, string name, Stream content, UnixFileMode mode = OwnFiles.OwnerOnly)
    {
        if (!BackupManifest.IsKnown(name))
            throw new IOException($"a file called {name} cannot be in a backup: rename it, or move it away");
        tar.WriteEntry(
            new PaxTarEntry(TarEntryType.RegularFile, name)
            {
                DataStream = content,
                Mode = mode,
                ModificationTime = time.GetUtcNow(),
            }
        );
    }
}
