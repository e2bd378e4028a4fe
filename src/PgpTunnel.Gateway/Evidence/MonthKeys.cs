using System.Globalization;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// The keys of the private parts of what is on record, one a month: <c>evidence/2026-10.key</c> in the folder of our keys, made when the
/// month begins.
/// </summary>
internal sealed class MonthKeys(Settings settings, EventLog log)
{
    private sealed record InUse(GatewayConfiguration Configuration, string Month, MonthKey Key);

    private readonly Lock _lock = new();
    private volatile InUse? _inUse;

    private static string Folder(GatewayConfiguration configuration) =>
        Path.Combine(configuration.Keys.Directory, "evidence");

    private static string FileOf(GatewayConfiguration configuration, string month) =>
        Path.Combine(Folder(configuration), $"{month}.key");

    private static string MonthOf(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM", CultureInfo.InvariantCulture);

    /// <summary>The key to use now. Where a new month's cannot be made, the last one serves on, with an alarm.</summary>
    /// <exception cref="ConfigurationException">There is none, and none can be made.</exception>
    public MonthKey Current(DateTimeOffset now)
    {
        var (configuration, month) = (settings.Configuration, MonthOf(now));
        bool IsFor(InUse? use) => use is not null && use.Configuration == configuration && use.Month == month;
        if (_inUse is { } known && IsFor(known))
            return known.Key;
        lock (_lock)
        {
            if (IsFor(_inUse))
                return _inUse!.Key;
            MonthKey key;
            try
            {
                key = Make(configuration, month, now);
            }
            catch (ConfigurationException e) when (_inUse is { } last)
            {
                log.Write(
                    "evidence-key",
                    ("alarm", true),
                    ("why", string.Join("; ", e.Mistakes)),
                    ("do", $"mend that and reload; until then the key of {last.Key.Month} serves on")
                );
                key = last.Key;
            }
            _inUse = new(configuration, month, key);
            return key;
        }
    }

    /// <summary>Sees that what happens can go on record under a configuration that is to be taken over.</summary>
    /// <exception cref="ConfigurationException">It cannot.</exception>
    public static void Prepare(GatewayConfiguration configuration, DateTimeOffset now)
    {
        if (configuration.Evidence.Keep)
            Make(configuration, MonthOf(now), now);
    }

    /// <summary>Ends the name of a file that says that the key of a month was in no backup.</summary>
    public const string Lost = ".lost";

    /// <summary>
    /// What the key of a month is called: by the month, unless that was another key, which did not come along when this gateway was
    /// restored. It may lie somewhere, and its name stays its own.
    /// </summary>
    private static string NameIn(GatewayConfiguration configuration, string month)
    {
        var (folder, name) = (Folder(configuration), month);
        try
        {
            for (var n = 2; OwnFiles.IsThere(Path.Combine(folder, $"{name}{Lost}")); n++)
                name = string.Create(CultureInfo.InvariantCulture, $"{month}-{n}");
            return name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([$"keys.directory: {e.Message}{OwnFiles.Whose(folder)}"]);
        }
    }

    /// <summary>The key of a month that is there, or a new one.</summary>
    private static MonthKey Make(GatewayConfiguration configuration, string calendarMonth, DateTimeOffset now)
    {
        var month = NameIn(configuration, calendarMonth);
        var (readers, file) = (Auditors.Load(configuration, now), FileOf(configuration, month));
        if (Load(configuration, month) is { } there)
            return new(month, there, readers);
        DeleteUnwritten(file);
        var key = GatewayKey.Generate(GatewayAlgorithm.Ed25519, $"evidence-{month}@{configuration.GatewayDomain}", now);
        try
        {
            KeyRing.MakeFolder(Folder(configuration));
            OwnFiles.Write(file, key.ExportSecret(KeyRing.Passphrase(configuration)));
            OwnFiles.KeepOwner(file, configuration.Keys.Directory);
            OwnFiles.SyncNames(Folder(configuration)); // before anything is sealed to it
            return new(month, key, readers);
        }
        catch (IOException) when (Load(configuration, month) is { } meanwhile) // by another process
        {
            return new(month, meanwhile, readers);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([
                $"keys.directory: the evidence key of {month} cannot be written: {e.Message}{OwnFiles.Whose(file)}; "
                    + "where nothing is to go on record, set evidence.keep to false",
            ]);
        }
    }

    /// <summary>What a power cut has left of a key that was being made: nothing was sealed to it.</summary>
    private static void DeleteUnwritten(string file)
    {
        if (IsUnwritten(file))
            File.Delete(file);
    }

    private static bool IsUnwritten(string file) => new FileInfo(file) is { Exists: true, Length: 0 };

    /// <summary>Those of every month that is kept, the oldest first.</summary>
    /// <exception cref="ConfigurationException">One cannot be read.</exception>
    public static IReadOnlyList<MonthKey> All(GatewayConfiguration configuration) =>
        [
            .. Months(configuration)
                .Select(m => (Month: m, Key: Load(configuration, m)))
                .Where(m => m.Key is not null)
                .Select(m => new MonthKey(m.Month, m.Key!, [])),
        ];

    private static IReadOnlyList<string> Months(GatewayConfiguration configuration)
    {
        var folder = Folder(configuration);
        try
        {
            return OwnFiles.IsThere(folder)
                ?
                [
                    .. Directory
                        .EnumerateFiles(folder, "*.key")
                        .Select(f => Path.GetFileNameWithoutExtension(f)!)
                        .Order(),
                ]
                : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException([$"keys.directory: {e.Message}{OwnFiles.Whose(folder)}"]);
        }
    }

    /// <returns>Null when there is no key of that month, or no more.</returns>
    /// <exception cref="ConfigurationException">It cannot be read.</exception>
    private static GatewayKey? Load(GatewayConfiguration configuration, string month)
    {
        var file = FileOf(configuration, month);
        try
        {
            return OwnFiles.IsThere(file) && !IsUnwritten(file)
                ? GatewayKey.ReadSecret(File.ReadAllBytes(file), KeyRing.Passphrase(configuration))
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OpenPgpException)
        {
            throw new ConfigurationException([$"{file}: {e.Message}{OwnFiles.Whose(file)}"]);
        }
    }
}
