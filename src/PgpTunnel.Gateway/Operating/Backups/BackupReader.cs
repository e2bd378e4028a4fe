using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text;

namespace PgpTunnel;

/// <summary>A backup, read into a folder of its own and seen to be whole.</summary>
internal sealed class BackupReader(StagingFolder folder)
{
    /// <summary>Of each file the line in the list of sums that is its.</summary>
    private readonly Dictionary<string, string> _sums = [];
    private readonly Dictionary<string, UnixFileMode> _modes = [];

    /// <summary>Names of all files in it.</summary>
    public IReadOnlyCollection<string> Names => _sums.Keys;

    /// <summary>Mode of the file that it was.</summary>
    public UnixFileMode ModeOf(string name) => _modes[name];

    public string PathOf(string name) => Path.Combine(folder.Path, name);

    public byte[] Read(string name) =>
        _sums.ContainsKey(name)
            ? File.ReadAllBytes(PathOf(name))
            : throw new BackupException($"{name} is missing in it");

    /// <param name="archive">As <see cref="Backup.Write"/> has written it.</param>
    /// <exception cref="BackupException">It is none, or something in it is missing, more, or another than it was.</exception>
    public void Extract(Stream archive)
    {
        try
        {
            using var tar = new TarReader(archive, leaveOpen: true);
            while (tar.GetNextEntry() is { } entry)
                Extract(entry);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException)
        {
            throw new BackupException($"it is no backup, or cut short: {e.Message}");
        }
        var written = string.Concat(
            _sums.Where(s => s.Key != BackupManifest.Sums).Select(s => s.Value).Order(StringComparer.Ordinal)
        );
        var expected = string.Concat(
            Encoding
                .ASCII.GetString(Read(BackupManifest.Sums))
                .Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(l => $"{l}\n")
                .Order(StringComparer.Ordinal)
        );
        if (written != expected)
            throw new BackupException($"its files are not those that its {BackupManifest.Sums} lists");
    }

    /// <summary>Only what a backup has, nothing that leads out of the folder.</summary>
    private void Extract(TarEntry entry)
    {
        if (
            entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile)
            || !BackupManifest.IsKnown(entry.Name)
        )
            throw new BackupException($"'{MessageText.OneLine(entry.Name, 100)}' in it is nothing that a backup has");
        var path = PathOf(entry.Name);
        OwnFiles.MakeDirectory(Path.GetDirectoryName(path)!);
        using (
            var file = _sums.ContainsKey(entry.Name)
                ? throw new BackupException($"{entry.Name} is in it twice")
                : OwnFiles.Create(path)
        )
            Copy(entry.DataStream, file);
        using var content = File.OpenRead(path);
        _modes[entry.Name] = entry.Mode;
        _sums[entry.Name] = BackupManifest.Sum(SHA256.HashData(content), entry.Name);
    }

    /// <summary>A disk that is full is none of the archive's faults.</summary>
    private static void Copy(Stream? from, FileStream file)
    {
        var piece = new byte[64 * 1024];
        while (from?.Read(piece) is > 0 and var count)
            try
            {
                file.Write(piece, 0, count);
            }
            catch (IOException e)
            {
                throw new BackupException($"it cannot be written out: {e.Message}") { IsAboutPlace = true };
            }
    }
}
