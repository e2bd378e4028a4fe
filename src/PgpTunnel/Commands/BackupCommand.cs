using System.CommandLine;
using System.Text;
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
            )
            .WithoutEmptyValues();

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (configuration, file) = (parse.Configuration(), parse.GetRequiredValue(FileArgument));
        if (file == "-")
            throw new CommandException(Exit.Usage, "a backup is written into a file, not to stdout");
        var ring = KeyRing.Load(configuration); // a backup of keys that do not open is none
        var wishes = new BackupWishes(parse.GetValue(QueueOption), parse.GetValue(EvidenceKeysOption));
        var backup = new Backup(configuration, wishes, TimeProvider.System);
        using var staging = Stage(configuration);
        var seal = Sealer(parse);
        var written = await parse.WatchedAsync(progress => Write(file, seal, backup, staging, progress));
        await using (var spool = GatewayAtRest.ExistingSpool(configuration))
            if (spool is not null)
                await parse.ActsOn(spool).BackedUpAsync(Path.GetFullPath(file), ring.Keys);
        var (manifest, left) = (written.Manifest, NotIn(written, configuration).ToList());
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
            Wrote {file}: {manifest.Keys.Count} key(s), configuration{(
                written.HasSpool ? ", partners, records" : ""
            )}{(manifest.Queue ? ", mail that waits" : "")}.
            Not in it: {string.Join(", ", left.DefaultIfEmpty("nothing"))}
            """
        );
    }

    private static IEnumerable<string> NotIn(Backup.Result written, GatewayConfiguration configuration) =>
        [
            .. written.Left,
            .. written.HasSpool ? [] : new[] { $"partners and records (there is no spool {configuration.SpoolFile})" },
            .. written.Manifest.Queue ? [] : new[] { "mail that waits (--with-queue)" },
            .. written.Manifest.EvidenceKeys
                ? []
                : new[] { "the keys to private parts of records (--with-evidence-keys)" },
        ];

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
        catch (OpenPgpException e)
        {
            throw new CommandException(Exit.Data, $"--to: {certificate}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, $"--to: {e.Message}{OwnFiles.WhyNot(certificate)}");
        }
    }

    /// <summary>On the spool's disk, where what is copied only needs another name.</summary>
    private static StagingFolder Stage(GatewayConfiguration configuration)
    {
        try
        {
            return new(Path.GetDirectoryName(configuration.SpoolFile)!, ".backup-");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"no backup was written: {e.Message}");
        }
    }

    /// <summary>The first line of a file, octet for octet, as gpg's option of that name has it.</summary>
    /// <exception cref="CommandException">There is none in it.</exception>
    public static string ReadPassphrase(string file)
    {
        try
        {
            var octets = File.ReadAllBytes(file).AsSpan();
            if (octets.IndexOf((byte)'\n') is >= 0 and var end)
                octets = octets[..end];
            var passphrase = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(octets);
            return passphrase.Length > 0
                ? passphrase
                : throw new CommandException(Exit.Data, $"--passphrase-file: the first line of {file} is empty");
        }
        catch (DecoderFallbackException)
        {
            throw new CommandException(Exit.Data, $"--passphrase-file: the first line of {file} is no text (UTF-8)");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.Unavailable, $"--passphrase-file: {e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    /// <summary>Whole and on the disk, or not there.</summary>
    private static Backup.Result Write(
        string file,
        Func<Stream, SealingStream> seal,
        Backup backup,
        StagingFolder staging,
        IProgress<Stage> progress
    )
    {
        if (Path.Exists(file))
            throw new CommandException(Exit.CannotCreate, $"{file} is there already; nothing was written");
        if (Path.GetDirectoryName(Path.GetFullPath(file)) is var folder && !Directory.Exists(folder))
            throw new CommandException(Exit.CannotCreate, $"no backup was written: there is no folder {folder}");
        var draft = $"{file}.{Guid.NewGuid():N}.new";
        try
        {
            staging.Holds(draft);
            Backup.Result written;
            using (var output = OwnFiles.Create(draft))
            using (var sealing = seal(output))
            {
                written = backup.Write(sealing, staging, progress);
                sealing.Finish();
                OwnFiles.Sync(output.SafeFileHandle);
            }
            File.Move(draft, file, overwrite: false);
            staging.Keep(draft);
            OwnFiles.SyncNames(Path.GetDirectoryName(Path.GetFullPath(file))!);
            return written;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"no backup was written: {e.Message}");
        }
    }
}
