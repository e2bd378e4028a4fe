using System.CommandLine;
using PgpTunnel.Dns;
using PgpTunnel.Evidence;

namespace PgpTunnel.Commands;

internal static partial class EvidenceCommand
{
    private static readonly Option<string> OutputOption = new("--output")
    {
        Description = "The file to write; it must not be there yet.",
        HelpName = "FILE.tar",
        Required = true,
    };
    private static readonly Option<string?> WithOption = new("--with")
    {
        Description =
            "'addresses': who wrote to whom as well, and what is needed to show that a message is the very one.",
        HelpName = "addresses",
    };
    private static readonly Argument<string[]> BundleArgument = new("FILE.tar")
    {
        Description = "That of one side, or those of both.",
        Arity = ArgumentArity.OneOrMore,
    };
    private static readonly Option<string?> MessageOption = new("--message")
    {
        Description = "The message as its author's mail server had it: is it the one?",
        HelpName = "FILE.eml",
    };
    private static readonly Option<string?> AnchorOption = new("--trust-anchor")
    {
        Description = "DS or DNSKEY records to start trust from (default: the root's).",
        HelpName = "FILE",
    };

    private static Command CreateExport() =>
        Cli.Command(
            "export",
            "Writes all that is on record about one message into a file that an auditor can check without us.",
            "pgptunnel evidence export --message-id '<1@a.example>' --with addresses --output message.tar",
            ExportAsync,
            IdOption,
            MessageIdOption,
            WithOption,
            OutputOption
        );

    private static Command CreateVerify() =>
        Cli.Command(
            "verify",
            "Checks such a file, or those of both sides together, and says what it shows; needs no configuration, no network and no "
                + "gateway. Exit code 65 where something contradicts.",
            "pgptunnel evidence verify ours.tar theirs.tar --message original.eml",
            VerifyAsync,
            BundleArgument,
            MessageOption,
            AnchorOption
        );

    private static async Task<int> ExportAsync(ParseResult parse, CancellationToken cancel)
    {
        if (parse.GetValue(WithOption) is { } with && with != "addresses")
            throw new CommandException(Exit.Usage, $"--with: '{with}' is not 'addresses'");
        var what =
            parse.GetValue(IdOption)
            ?? parse.GetValue(MessageIdOption)
            ?? throw new CommandException(Exit.Usage, "say which message: --id or --message-id");
        await using var session = GatewayAtRest.Open(parse.Configuration());
        var ids = session.Spool is null
            ? []
            : new RecordSearch(session.Settings.Configuration, session.Spool).Find(what);
        if (ids.Count == 0)
            throw new CommandException(Exit.Data, $"nothing is on record about {what}");
        if (ids.Count > 1)
            throw new CommandException(
                Exit.Data,
                $"{ids.Count} parcels are on record about {what}: give --id with one of {string.Join(", ", ids)}"
            );
        var file = parse.GetRequiredValue(OutputOption);
        var bundle = await MakeAsync(session, ids[0], parse.GetValue(WithOption) is not null);
        Write(bundle, file);
        return parse.Report(
            new
            {
                id = ids[0],
                file,
                files = bundle.Names,
            },
            $"{file}: what is on record about {ids[0]}; 'pgptunnel evidence verify {file}' checks it, README.txt in it says how others do"
        );
    }

    private static async Task<BundleFiles> MakeAsync(GatewayAtRest session, string id, bool withAddresses)
    {
        try
        {
            return (
                await new BundleMaker(session.Settings, session.Spool!, session.Names, TimeProvider.System).MakeAsync(
                    id,
                    withAddresses
                )
            )!;
        }
        catch (EvidenceException e)
        {
            throw new CommandException(Exit.Data, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"nothing was signed: {e.Message}");
        }
    }

    /// <summary>Writes a bundle, whole or not at all.</summary>
    public static void Write(BundleFiles bundle, string file)
    {
        try
        {
            if (File.Exists(file))
                throw new IOException("it is there already");
            using var buffer = new MemoryStream();
            bundle.Write(buffer);
            OwnFiles.Write(file, buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write {file}: {e.Message}");
        }
    }

    private static async Task<int> VerifyAsync(ParseResult parse, CancellationToken cancel)
    {
        var message = parse.GetValue(MessageOption) is { } original
            ? await File.ReadAllBytesAsync(original, cancel)
            : null;
        var (anchors, now) = (Anchors(parse), TimeProvider.System.GetUtcNow());
        var statements = await parse.WatchedAsync(async progress =>
        {
            var bundles = new List<BundleFiles>();
            foreach (var file in parse.GetRequiredValue(BundleArgument))
            {
                progress.Report(new($"{file} is read"));
                bundles.Add(await ReadAsync(file));
            }
            progress.Report(new("signatures, records and proofs"));
            return await Task.Run(() => new BundleVerification(bundles, anchors, message, now).RunAsync());
        });
        var contradicted = statements.Any(s => s.Verdict == Verdict.Contradicted);
        return parse.Report(
            new
            {
                statements = statements.Select(s => new
                {
                    s.What,
                    verdict = Word(s.Verdict),
                    s.By,
                    until = s.Until is { } until ? RecordTime.Write(until) : null,
                    why = s.Why.Length > 0 ? s.Why : null,
                }),
            },
            string.Join('\n', statements.Select(Line)),
            contradicted ? Exit.Data : Exit.Ok
        );
    }

    private static async Task<BundleFiles> ReadAsync(string file)
    {
        try
        {
            await using var stream = File.OpenRead(file);
            return BundleFiles.Read(stream);
        }
        catch (EvidenceException e)
        {
            throw new CommandException(Exit.Data, $"{file}: {e.Message}");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CommandException(Exit.Unavailable, $"{file}: {e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    private static TrustAnchors Anchors(ParseResult parse)
    {
        try
        {
            return parse.GetValue(AnchorOption) is { } file ? NameService.Read(file) : TrustAnchors.BuiltIn;
        }
        catch (ConfigurationException e)
        {
            throw new CommandException(Exit.Usage, e.Message.Replace("dns.trustAnchors", "--trust-anchor"));
        }
    }

    private static string Word(Verdict verdict) =>
        verdict == Verdict.NotCovered ? "not covered" : verdict.ToString().ToLowerInvariant();

    private static string Line(Statement statement) =>
        $"{Word(statement.Verdict), -12} {Printable(statement.What)}"
        + (statement.By is { } by ? $"\n             by key {by}" : "")
        + (statement.Until is { } until ? $"\n             until {RecordTime.Write(until)}" : "")
        + (statement.Why.Length > 0 ? $"\n             {Printable(statement.Why)}" : "");

    /// <summary>Whoever made the bundle must not write lines of his own among ours.</summary>
    private static string Printable(string text) => MessageText.OneLine(text, most: 2000);
}
