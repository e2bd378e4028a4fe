using System.CommandLine;
using System.IO.Pipelines;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>restore</c>: a gateway out of a backup, where there is none.</summary>
internal static class RestoreCommand
{
    private static readonly Argument<string> FileArgument = new("FILE")
    {
        Description = "What 'backup' has written, or the tar archive in it; - = that from stdin.",
    };

    private static readonly Option<string> DirectoryOption = new("--directory")
    {
        Description = "Where the configuration goes; keys and spool go where it says.",
        HelpName = "DIR",
        Required = true,
    };

    private static readonly Option<string?> ErasedOption = new("--erased")
    {
        Description =
            "What was erased after the backup was made, and is not to come back: the file evidence/erased of the keys "
            + "that were in use last.",
        HelpName = "FILE",
    };

    public static Command Create() =>
        Cli.Command(
                "restore",
                "Puts the gateway of a backup where there is none: all of it or nothing, and never over what is there. Nothing but its "
                    + "passphrase says that a backup is yours: an archive that was opened by other means is taken at "
                    + "its word, and brings nothing but configuration, keys, spool and what lies below DIR.",
                "gpg -d gateway.pgp | pgptunnel restore - --directory /etc/pgptunnel",
                RunAsync,
                FileArgument,
                DirectoryOption,
                BackupCommand.PassphraseOption,
                ErasedOption
            )
            .WithoutEmptyValues();

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (file, directory) = (
            parse.GetRequiredValue(FileArgument),
            Path.TrimEndingDirectorySeparator(Path.GetFullPath(parse.GetRequiredValue(DirectoryOption)))
        );
        if (parse.GetValue(Cli.Config) is not null)
            throw new CommandException(
                Exit.Usage,
                "--config: the configuration comes out of the backup, into --directory"
            );
        var isNew = !Directory.Exists(directory);
        var erased = ReadErased(parse);
        try
        {
            Directory.CreateDirectory(directory); // as 'init' does
            using var staging = new StagingFolder(directory, ".restore-");
            var backup = new BackupReader(staging);
            var restored = await parse.WatchedAsync(async progress =>
            {
                var source = await ExtractAsync(parse, file, backup, progress);
                progress.Report(new("it is put where it belongs"));
                var restore = new Restore(backup, source, directory, TimeProvider.System) { Erased = erased };
                return await restore.PlaceAsync();
            });
            return Report(parse, restored);
        }
        catch (Exception e) when (e is BackupException or OpenPgpException or FormatException)
        {
            throw new CommandException(
                e is BackupException { IsAboutPlace: true } ? Exit.CannotCreate : Exit.Data,
                $"{file}: {e.Message}"
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"nothing was restored: {e.Message}");
        }
        finally
        {
            if (isNew && Directory.Exists(directory) && !Directory.EnumerateFileSystemEntries(directory).Any())
                Directory.Delete(directory);
        }
    }

    private static async Task<BackupSource> ExtractAsync(
        ParseResult parse,
        string file,
        BackupReader backup,
        IProgress<Stage> progress
    )
    {
        const string stage = "it is opened and read";
        progress.Report(new(stage));
        await using var input = file == "-" ? Console.OpenStandardInput() : Watched(OpenFile(file), stage, progress);
        var reader = PipeReader.Create(input);
        var isSealed = await IsSealedAsync(reader);
        await using var archive = reader.AsStream();
        if (isSealed && parse.GetValue(BackupCommand.PassphraseOption) is { } secret)
        {
            SealingStream.Open(archive, BackupCommand.ReadPassphrase(secret), backup.Extract);
            return BackupSource.OwnPassphrase;
        }
        if (isSealed)
            throw new CommandException(
                Exit.Usage,
                "it is sealed: give --passphrase-file, or, where it is sealed to a certificate, 'gpg -d FILE | pgptunnel restore - …'"
            );
        backup.Extract(archive);
        return BackupSource.Anybody;
    }

    private static IReadOnlyList<Erased> ReadErased(ParseResult parse)
    {
        if (parse.GetValue(ErasedOption) is not { } file)
            return [];
        try
        {
            return ErasedFile.Read(file);
        }
        catch (FormatException e)
        {
            throw new CommandException(Exit.Data, $"--erased: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, $"--erased: {e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    private static Stream Watched(FileStream file, string stage, IProgress<Stage> progress) =>
        file.CanSeek ? new WatchedStream(file, stage, file.Length, progress) : file;

    private static FileStream OpenFile(string file)
    {
        try
        {
            return File.OpenRead(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, $"{e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    /// <summary>The first octet of a packet has its highest bit set (RFC 9580 4.2), that of a tar archive is of a file's name.</summary>
    private static async Task<bool> IsSealedAsync(PipeReader reader)
    {
        var begin = (await reader.ReadAtLeastAsync(1)).Buffer;
        var isSealed = begin.Length > 0 && begin.FirstSpan[0] >= 0x80;
        reader.AdvanceTo(begin.Start);
        return isSealed;
    }

    private static int Report(ParseResult parse, Restore.Result restored)
    {
        var (manifest, at) = (restored.Manifest, InnerHeader.Time(restored.At));
        return parse.Report(
            new
            {
                config = restored.Config,
                made = InnerHeader.Time(manifest.Made),
                restored = at,
                keys = manifest.Keys,
                queue = manifest.Queue,
                evidenceKeys = manifest.EvidenceKeys,
                erased = restored.Erased,
                missing = restored.Missing,
            },
            $"""
            Restored {restored.Config}, {manifest.Keys.Count} key(s) in {restored.Keys}{(
                restored.Spool is { } spool ? $", {spool}" : ""
            )}

            1. The gateway that this is a backup of must never run again: it has the same keys.
            2. Named in the configuration, and not there: {string.Join(", ", restored.Missing.DefaultIfEmpty("nothing"))}
            3. Private parts of records that were erased after the backup was made, and are erased again: {restored.Erased}
            4. Check it, then start it: pgptunnel config check --config {restored.Config}

            Of what came between {InnerHeader.Time(manifest.Made)} and {at} nothing is known here: parcels are taken
            though they may have come then (event=maybe-again), and {(
                manifest.Queue
                    ? "mail that waited then is sent, though it may have been sent since."
                    : "mail that waited then is not here."
            )} New logs begin; partners' gateways note it.
            """
        );
    }
}
