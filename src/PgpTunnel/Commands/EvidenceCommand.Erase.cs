using System.CommandLine;

namespace PgpTunnel.Commands;

internal static partial class EvidenceCommand
{
    private static readonly Option<string> AddressOption = new("--address")
    {
        Description = "Whose: a mailbox.",
        HelpName = "ADDRESS",
        Required = true,
    };

    private static Command CreateErase() =>
        Cli.Command(
            "erase",
            "Takes a person out of what is on record, for good: the private parts of all records that name the address, of which nothing "
                + "that tells of anybody is left. The records stay, and that it was done, and why, is on record.",
            "pgptunnel evidence erase --address bob@b.example --reason 'asked for it on 2026-11-20' --yes",
            EraseAsync,
            AddressOption,
            Cli.Reason,
            Cli.Yes
        );

    private static async Task<int> EraseAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var address = parse.GetRequiredValue(AddressOption).Trim().TrimStart('<').TrimEnd('>');
        if (address.IndexOf('@') <= 0 || address.EndsWith('@'))
            throw new CommandException(Exit.Usage, $"--address: '{address}' is not a mailbox");
        if (parse.ReasonGiven().Length == 0)
            throw new CommandException(Exit.Usage, "say why: --reason; it goes on record, so name nobody in it");
        if (!configuration.Evidence.Erasable)
            throw new CommandException(Exit.Refused, "evidence.erasable is false: nothing on record is erased here");
        await using var spool =
            GatewayAtRest.ExistingSpool(configuration)
            ?? throw new CommandException(Exit.Data, "nothing is on record here");
        var search = new PersonSearch(spool, new RecordSearch(configuration, spool));
        var found = await parse.WatchedAsync(progress => search.Find(address, progress));
        var count = found.Parts.Sum(p => p.Indexes.Count);
        if (count == 0)
            throw new CommandException(Exit.Data, $"nothing that can be opened here names {address}{Shut(found)}");
        parse.Confirm($"The private parts of {count} record(s) are erased for good.");
        var isGone = await parse.ActsOn(spool).EraseAsync(configuration.Keys.Directory, found.Parts);
        return parse.Report(
            new
            {
                erased = found.Parts.Select(p => new { log = p.Log.ToString(), indexes = p.Indexes }),
                shut = found.Shut,
                list = ErasedFile.PathOf(configuration.Keys.Directory),
            },
            $"""
            Erased the private parts of {count} record(s){Shut(found)}.
            {(
                isGone
                    ? "Nothing of them is left in the spool."
                    : "Somebody reads the spool just now: what it was written over with is in its file spool.db-wal until the gateway restarts."
            )}
            Still elsewhere: backups made before, with evidence keys (destroy them, or restore them with --erased
            {ErasedFile.PathOf(configuration.Keys.Directory)}); bundles that were given away; and what partners'
            gateways have on record of the same mail.
            """
        );
    }

    private static string Shut(PersonSearch.Result found) =>
        found.Shut == 0 ? "" : $"; {found.Shut} more cannot be looked into, since the key of their month is not here";
}
