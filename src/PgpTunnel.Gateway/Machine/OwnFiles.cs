using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace PgpTunnel;

/// <summary>Files and folders that nobody but the gateway's own user reads, and how they become durable.</summary>
internal static partial class OwnFiles
{
    public const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>A new file, mode 0600 from its first moment.</summary>
    public static FileStream Create(string path)
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
        };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerOnly;
        return new FileStream(path, options);
    }

    /// <summary>
    /// A new file with that content, mode 0600: whole and on the disk, or none. Its name is after <see cref="SyncNames"/>.
    /// </summary>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        using var file = Create(path);
        try
        {
            file.Write(content);
            Sync(file.SafeFileHandle);
        }
        catch (IOException)
        {
            File.Delete(path); // a part of a key would be in the way of all that is whole
            throw;
        }
    }

    /// <summary>A folder, mode 0700 if it is new.</summary>
    public static void MakeDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(directory);
        else
            Directory.CreateDirectory(directory, OwnerOnly | UnixFileMode.UserExecute);
    }

    /// <summary>Root's commands must not take the gateway's files from it: gives a file the owner and group of another.</summary>
    /// <exception cref="IOException">That cannot be done.</exception>
    public static void KeepOwner(string file, string like)
    {
        if (OperatingSystem.IsWindows() || Environment.UserName != "root")
            return;
        Span<byte> status = stackalloc byte[StatusSize];
        if (
            StatX(CurrentDirectory, like, 0, OwnerAndGroup, status) != 0
            || ChangeOwner(file, BitConverter.ToUInt32(status[UserAt..]), BitConverter.ToUInt32(status[GroupAt..])) != 0
        )
            throw new IOException($"cannot give {file} the owner of {like}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>
    /// Puts new content in the place of a file in one step: written beside it, on the disk before the old one goes, read again, and owned
    /// as the old one was, whoever runs the command.
    /// </summary>
    /// <param name="check">Throws when what was written cannot be read back.</param>
    public static void Replace(string file, byte[] content, Action<byte[]> check)
    {
        foreach (var left in Directory.EnumerateFiles(Path.GetDirectoryName(file)!, $"{Path.GetFileName(file)}.*.new"))
            File.Delete(left); // of a run that was cut short
        var temporary = $"{file}.{Guid.NewGuid():N}.new";
        Write(temporary, content);
        check(File.ReadAllBytes(temporary));
        KeepOwner(temporary, File.Exists(file) ? file : Path.GetDirectoryName(file)!);
        File.Move(temporary, file, overwrite: true);
        SyncNames(Path.GetDirectoryName(file)!);
    }

    /// <summary>
    /// Returns when what is in a file is on the disk. By the C library itself: .NET's own flush returns without a word when the disk has
    /// failed.
    /// </summary>
    /// <exception cref="IOException">It is not on the disk.</exception>
    public static void Sync(SafeFileHandle file)
    {
        if (OperatingSystem.IsWindows())
        {
#pragma warning disable RS0030 // there it tells of failures
            RandomAccess.FlushToDisk(file);
#pragma warning restore RS0030
            return;
        }
        while (FSync(file) != 0)
            if (Marshal.GetLastPInvokeError() != Interrupted)
                throw Failed();
    }

    /// <summary>Returns when the names of new files in a folder are on the disk; on Windows the file system sees to that.</summary>
    /// <exception cref="IOException">They are not.</exception>
    public static void SyncNames(string directory)
    {
        if (OperatingSystem.IsWindows())
            return;
        using var handle = new SafeFileHandle(Open(directory, ReadOnlyCloseOnExec), ownsHandle: true);
        if (handle.IsInvalid)
            throw Failed();
        Sync(handle);
    }

    /// <summary>A second name for a file on the same disk: what it names stays when the first goes.</summary>
    /// <returns>False when there is no such file.</returns>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static bool TryLink(string file, string name) =>
        Link(file, name) == 0 || (Marshal.GetLastPInvokeError() == NotThere ? false : throw Failed());

    private const int NotThere = 2; // ENOENT

    private const int ReadOnlyCloseOnExec = 0x80000,
        Interrupted = 4,
        CurrentDirectory = -100;

    // struct statx, the same on every machine (statx(2)).
    private const int StatusSize = 256,
        UserAt = 20,
        GroupAt = 24,
        InodeAt = 32,
        BirthAt = 80,
        OwnerAndGroup = 0x18,
        InodeAndBirth = 0x900;

    /// <summary>
    /// Which file it is, whatever it is called, by its inode and when that was made (inodes are used again): a copy is another. Null where
    /// that cannot be seen.
    /// </summary>
    public static string? IdentityOf(string path)
    {
        Span<byte> status = stackalloc byte[StatusSize];
        return OperatingSystem.IsWindows() || StatX(CurrentDirectory, path, 0, InodeAndBirth, status) != 0
            ? null
            : $"{Convert.ToHexStringLower(status.Slice(InodeAt, 8))}-{Convert.ToHexStringLower(status.Slice(BirthAt, 12))}";
    }

    private static IOException Failed() => new(Marshal.GetLastPInvokeErrorMessage(), Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(string file, string name);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUser();

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(int directory, string path, int flags, uint mask, Span<byte> status);

    // Of the name itself: whoever owns the folder could make it a link to what is not theirs.
    [LibraryImport("libc", EntryPoint = "lchown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);

    /// <summary>Whether a file is there; that we may not look is no answer.</summary>
    /// <exception cref="UnauthorizedAccessException">We may not look.</exception>
    public static bool IsThere(string path)
    {
        try
        {
            File.GetAttributes(path);
            return true;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Of what was to be a file and may not be used: that it is none, or whose it is.</summary>
    public static string WhyNot(string path) => Directory.Exists(path) ? " (it is a directory)" : Whose(path);

    /// <summary>Of a file that may not be used: whose it is, and who we are; empty where that cannot be seen.</summary>
    public static string Whose(string path)
    {
        try
        {
            var at = Path.GetFullPath(path);
            while (!Path.Exists(at) && Path.GetDirectoryName(at) is { } above)
                at = above;
            var mode = OperatingSystem.IsWindows()
                ? ""
                : $", mode {Convert.ToString((int)File.GetUnixFileMode(at), 8)}";
            return $" ({at}{mode}{Owner(at)}; this is user {User})";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $" (this is user {User})";
        }
    }

    /// <summary>Not every number of a user has a name.</summary>
    private static string User =>
        Environment.UserName is { Length: > 0 } name ? name : $"{GetEffectiveUser()}, which has no name";

    private static string Owner(string path)
    {
        Span<byte> status = stackalloc byte[StatusSize];
        return OperatingSystem.IsWindows() || StatX(CurrentDirectory, path, 0, OwnerAndGroup, status) != 0
            ? ""
            : $", owned by user {BitConverter.ToUInt32(status[UserAt..])} and group {BitConverter.ToUInt32(status[GroupAt..])}";
    }
}
