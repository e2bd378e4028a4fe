using System.CommandLine;

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
        var domains = NewGateway.DomainsOf(parse.GetRequiredValue(DomainOption));
        var made = NewGateway.Make(
            new(domains, NewGateway.MailboxOf(parse.GetValue(GatewayOption), domains)),
            Path.GetFullPath(parse.GetValue(DirectoryOption)!),
            parse.GetValue(KeyCommand.AlgorithmOption)
        );
        var (file, configuration, key) = made;
        return parse.Report(
            new
            {
                config = file,
                fingerprint = key.Fingerprint,
                records = made.Records.Select(DnsCommand.AsJson),
            },
            $"""
            Wrote {file}
            Wrote {configuration.Keys.Directory}/{key.Fingerprint}.key (the gateway key; back it up) and .revocation (keep it elsewhere)

            1. Publish these records in your DNSSEC-signed zone:

            {PublishedRecords.AsZone(configuration, made.Records, asTxt: false)}
            2. See that the world finds them:      pgptunnel dns lookup {domains[0]} --config {file}
            3. Set deliver.local and deliver.relay in the file, then:  pgptunnel config check --config {file}
            4. Start it:                           pgptunnel run --config {file}
            5. Let your mail server send partners' mail to listen.outbound (see samples/postfix).
            """
        );
    }
}
