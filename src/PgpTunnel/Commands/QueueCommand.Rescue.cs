using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary>A spool that may be damaged: looked through, written out, taken in again.</summary>
internal static partial class QueueCommand
{
    private static async Task<int> CheckAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var (damage, whole, unreadable) = await parse.WatchedAsync(progress =>
            LookThroughAsync(configuration, progress)
        );
        var ok = damage.Count == 0 && unreadable.Count == 0;
        return parse.Report(
            new
            {
                ok,
                damage,
                parcels = whole,
                unreadable,
            },
            ok
                ? $"the spool is whole; {whole} parcel(s), each opens"
                : string.Join(
                    '\n',
                    [
                        .. damage.Select(d => $"damaged: {d}"),
                        .. unreadable.Select(u => $"does not open: {u}"),
                        "'pgptunnel queue export DIR' writes out what can be read",
                    ]
                ),
            ok ? Exit.Ok : Exit.Data
        );
    }

    private static async Task<(IReadOnlyList<string> Damage, int Whole, List<string> Unreadable)> LookThroughAsync(
        GatewayConfiguration configuration,
        IProgress<Stage> progress
    )
    {
        progress.Report(new("the file and its indexes"));
        var damage = await Task.Run(() => SpoolRescue.Check(configuration.SpoolFile));
        var (whole, unreadable) = damage.Count > 0 ? (0, []) : await OpenEachAsync(configuration, progress);
        return (damage, whole, unreadable);
    }

    /// <summary>Opens each parcel that waits, as delivery would.</summary>
    private static async Task<(int Whole, List<string> Unreadable)> OpenEachAsync(
        GatewayConfiguration configuration,
        IProgress<Stage> progress
    )
    {
        await using var spool = Spool.Open(configuration.SpoolFile, running: false);
        var parcels = new Parcels(new Settings(configuration, KeyRing.Load(configuration)), TimeProvider.System);
        var (whole, unreadable) = (0, new List<string>());
        var waiting = spool.List().Where(p => p.State != ParcelState.Handed).ToList();
        foreach (var (n, parcel) in waiting.Index())
        {
            progress.Report(new("parcels, each is opened", n, waiting.Count));
            try
            {
                if (spool.Load(parcel.Id) is not var (_, content))
                    continue; // delivered meanwhile
                parcels.Read(parcel, content);
                whole++;
            }
            catch (Exception e)
                when (e is OpenPgpException or NoKeyException or MalformedParcelException or SpoolException)
            {
                unreadable.Add($"{parcel.Id}: {e.Message}");
            }
        }
        return (whole, unreadable);
    }

    private static async Task<int> ExportAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, directory) = (parse.Configuration(), parse.GetRequiredValue(DirectoryArgument));
        if (Directory.Exists(directory) && Directory.EnumerateFileSystemEntries(directory).Any())
            throw new CommandException(
                Exit.CannotCreate,
                $"{directory} is not empty: name a new folder; nothing was written"
            );
        try
        {
            var tables = await parse.WatchedAsync(p => SpoolRescue.Export(configuration.SpoolFile, directory, p));
            var unreadable = tables.Sum(t => t.Unreadable);
            return parse.Report(
                new
                {
                    directory,
                    tables = tables.Select(t => new
                    {
                        table = t.Table,
                        rows = t.Rows,
                        unreadable = t.Unreadable,
                    }),
                },
                string.Join(
                    '\n',
                    tables.Select(t =>
                        $"{t.Table}: {t.Rows} row(s)"
                        + (t.Unreadable > 0 ? $", {t.Unreadable} place(s) could not be read" : "")
                    )
                ) + $"\nwritten to {directory}",
                unreadable > 0 ? Exit.Data : Exit.Ok
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write to {directory}: {e.Message}");
        }
    }

    private static async Task<int> ImportAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, directory) = (parse.Configuration(), parse.GetRequiredValue(DirectoryArgument));
        if (SpoolLock.IsHeld(configuration.SpoolFile))
            throw new CommandException(Exit.Unavailable, "the gateway runs; stop it first");
        if (!Directory.Exists(directory))
            throw new CommandException(Exit.Data, $"there is no folder {directory}");
        await Spool.Open(configuration.SpoolFile, running: true).DisposeAsync(); // made, and brought up to date
        try
        {
            var tables = await parse.WatchedAsync(p => SpoolRescue.Import(configuration.SpoolFile, directory, p));
            return parse.Report(
                new
                {
                    tables = tables.Select(t => new
                    {
                        table = t.Table,
                        rows = t.Rows,
                        unfit = t.Unfit,
                    }),
                },
                string.Join(
                    '\n',
                    tables.Select(t =>
                        $"{t.Table}: {t.Rows} row(s) added{(t.Unfit > 0 ? $", {t.Unfit} left out that are damaged" : "")}"
                    )
                ),
                tables.Any(t => t.Unfit > 0) ? Exit.Data : Exit.Ok
            );
        }
        catch (FormatException e)
        {
            throw new CommandException(Exit.Data, $"{directory}: {e.Message}; nothing was taken");
        }
    }
}
