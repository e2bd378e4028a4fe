using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>backup</c>: all that a gateway is, in one sealed file.</summary>
internal static class BackupCommand
{
    private static readonly Argument<string> FileArgument = new("FILE")
    {
        Description = "Where to write it; must not be there.",
    };

    public static readonly Option<string?> PassphraseOption = new("--passphrase-file")
    {
        Description = "A file with the passphrase that opens it.",
        HelpName = "F",
    };

    private static readonly Option<string?> ToOption = new("--to")
    {
        Description = "An OpenPGP certificate, whose owner opens it.",
        HelpName = "CERT",
    };

    private static readonly Option<bool> QueueOption = new("--with-queue")
    {
        Description = "The mail that waits, too.",
    };

    private static readonly Option<bool> EvidenceKeysOption = new("--with-evidence-keys")
    {
        Description =
            "The keys to the private parts of what is on record, too: those parts are gone when all copies of their key are.",
    };

    public static Command Create() =>
        Cli.Command(
            "backup",
            "Writes configuration, keys, what is remembered of partners, and what is on record into one file, sealed to a "
                + "passphrase or a certificate, while the gateway runs. 'gpg -d' opens it, too: it is a tar archive.",
            "pgptunnel backup /mnt/safe/gateway.pgp --passphrase-file /root/backup-passphrase",
            RunAsync,
            FileArgument,
            PassphraseOption,
            ToOption,
            QueueOption,
            EvidenceKeysOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, file) = (parse.Configuration(), parse.GetRequiredValue(FileArgument));
        KeyRing.Load(configuration); // a backup of keys that do not open is none
        var wishes = new BackupWishes(parse.GetValue(QueueOption), parse.GetValue(EvidenceKeysOption));
        var backup = new Backup(configuration, wishes, TimeProvider.System);
        var written = Write(file, Sealer(parse), backup);
        await using (var spool = GatewayAtRest.ExistingSpool(configuration))
            if (spool is not null)
                await parse.ActsOn(spool).BackedUpAsync(Path.GetFullPath(file), written.Manifest.Keys);
        var (manifest, left) = written;
        return parse.Report(
            new
            {
                file,
                made = InnerHeader.Time(manifest.Made),
                keys = manifest.Keys,
                queue = manifest.Queue,
                evidenceKeys = manifest.EvidenceKeys,
                left,
            },
            $"""
            Wrote {file}: {manifest.Keys.Count} key(s), configuration, partners, records{(
                manifest.Queue ? ", mail that waits" : ""
            )}.
            Not in it: {string.Join(", ", NotIn(manifest, left))}
            """
        );
    }

    private static IEnumerable<string> NotIn(BackupManifest manifest, IReadOnlyList<string> left) =>
        left.Concat(manifest.Queue ? [] : ["mail that waits (--with-queue)"])
            .Concat(manifest.EvidenceKeys ? [] : ["the keys to private parts of records (--with-evidence-keys)"])
            .DefaultIfEmpty("nothing");

    private static Func<Stream, SealingStream> Sealer(ParseResult parse)
    {
        var (passphrase, certificate) = (parse.GetValue(PassphraseOption), parse.GetValue(ToOption));
        if (passphrase is null == certificate is null)
            throw new CommandException(
                Exit.Usage,
                "give one of --passphrase-file and --to: a backup has secret keys in it, and is never written in clear"
            );
        if (certificate is null)
        {
            var secret = ReadPassphrase(passphrase!);
            return output => SealingStream.ToPassphrase(output, secret);
        }
        try
        {
            var now = TimeProvider.System.GetUtcNow();
            var (reader, refusal) = Certificate.ReadFile(File.ReadAllBytes(certificate)).JudgeReader(now);
            return reader is not null
                ? output => SealingStream.ToReader(output, reader)
                : throw new CommandException(Exit.Data, $"--to: {certificate}: {refusal}");
        }
        catch (Exception e) when (e is OpenPgpException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Data, $"--to: {certificate}: {e.Message}");
        }
    }

    /// <exception cref="CommandException">There is none in it.</exception>
    public static string ReadPassphrase(string file)
    {
        try
        {
            return File.ReadAllText(file).TrimEnd('\r', '\n') is { Length: > 0 } passphrase
                ? passphrase
                : throw new CommandException(Exit.Data, $"--passphrase-file: {file} is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, $"--passphrase-file: {e.Message}");
        }
    }

    /// <summary>Whole and on the disk, or not there.</summary>
    private static Backup.Result Write(string file, Func<Stream, SealingStream> seal, Backup backup)
    {
        FileStream output;
        try
        {
            output = OwnFiles.Create(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write {file}: {e.Message}");
        }
        try
        {
            using (output)
            {
                using var sealing = seal(output);
                var written = backup.Write(sealing);
                sealing.Finish();
                OwnFiles.Sync(output.SafeFileHandle);
                return written;
            }
        }
        catch (Exception e)
        {
            File.Delete(file);
            throw e is IOException or UnauthorizedAccessException
                ? new CommandException(Exit.CannotCreate, $"no backup was written: {e.Message}")
                : e;
        }
    }
}
