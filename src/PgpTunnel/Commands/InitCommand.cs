using System.CommandLine;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>init</c>: configuration, key and the records to publish, in one go; never over existing files.</summary>
internal static class InitCommand
{
    private static readonly Option<string[]> DomainOption = new("--domain")
    {
        Description = "A domain this gateway serves; may be given more than once.",
        HelpName = "D",
        Required = true,
    };
    private static readonly Option<string?> GatewayOption = new("--gateway")
    {
        Description = "The gateway's mailbox (default: pgptunnel@pgptunnel.<first domain>).",
        HelpName = "MAILBOX",
    };
    private static readonly Option<string> DirectoryOption = new("--directory")
    {
        Description = "Where to write.",
        HelpName = "DIR",
        DefaultValueFactory = _ => ".",
    };

    public static Command Create() =>
        Cli.Command(
            "init",
            "Writes pgptunnel.json, a gateway key and its revocation certificate, and prints the DNS records to publish.",
            "pgptunnel init --domain a.example --directory /etc/pgptunnel",
            (parse, _) => Task.FromResult(Run(parse)),
            DomainOption,
            GatewayOption,
            KeyCommand.AlgorithmOption,
            DirectoryOption
        );

    private static int Run(ParseResult parse)
    {
        var domains = parse
            .GetRequiredValue(DomainOption)
            .Select(d =>
                Domains.TryNormalise(d, out var domain)
                    ? domain
                    : throw new CommandException(Exit.Usage, $"--domain: '{d}' is not a domain")
            )
            .Distinct()
            .ToList();
        var mailbox = parse.GetValue(GatewayOption) ?? PolicyRecord.DefaultMailbox(domains[0]);
        if (
            !Smtp.Mailbox.TryParse(mailbox, false, out var parsed)
            || !Domains.TryNormalise(parsed.Domain, out var gatewayDomain)
            || parsed.Local.Length > 31
        )
            throw new CommandException(
                Exit.Usage,
                $"--gateway: '{mailbox}' is not a mailbox such as pgptunnel@pgptunnel.{domains[0]} (local part at most 31 octets)"
            );
        if (domains.Contains(gatewayDomain))
            throw new CommandException(
                Exit.Usage,
                $"--gateway: {gatewayDomain} is a company's own mail domain; the gateway needs one of its own, such "
                    + $"as pgptunnel.{gatewayDomain}, since its MX points to the gateway"
            );
        mailbox = $"{parsed.Local}@{gatewayDomain}";
        var directory = Path.GetFullPath(parse.GetValue(DirectoryOption)!);
        var file = Path.Combine(directory, "pgptunnel.json");
        // As packages do: configuration in /etc, what is secret or changes in /var/lib, which belongs to the gateway's own user.
        var state = directory == "/etc/pgptunnel" ? "/var/lib/pgptunnel" : null;
        var keys = Path.Combine(state ?? directory, "keys");
        if (File.Exists(file) || (Directory.Exists(keys) && Directory.EnumerateFiles(keys, "*.key").Any()))
            throw new CommandException(
                Exit.CannotCreate,
                $"{(File.Exists(file) ? file : keys)} exists already; nothing was written"
            );
        var now = TimeProvider.System.GetUtcNow();
        var key = GatewayKey.Generate(parse.GetValue(KeyCommand.AlgorithmOption), mailbox, now);
        var configuration = WriteAll(
            file,
            Template(domains, mailbox, state),
            () => KeyRing.Write(keys, key, null, now)
        );
        var records = PublishedRecords.For(configuration, [key], [], asTxt: false);
        return parse.Report(
            new
            {
                config = file,
                fingerprint = key.Fingerprint,
                records = records.Select(DnsCommand.AsJson),
            },
            $"""
            Wrote {file}
            Wrote {keys}/{key.Fingerprint}.key (the gateway key; back it up) and .revocation (keep it elsewhere)

            1. Publish these records in your DNSSEC-signed zone:

            {PublishedRecords.AsZone(configuration, records, asTxt: false)}
            2. See that the world finds them:      pgptunnel dns lookup {domains[0]} --config {file}
            3. Set deliver.local and deliver.relay in the file, then:  pgptunnel config check --config {file}
            4. Start it:                           pgptunnel run --config {file}
            5. Let your mail server send partners' mail to listen.outbound (see samples/postfix).
            """
        );
    }

    /// <summary>All of it or nothing: what is written has been read first.</summary>
    private static GatewayConfiguration WriteAll(string file, string text, Action writeKey)
    {
        var draft = $"{file}.new";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(draft, text);
            ConfigurationReader.Read(draft);
            writeKey();
            File.Move(draft, file);
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
            if (File.Exists(draft))
                File.Delete(draft);
        }
        return ConfigurationReader.Read(file);
    }

    private static string Template(List<string> domains, string mailbox, string? state)
    {
        var text = new StringBuilder();
        text.Append(
            $$"""
            {
              "domains": [{{string.Join(
                ", ",
                domains.Select(d => $"\"{d}\"")
            )}}],          // the domains this gateway serves
              "gateway": "{{mailbox}}",
              "hostname": "gw.{{domains[0]}}",                     // needs an A or AAAA record; the gateway's MX points here
              "postmaster": "postmaster@{{domains[0]}}",
              "listen": {
                "outbound": { "address": "127.0.0.1:10025",       // from our own mail server
                              "networks": ["127.0.0.0/8", "::1/128"] },
                "inbound":  { "address": "0.0.0.0:25" }           // sealed mail from the world
              },
              "deliver": {
                "local": "127.0.0.1:10026",                       // our own mail server takes opened mail here
                "relay": null                                     // smarthost for outgoing mail; null = MX of the destination
              },
              "policy": { "default": "prefer", "partners": {} },  // never | prefer | require | require-verified
              "keys": { "directory": "{{(state is null ? "keys" : $"{state}/keys")}}", "passphraseFile": null },
              "spool": "sqlite:{{(state is null ? "spool.db" : $"{state}/spool.db")}}"
            }

            """
        );
        return text.ToString();
    }
}
