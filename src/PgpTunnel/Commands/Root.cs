using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary>All that can be typed behind <c>pgptunnel</c>.</summary>
internal static class Root
{
    public static RootCommand Create() =>
        new("PgpTunnel: OpenPGP between mail gateways, keys found in DNSSEC-signed DNS.")
        {
            Cli.Config,
            Cli.Json,
            DemoCommand.Create(),
            SetupCommand.Create(),
            InitCommand.Create(),
            RunCommand.Create(),
            ConfigCommand.Create(),
            KeyCommand.Create(),
            DnsCommand.Create(),
            PolicyCommand.Create(),
            SealCommand.Create(),
            OpenCommand.Create(),
            QueueCommand.Create(),
            PartnerCommand.Create(),
            DoctorCommand.Create(),
            StatusCommand.Create(),
            JournalCommand.Create(),
            TestCommand.Create(),
            TraceCommand.Create(),
            EvidenceCommand.Create(),
            PostfixCommand.Create(),
            BackupCommand.Create(),
            RestoreCommand.Create(),
            ManualCommand.Create(),
        };
}
