using System.Formats.Tar;
using System.Text;

namespace PgpTunnel.Evidence;

/// <summary>
/// The files of a bundle by name: a plain ustar archive, its files in order, their times 0, so that the same makes the same.
/// </summary>
public sealed class BundleFiles
{
    private const long Largest = 256 * 1024 * 1024;
    private const int MostFiles = 10_000,
        LongestName = 100;

    private readonly SortedDictionary<string, byte[]> _files = new(StringComparer.Ordinal);

    public IEnumerable<string> Names => _files.Keys;

    /// <returns>Null when there is none of that name.</returns>
    public byte[]? this[string name] => _files.GetValueOrDefault(name);

    /// <exception cref="ArgumentException">There is one of that name, or it is no name.</exception>
    public void Add(string name, byte[] octets) =>
        _files.Add(IsName(name) ? name : throw new ArgumentException($"'{name}' is no name of a file here"), octets);

    /// <summary>As <see cref="Add(string, byte[])"/>, where there is none of that name yet.</summary>
    /// <returns>False when there was.</returns>
    public bool AddOnce(string name, byte[] octets)
    {
        if (_files.ContainsKey(name))
            return false;
        Add(name, octets);
        return true;
    }

    /// <summary>Takes all of a folder out.</summary>
    public void Remove(string folder)
    {
        foreach (var name in _files.Keys.Where(n => n.StartsWith(folder, StringComparison.Ordinal)).ToList())
            _files.Remove(name);
    }

    public void Add(string name, string text) => Add(name, Encoding.UTF8.GetBytes(text));

    /// <summary>Names in a folder, without it, and their octets.</summary>
    /// <param name="ending">Only names that end so; left out too.</param>
    public IEnumerable<(string Name, byte[] Octets)> In(string folder, string ending) =>
        _files
            .Where(f =>
                f.Key.StartsWith(folder, StringComparison.Ordinal)
                && f.Key.EndsWith(ending, StringComparison.Ordinal)
                && f.Key.Length > folder.Length + ending.Length
            )
            .Select(f => (f.Key[folder.Length..^ending.Length], f.Value));

    /// <exception cref="EvidenceException">It is no such archive, or too large.</exception>
    public static BundleFiles Read(Stream stream)
    {
        var files = new BundleFiles();
        var size = 0L;
        try
        {
            using var tar = new TarReader(stream, leaveOpen: true);
            while (tar.GetNextEntry() is { } entry)
            {
                if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile))
                    throw new EvidenceException("the bundle has an entry that is no file");
                if (!IsName(entry.Name) || files[entry.Name] is not null)
                    throw new EvidenceException("the bundle has a file twice, or one whose name is none");
                if ((size += entry.Length) > Largest || files._files.Count == MostFiles)
                    throw new EvidenceException(
                        $"the bundle is larger than {Largest} octets or has more than {MostFiles} files"
                    );
                files.Add(entry.Name, Octets(entry));
            }
        }
        catch (Exception e)
            when (e
                    is InvalidDataException
                        or IOException
                        or FormatException
                        or ArgumentException
                        or OverflowException
                        or NotSupportedException
            )
        {
            throw new EvidenceException($"it is no bundle: {e.Message}");
        }
        return files._files.Count > 0
            ? files
            : throw new EvidenceException("it is no bundle: there are no files in it");
    }

    private static byte[] Octets(TarEntry entry)
    {
        var octets = new byte[entry.Length];
        entry.DataStream?.ReadExactly(octets);
        return octets;
    }

    public void Write(Stream stream)
    {
        using var tar = new TarWriter(stream, TarEntryFormat.Ustar, leaveOpen: true);
        foreach (var (name, octets) in _files)
            tar.WriteEntry(
                new UstarTarEntry(TarEntryType.RegularFile, name)
                {
                    ModificationTime = DateTimeOffset.UnixEpoch,
                    Mode =
                        UnixFileMode.UserRead
                        | UnixFileMode.UserWrite
                        | UnixFileMode.GroupRead
                        | UnixFileMode.OtherRead,
                    DataStream = new MemoryStream(octets, writable: false),
                }
            );
    }

    /// <summary>Words between slashes; none begins with a dot, so that none leads out of the folder it is unpacked to.</summary>
    private static bool IsName(string name) =>
        name.Length is > 0 and <= LongestName
        && name.Split('/').All(p => p.Length > 0 && p[0] != '.')
        && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '.' or '-' or '_');
}
