using System.CommandLine;
using PgpTunnel.Smtp;

namespace PgpTunnel.Commands;

/// <summary><c>seal</c>: a filter from a message to the outer message that would travel.</summary>
internal static class SealCommand
{
    private static readonly Option<string> FromOption = new("--from")
    {
        Description = "Envelope sender.",
        HelpName = "F",
        Required = true,
    };
    private static readonly Option<string> ToOption = new("--to")
    {
        Description = "Envelope recipient.",
        HelpName = "T",
        Required = true,
    };

    public static Command Create() =>
        Cli.Command(
            "seal",
            "Reads a message (CRLF lines) on stdin and writes the outer message to stdout.",
            "pgptunnel seal --from alice@a.example --to bob@b.example < message.eml > sealed.eml",
            RunAsync,
            FromOption,
            ToOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken cancel)
    {
        if (parse.GetValue(Cli.Json))
            throw new CommandException(
                Exit.Usage,
                "seal writes the outer message to stdout; there is nothing to report as JSON"
            );
        var (from, to) = (
            PolicyCommand.AddressOrNull(parse.GetRequiredValue(FromOption)),
            PolicyCommand.Address(parse.GetRequiredValue(ToOption))
        );
        if (from is { IsLiteral: true } || to.IsLiteral || to.Domain.Length == 0)
            throw new CommandException(Exit.Usage, "addresses with a domain are needed, not literals");
        var configuration = parse.Configuration();
        var message = await ReadStdinAsync(configuration.Limits.MessageSize, cancel);
        if (MessageContent.Refusal(message) is { } bad)
            throw new CommandException(Exit.Data, $"{bad}; on Unix, 'sed s/$/\\\\r/' or unix2dos makes CRLF lines");
        await using var session = GatewayAtRest.Open(configuration);
        await session.Arming.CheckAsync(cancel);
        var (decision, peer) = await session.Decisions.DecideAsync(
            PolicyCommand.Normal(to.Domain),
            session.SenderDomain(from),
            LocalPolicy.Never,
            cancel
        );
        if (decision.Kind != DecisionKind.Seal)
            throw new CommandException(
                decision.Kind == DecisionKind.Defer ? Exit.Temporary : Exit.Refused,
                decision.Reply?.ToString() ?? $"not sealed: {decision.Why}"
            );
        if (peer!.Size is { } largest && message.Length > largest)
            throw new CommandException(
                Exit.Refused,
                $"552 5.3.4 {peer.Domain} takes messages of at most {largest} octets"
            );
        var international = (from?.IsInternational ?? false) || to.IsInternational;
        var path = new ReversePath(
            from,
            Body: message.AsSpan().ContainsAnyInRange((byte)0x80, (byte)0xFF) ? "8BITMIME" : null,
            SmtpUtf8: international
        );
        var (parcel, content) = new Parcels(session.Settings, TimeProvider.System).Seal(
            peer,
            new(session.SenderDomain(from), path, [new ForwardPath(to)], [message], Leaving.SealedOnly)
        );
        await using var output = Console.OpenStandardOutput();
        foreach (
            var part in OuterMessage.Build(
                configuration.Gateway,
                peer.Gateway,
                parcel.Token,
                parcel.Created,
                content.Body
            )
        )
            await output.WriteAsync(part, cancel);
        await Console.Error.WriteLineAsync(
            $"pgptunnel: {parcel.Id} sealed for {peer.Domain} key {peer.Preferred.Fingerprint} "
                + $"dnssec={peer.Security.ToString().ToLowerInvariant()}"
        );
        return Exit.Ok;
    }

    /// <summary>All of stdin, as octets.</summary>
    public static async Task<byte[]> ReadStdinAsync(long limit, CancellationToken cancel)
    {
        await using var input = Console.OpenStandardInput();
        using var buffer = new MemoryStream();
        var chunk = new byte[81920];
        for (int read; (read = await input.ReadAsync(chunk, cancel)) > 0; )
        {
            buffer.Write(chunk, 0, read);
            if (buffer.Length > limit)
                throw new CommandException(
                    Exit.Data,
                    $"the message is larger than {limit} octets (limits.messageSize)"
                );
        }
        return buffer.ToArray();
    }
}
