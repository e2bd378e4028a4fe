using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>Our own keys on disk: <c>FINGERPRINT.key</c>, armored, readable by their owner only.</summary>
internal sealed class KeyRing
{
    private const int LockAttempts = 50; // a tenth of a second each

    private KeyRing(IReadOnlyList<GatewayKey> keys, KeyPlan plan)
    {
        (Keys, Plan) = (keys, plan);
        var named = plan
            .Published.Select(f => keys.FirstOrDefault(k => k.Fingerprint == f))
            .OfType<GatewayKey>()
            .ToList();
        Published = named.Count > 0 ? named : [.. keys.Where(k => !plan.Revoked.ContainsKey(k.Fingerprint))];
        if (Published.Count == 0)
            throw new ConfigurationException([
                "keys.directory: every key in it is revoked; 'pgptunnel key generate' makes a new one",
            ]);
    }

    /// <summary>All keys, the oldest first. Each opens what was sealed for it.</summary>
    public IReadOnlyList<GatewayKey> Keys { get; }

    /// <summary>Those that are published, in that order.</summary>
    public IReadOnlyList<GatewayKey> Published { get; }

    public KeyPlan Plan { get; }

    /// <summary>The key that signs: the one published first.</summary>
    public GatewayKey Active => Published[0];

    /// <exception cref="ConfigurationException">No key, one that cannot be read, one that others can read, or a wrong
    /// passphrase.</exception>
    public static KeyRing Load(GatewayConfiguration configuration)
    {
        var passphrase = Passphrase(configuration);
        var keys = new List<GatewayKey>();
        var mistakes = new List<string>();
        foreach (var file in Files(configuration.Keys.Directory))
        {
            try
            {
                if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(file) & ~OwnFiles.OwnerOnly) != 0)
                    mistakes.Add(
                        $"{file}: others than its owner can read it; chmod 600 it (and think whether the key is still secret)"
                    );
                else
                    keys.Add(GatewayKey.ReadSecret(File.ReadAllBytes(file), passphrase));
            }
            catch (UnauthorizedAccessException e)
            {
                mistakes.Add($"{file}: {e.Message}{OwnFiles.Whose(file)}");
            }
            catch (Exception e) when (e is IOException or OpenPgpException)
            {
                mistakes.Add($"{file}: {e.Message}");
            }
        }
        if (keys.Count == 0 && mistakes.Count == 0)
            mistakes.Add(
                $"keys.directory: no *.key file in {configuration.Keys.Directory}; 'pgptunnel key import FILE' brings "
                    + "a backup back, 'pgptunnel key generate' makes a new one"
            );
        return mistakes.Count == 0
            ? new KeyRing([.. keys.OrderBy(k => k.Created)], KeyPlan.Load(configuration.Keys.Directory))
            : throw new ConfigurationException(mistakes);
    }

    private static List<string> Files(string directory)
    {
        try
        {
            if (!OwnFiles.IsThere(directory))
                return [];
            return Directory.Exists(directory)
                ? [.. Directory.EnumerateFiles(directory, "*.key").Order()]
                : throw new ConfigurationException([$"keys.directory: {directory} is not a directory"]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([$"keys.directory: {e.Message}{OwnFiles.Whose(directory)}"]);
        }
    }

    public static string? Passphrase(GatewayConfiguration configuration)
    {
        if (configuration.Keys.PassphraseFile is not { } file)
            return null;
        try
        {
            return File.ReadAllText(file).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([$"keys.passphraseFile: {e.Message}{OwnFiles.WhyNot(file)}"]);
        }
    }

    /// <summary>Writes a key and its revocation certificate; never over an existing file.</summary>
    /// <exception cref="IOException">It cannot be created.</exception>
    public static void Write(string directory, GatewayKey key, string? passphrase, DateTimeOffset now)
    {
        MakeFolder(directory);
        var (file, revocation) = (FileOf(directory, key, "key"), FileOf(directory, key, "revocation"));
        OwnFiles.Write(file, key.ExportSecret(passphrase));
        try
        {
            OwnFiles.KeepOwner(file, directory);
            OwnFiles.SyncNames(directory);
            if (File.Exists(revocation))
                return; // of the same key, which was here before
            OwnFiles.Write(
                revocation,
                [
                    .. Encoding.ASCII.GetBytes(
                        $"Revocation certificate of gateway key {key.Fingerprint}.\r\nKeep it apart from the key. "
                            + "Publishing it ends the key for good.\r\n\r\n"
                    ),
                    .. key.RevocationCertificate(now),
                ]
            );
            OwnFiles.KeepOwner(revocation, directory);
            OwnFiles.SyncNames(directory);
        }
        catch
        {
            File.Delete(file);
            throw;
        }
    }

    /// <summary>A new one belongs to whom the folder above belongs to.</summary>
    public static void MakeFolder(string directory)
    {
        var parent = Path.GetDirectoryName(Path.GetFullPath(directory))!;
        var isNew = !Directory.Exists(directory) && Directory.Exists(parent);
        OwnFiles.MakeDirectory(directory);
        if (isNew)
            OwnFiles.KeepOwner(directory, parent);
    }

    private static string FileOf(string directory, GatewayKey key, string kind) =>
        Path.Combine(directory, $"{key.Fingerprint}.{kind}");

    /// <summary>Fingerprints of the keys that are there.</summary>
    public static IReadOnlyList<string> Names(string directory) =>
        [.. Files(directory).Select(f => Path.GetFileNameWithoutExtension(f))];

    /// <summary>True when its file is there.</summary>
    public static bool Has(string directory, GatewayKey key) => File.Exists(FileOf(directory, key, "key"));

    /// <summary>Takes back what <see cref="Write"/> has written.</summary>
    public static void Remove(string directory, GatewayKey key) => File.Delete(FileOf(directory, key, "key"));

    /// <summary>Puts a changed key in the place of its file in one step.</summary>
    public static void Replace(GatewayConfiguration configuration, GatewayKey key)
    {
        var (file, passphrase) = (
            Path.Combine(configuration.Keys.Directory, $"{key.Fingerprint}.key"),
            Passphrase(configuration)
        );
        OwnFiles.Replace(file, key.ExportSecret(passphrase), written => GatewayKey.ReadSecret(written, passphrase));
    }

    /// <summary>One at a time changes keys and plan, the gateway or a command; held until disposed.</summary>
    /// <exception cref="IOException">Somebody else holds it for long.</exception>
    public static IDisposable Lock(GatewayConfiguration configuration)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                var file = Path.Combine(configuration.Keys.Directory, ".lock");
                MakeFolder(configuration.Keys.Directory);
                var held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                OwnFiles.KeepOwner(file, configuration.Keys.Directory);
                return held;
            }
            catch (IOException) when (attempt < LockAttempts)
            {
                Thread.Sleep(100);
            }
        }
    }
}
