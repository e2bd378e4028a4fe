using System.CommandLine;
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

    public static Command Create() =>
        Cli.Command(
            "restore",
            "Puts the gateway of a backup where there is none: all of it or nothing, and never over what is there.",
            "gpg -d gateway.pgp | pgptunnel restore - --directory /etc/pgptunnel",
            RunAsync,
            FileArgument,
            DirectoryOption,
            BackupCommand.PassphraseOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (file, directory) = (
            parse.GetRequiredValue(FileArgument),
            Path.GetFullPath(parse.GetRequiredValue(DirectoryOption))
        );
        var isNew = !Directory.Exists(directory);
        try
        {
            OwnFiles.MakeDirectory(directory);
            using var staging = new StagingFolder(directory, ".restore-");
            var backup = new BackupReader(staging);
            Extract(parse, file, backup);
            var restored = await new Restore(backup, directory, TimeProvider.System).PlaceAsync();
            return Report(parse, restored);
        }
        catch (Exception e) when (e is BackupException or OpenPgpException)
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

    private static void Extract(ParseResult parse, string file, BackupReader backup)
    {
        using var input = file == "-" ? Console.OpenStandardInput() : OpenFile(file);
        var isSealed = input.CanSeek && IsSealed(input);
        if (isSealed && parse.GetValue(BackupCommand.PassphraseOption) is { } secret)
            SealingStream.Open(input, BackupCommand.ReadPassphrase(secret), backup.Extract);
        else if (isSealed)
            throw new CommandException(
                Exit.Usage,
                "it is sealed: give --passphrase-file, or, where it is sealed to a certificate, 'gpg -d FILE | pgptunnel restore - …'"
            );
        else
            backup.Extract(input);
    }

    private static FileStream OpenFile(string file)
    {
        try
        {
            return File.OpenRead(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, e.Message);
        }
    }

    /// <summary>The first octet of a packet has its highest bit set (RFC 9580 4.2), that of a tar archive is of a file's name.</summary>
    private static bool IsSealed(Stream input)
    {
        var first = input.ReadByte();
        input.Position = 0;
        return first >= 0x80;
    }

    private static int Report(ParseResult parse, Restore.Result restored)
    {
        var (manifest, configuration, left, at) = restored;
        return parse.Report(
            new
            {
                config = configuration.File,
                made = InnerHeader.Time(manifest.Made),
                restored = InnerHeader.Time(at),
                keys = manifest.Keys,
                queue = manifest.Queue,
                evidenceKeys = manifest.EvidenceKeys,
                left,
            },
            $"""
            Restored {configuration.File}, {manifest.Keys.Count} key(s) in {configuration.Keys.Directory}, {configuration.SpoolFile}

            1. The gateway that this is a backup of must never run again: it has the same keys.
            2. Not in a backup, and needed: {string.Join(", ", left.DefaultIfEmpty("nothing"))}
            3. Check it, then start it: pgptunnel config check --config {configuration.File}

            Of what came between {InnerHeader.Time(manifest.Made)} and {InnerHeader.Time(at)} nothing is known here: parcels are taken
            though they may have come then (event=maybe-again), and {(
                manifest.Queue
                    ? "mail that waited then is sent, though it may have been sent since."
                    : "mail that waited then is not here."
            )} New logs begin; partners' gateways note it.
            """
        );
    }
}
