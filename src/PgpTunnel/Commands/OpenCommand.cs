using System.CommandLine;

namespace PgpTunnel.Commands;

/// <summary><c>open</c>: a filter from an outer message back to the message. It neither asks nor changes the replay store.</summary>
internal static class OpenCommand
{
    private static readonly Option<string?> OutputOption = new("--output")
    {
        Description = "Write the message here instead of stdout; needed with --json.",
        HelpName = "FILE",
    };

    public static Command Create() =>
        Cli.Command(
            "open",
            "Reads an outer message (or a bare OpenPGP message) on stdin, opens and verifies it, and writes the "
                + "message to stdout; the verdict goes to stderr.",
            "pgptunnel open < sealed.eml > message.eml",
            RunAsync,
            OutputOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        var (json, file) = (parse.GetValue(Cli.Json), parse.GetValue(OutputOption));
        if (json && file is null)
            throw new CommandException(Exit.Usage, "--json needs --output FILE, since stdout holds the verdict");
        var configuration = parse.Configuration();
        var input = await SealCommand.ReadStdinAsync(configuration.Limits.OuterSize, cancel);
        await using var session = GatewayAtRest.Open(configuration);
        var (parcel, date) = Find(input);
        var opened = await session.Opening.OpenAsync(parcel, date, cancel);
        var stale = opened.Refusal is null
            ? session.Opening.CheckFreshness(opened.Header!, opened.Decrypted!.Signed!.Value)
            : null;
        var (refusal, why) = (
            opened.Refusal ?? stale?.Reply,
            opened.Refusal is null ? stale?.Why ?? opened.Why : opened.Why
        );
        var header = opened.Header;
        if (refusal is null)
            await WriteAsync(file, opened.Message, cancel);
        var verdict = new
        {
            opened = refusal is null,
            verified = refusal is null,
            reply = refusal?.ToString(),
            why,
            id = header?.Id,
            sender = header?.Sender.Domain,
            fingerprint = header?.Sender.Fingerprint,
            recipient = header?.Recipient.Domain,
            date = header is null ? null : InnerHeader.Time(header.Date),
            expires = header is null ? null : InnerHeader.Time(header.Expires),
            mailFrom = refusal is null ? header!.MailFrom.ToString() : null,
            rcptTo = refusal is null ? header!.RcptTo.Select(r => r.ToString()) : null,
            size = header?.Size,
        };
        var code =
            refusal is null ? Exit.Ok
            : refusal.IsTemporary ? Exit.Temporary
            : Exit.Data;
        if (json)
            return parse.Report(verdict, "", code);
        await Console.Error.WriteLineAsync(
            refusal is null
                ? $"pgptunnel: {header!.Id} from {header.Sender.Domain} key {header.Sender.Fingerprint}: verified; "
                    + $"{header.MailFrom} to {string.Join(", ", header.RcptTo)}"
                : $"pgptunnel: {refusal}: {why}"
        );
        return code;
    }

    /// <summary>The armored part of an outer message, or the input itself when it is a bare OpenPGP message.</summary>
    private static (ReadOnlyMemory<byte> Parcel, DateTimeOffset Date) Find(byte[] input)
    {
        if (
            input.Length > 0
            && (input[0] >= 0x80 || input.AsSpan().TrimStart(" \t\r\n"u8).StartsWith("-----BEGIN PGP MESSAGE-----"u8))
        )
            return (input, DateTimeOffset.MinValue);
        return OuterMessage.FindParcel(input) is { } parcel
            ? (parcel, OuterMessage.DateOf(input))
            : throw new CommandException(Exit.Data, "there is not exactly one armored OpenPGP message in the input");
    }

    private static async Task WriteAsync(string? file, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        if (file is not null)
        {
            // Plaintext: for its owner only.
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            await using var stream = new FileStream(file, options);
            await stream.WriteAsync(message, cancel);
            return;
        }
        await using var output = Console.OpenStandardOutput();
        await output.WriteAsync(message, cancel);
    }
}
