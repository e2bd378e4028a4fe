using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary>A gateway that is made: configuration, key and revocation certificate, in one go and never over what is there.</summary>
/// <param name="File">The configuration.</param>
internal sealed record NewGateway(string File, GatewayConfiguration Configuration, GatewayKey Key)
{
    public List<PublishedRecord> Records => PublishedRecords.For(Configuration, [Key], [], asTxt: false);

    /// <summary>The domains that were given, each once, as DNS has them.</summary>
    /// <exception cref="CommandException">One is none.</exception>
    public static List<string> DomainsOf(IEnumerable<string> given) =>
        [
            .. given
                .Select(d =>
                    Domains.TryNormalise(d, out var domain)
                        ? domain
                        : throw new CommandException(Exit.Usage, $"--domain: '{d}' is not a domain")
                )
                .Distinct(),
        ];

    /// <summary>The mailbox that was given, or the usual one.</summary>
    /// <exception cref="CommandException">It is none, or stands in a domain of people.</exception>
    public static string MailboxOf(string? given, List<string> domains)
    {
        var mailbox = given ?? PolicyRecord.DefaultMailbox(domains[0]);
        if (
            !Smtp.Mailbox.TryParse(mailbox, false, out var parsed)
            || !Domains.TryNormalise(parsed.Domain, out var gatewayDomain)
            || parsed.Local.Length > PolicyRecord.LongestLocalPart
        )
            throw new CommandException(
                Exit.Usage,
                $"--gateway: '{mailbox}' is not a mailbox such as pgptunnel@pgptunnel.{domains[0]} (local part at most "
                    + $"{PolicyRecord.LongestLocalPart} octets)"
            );
        if (domains.Contains(gatewayDomain))
            throw new CommandException(
                Exit.Usage,
                $"--gateway: {gatewayDomain} is a company's own mail domain; the gateway needs one of its own, such "
                    + $"as pgptunnel.{gatewayDomain}, since its MX points to the gateway"
            );
        return $"{parsed.Local}@{gatewayDomain}";
    }

    public static string FileIn(string directory) => Path.Combine(directory, "pgptunnel.json");

    /// <exception cref="CommandException">There is one already, or it cannot be written.</exception>
    public static NewGateway Make(FirstConfiguration first, string directory, GatewayAlgorithm algorithm)
    {
        var (file, keys) = (
            FileIn(directory),
            Path.Combine(FirstConfiguration.StateOf(directory) ?? directory, "keys")
        );
        if (Path.Exists(file) || (Directory.Exists(keys) && Directory.EnumerateFiles(keys, "*.key").Any()))
            throw new CommandException(
                Exit.CannotCreate,
                $"{(Path.Exists(file) ? file : keys)} exists already; nothing was written"
            );
        var now = TimeProvider.System.GetUtcNow();
        var key = GatewayKey.Generate(algorithm, first.Gateway, now);
        var isNew = !Directory.Exists(directory);
        try
        {
            return new(file, WriteAll(file, first.Text(directory), () => KeyRing.Write(keys, key, null, now)), key);
        }
        catch
        {
            if (isNew && Directory.Exists(directory) && !Directory.EnumerateFileSystemEntries(directory).Any())
                Directory.Delete(directory);
            throw;
        }
    }

    /// <summary>All of it or nothing: what is written has been read first.</summary>
    private static GatewayConfiguration WriteAll(string file, string text, Action writeKey)
    {
        var draft = $"{file}.new";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            System.IO.File.WriteAllText(draft, text);
            OwnFiles.KeepOwner(draft, Path.GetDirectoryName(file)!);
            // Under root's strictest umask, too, the gateway's group is to read it: there is no secret in it.
            if (!OperatingSystem.IsWindows())
                System.IO.File.SetUnixFileMode(draft, System.IO.File.GetUnixFileMode(draft) | UnixFileMode.GroupRead);
            ConfigurationReader.Read(draft);
            writeKey();
            System.IO.File.Move(draft, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(
                Exit.CannotCreate,
                $"cannot write to {Path.GetDirectoryName(file)}: {e.Message}"
            );
        }
        finally
        {
            if (System.IO.File.Exists(draft))
                System.IO.File.Delete(draft);
        }
        return ConfigurationReader.Read(file);
    }
}
