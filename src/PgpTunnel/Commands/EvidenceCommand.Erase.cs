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
        var address = FoundBy.Bare(parse.GetRequiredValue(AddressOption));
        if (address.IndexOf('@') <= 0 || address.EndsWith('@'))
            throw new CommandException(Exit.Usage, $"--address: '{address}' is not a mailbox");
        if (parse.ReasonGiven().Length == 0)
            throw new CommandException(Exit.Usage, "say why: --reason; it goes on record, so name nobody in it");
        if (!configuration.Evidence.Erasable)
            throw new CommandException(Exit.Refused, "evidence.erasable is false: nothing on record is erased here");
        return await EraseAsync(parse, configuration, address);
    }

    private static async Task<int> EraseAsync(ParseResult parse, GatewayConfiguration configuration, string address)
    {
        var erased = await EraseRecordsAsync(parse, configuration, address);
        var left = await parse.WatchedAsync(progress =>
        {
            progress.Report(new("the spool is written anew"));
            return SpoolSweep.Sweep(configuration.SpoolFile, configuration.Limits.FreeDisk);
        });
        var list = ErasedFile.PathOf(configuration.Keys.Directory);
        return parse.Report(
            new
            {
                erased = erased.Parts.Select(p => new { log = p.Log.ToString(), indexes = p.Indexes }),
                shut = erased.Shut,
                gone = left is null,
                why = left,
                list,
            },
            $"""
            Erased the private parts of {erased.Parts.Sum(p => p.Indexes.Count)} record(s){Shut(erased)}.
            {(
                left is null
                    ? "Nothing of them is left in the spool."
                    : $"Copies may be left in the spool's free space: {left}. Stop the gateway, and run this again."
            )}
            Not in reach of this: the logs of this gateway and of mail servers, which name senders and Message-IDs; mail that
            waits, or was handed over and may bounce still; backups that were made before with evidence keys (destroy them, or
            restore them with --erased {list});
            spools that were moved away, and what 'queue export' wrote; bundles that were given away; and what partners'
            gateways have on record of the same mail.
            """,
            left is null ? Exit.Ok : Exit.Temporary
        );
    }

    /// <summary>Of one that was erased before, but not swept out, nothing is found any more.</summary>
    private static async Task<PersonSearch.Result> EraseRecordsAsync(
        ParseResult parse,
        GatewayConfiguration configuration,
        string address
    )
    {
        await using var spool =
            GatewayAtRest.ExistingSpool(configuration)
            ?? throw new CommandException(Exit.Data, "nothing is on record here");
        var search = new PersonSearch(spool, new RecordSearch(configuration, spool));
        var found = await parse.WatchedAsync(progress => search.Find(address, progress));
        var (count, list) = (found.Parts.Sum(p => p.Indexes.Count), ErasedFile.PathOf(configuration.Keys.Directory));
        if (count == 0 && !OwnFiles.IsThere(list))
            throw new CommandException(Exit.Data, $"nothing that can be opened here names {address}{Shut(found)}");
        if (count == 0)
            return found;
        parse.Confirm($"This erases the private parts of {count} record(s) for good.");
        try
        {
            ErasedFile.Add(configuration, found.Parts); // first: a backup that is restored later may have them
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new CommandException(Exit.CannotCreate, $"nothing was erased: {list}: {e.Message}");
        }
        await parse.ActsOn(spool).EraseAsync(found.Parts);
        return found;
    }

    private static string Shut(PersonSearch.Result found) =>
        found.Shut == 0
            ? ""
            : $"; {found.Shut} more cannot be opened here, since the key of their month is gone, or they are damaged";
}
