using System.CommandLine;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.Smtp;

namespace PgpTunnel.Commands;

/// <summary><c>demo</c>: one message through two gateways and a hop, on this machine, and what each station saw.</summary>
internal static class DemoCommand
{
    private const int LinesShown = 22;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly Argument<string?> MessageArgument = new("MESSAGE.eml")
    {
        DefaultValueFactory = _ => null,
        Description = "A message with CRLF lines (default: a sample).",
    };
    private static readonly Option<string?> EvidenceOption = new("--evidence")
    {
        Description = "Also writes what both gateways have on record about the message, for 'evidence verify'.",
        HelpName = "FILE.tar",
    };

    public static Command Create() =>
        Cli.Command(
            "demo",
            "Sends a message from a.example to b.example through two gateways and a hop, all on loopback, with a "
                + "DNSSEC-signed DNS of its own. Exit code 0 only if it arrives byte for byte; 65 if it is refused.",
            "pgptunnel demo message.eml",
            RunAsync,
            MessageArgument,
            EvidenceOption
        );

    private static async Task<int> RunAsync(ParseResult parse, CancellationToken never)
    {
        // Who interrupts it leaves nothing of it in the temporary folder.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(never);
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var end = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        return await RunUntilAsync(parse, stop.Token);
    }

    private static async Task<int> RunUntilAsync(ParseResult parse, CancellationToken cancel)
    {
        var message = parse.GetValue(MessageArgument) is { } file
            ? await File.ReadAllBytesAsync(file, cancel)
            : Sample();
        if (!parse.GetValue(Cli.Json))
            await Console.Out.WriteLineAsync(
                "Two companies with their gateways, a hop and a signed DNS are being set up on this machine …\n"
            );
        await using var theatre = await parse.WatchedAsync(progress =>
        {
            progress.Report(new("gateways, hop and DNS are set up"));
            return Theatre.OpenAsync(TimeProvider.System);
        });
        var before = Convert.ToHexStringLower(SHA256.HashData(message));
        var (from, to) = (
            new ReversePath(
                new Mailbox("alice", "a.example"),
                Body: Any8Bit(message) ? "8BITMIME" : null,
                SmtpUtf8: Any8Bit(message.AsSpan(0, MessageContent.HeaderLength(message)))
            ),
            new ForwardPath(new Mailbox("bob", "b.example"))
        );
        var reply = (
            await theatre.Sender.SendAsync(
                new SmtpTarget("gateway-a", theatre.A.OutboundServer!.EndPoint, TlsMode.None),
                from,
                [to],
                [message],
                cancel
            )
        )[0];
        if (!reply.IsPositive)
            return parse.Report(
                new
                {
                    identical = false,
                    refused = reply.ToString(),
                    sha256Before = before,
                },
                $"gateway A refuses the message: {reply}",
                Exit.Data
            );
        var seen = await parse.WatchedAsync(async progress =>
        {
            progress.Report(new("the message is on its way"));
            var arrived =
                await Task.WhenAny(theatre.ServerB.First, Task.Delay(Patience, cancel)) == theatre.ServerB.First;
            cancel.ThrowIfCancellationRequested();
            return arrived ? await theatre.ServerB.First : null;
        });
        if (seen is null)
            throw new CommandException(
                Exit.Temporary,
                $"the message did not arrive within {Patience.TotalSeconds:0} s\n{theatre.LogA}{theatre.LogB}"
            );
        var hop = await theatre.Hop.First;
        var (added, received) = Split(seen.Message);
        var after = Convert.ToHexStringLower(SHA256.HashData(received));
        var identical = before == after;
        if (parse.GetValue(EvidenceOption) is { } bundle)
            EvidenceCommand.Write(await DemoBundle.MakeAsync(theatre, reply.Text.Split(' ')[0], cancel), bundle);
        return parse.Report(
            new
            {
                identical,
                sha256Before = before,
                sha256After = after,
                reply = reply.ToString(),
                hopSaw = Encoding.ASCII.GetString(hop.Message),
                hopEnvelope = new { mailFrom = hop.From.ToString(), rcptTo = hop.To[0].ToString() },
                addedByB = added,
            },
            Story(theatre, message, from, to, reply, hop, seen, added, before, after)
                + (parse.GetValue(EvidenceOption) is { } written ? Evidence(written) : ""),
            identical ? Exit.Ok : Exit.Data
        );
    }

    /// <summary>The demo's DNS has a root of its own, whose anchor is in the bundle.</summary>
    private static string Evidence(string bundle) =>
        $"""


            5  What both gateways have on record is in {bundle}. To check it, from the root of this DNS on, with the message beside it:
                 tar -xf {bundle} dns/anchors.ds
                 pgptunnel evidence verify {bundle} --message MESSAGE.eml --trust-anchor dns/anchors.ds
               README.txt in it says how to do so with gpg, openssl, sha256sum and unbound-host.
            """;

    private static bool Any8Bit(ReadOnlySpan<byte> octets) => octets.ContainsAnyInRange((byte)0x80, (byte)0xFF);

    private static byte[] Sample()
    {
        using var stream = typeof(DemoCommand).Assembly.GetManifestResourceStream("sample.eml")!;
        using var buffer = new MemoryStream();
        stream.CopyTo(buffer);
        return buffer.ToArray();
    }

    /// <summary>What gateway B put in front, and the rest, which is the message.</summary>
    private static (string Added, byte[] Message) Split(byte[] delivered)
    {
        var fields = HeaderFields.Fields(delivered);
        var end = fields[1].Span.End.GetOffset(delivered.Length); // Received and PgpTunnel-Result
        return (Encoding.ASCII.GetString(delivered, 0, end), delivered[end..]);
    }

    private static string Story(
        Theatre t,
        byte[] message,
        ReversePath from,
        ForwardPath to,
        SmtpReply reply,
        Seen hop,
        Seen seen,
        string added,
        string before,
        string after
    ) =>
        $"""
            On this machine, on loopback sockets, nothing installed:
              DNS        root, example, a.example and b.example, DNSSEC-signed, at {t.DnsAddress}
              gateway A  a.example, key {t.KeyA.Fingerprint}
              hop        stores and forwards, holds no key
              gateway B  b.example, key {t.KeyB.Fingerprint}

            1  Alice's mail server hands gateway A a message of {message.Length} octets, SHA-256 {before}
                 MAIL FROM:{from}   RCPT TO:{to}
               Gateway A finds B's key in DNS, seals, commits, and answers:
                 {reply}

            2  All that the hop could read:
                 MAIL FROM:{hop.From}   RCPT TO:{hop.To[0]}
            {Indent(FirstLines(Encoding.ASCII.GetString(hop.Message)))}

            3  Gateway B opens it, checks integrity, signature, sender and freshness, commits, and delivers. Its log:
            {Indent(About(t.LogB.ToString()))}

            4  B's mail server received, in front of the message:
                 MAIL FROM:{seen.From}   RCPT TO:{seen.To[0]}
            {Indent(added)}
               and the message, SHA-256 {after}: {(before == after ? "identical, byte for byte." : "NOT IDENTICAL.")}
            """;

    /// <summary>What concerns the message; a self-check of a world that ends in a minute does not.</summary>
    private static string About(string log) =>
        string.Join('\n', log.Split('\n').Where(l => !l.StartsWith("event=self-check", StringComparison.Ordinal)));

    private static string FirstLines(string text)
    {
        var lines = text.ReplaceLineEndings("\n").Split('\n');
        return string.Join('\n', lines.Take(LinesShown))
            + (lines.Length > LinesShown ? $"\n… {lines.Length - LinesShown} more lines like it" : "");
    }

    private static string Indent(string text) =>
        string.Join('\n', text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(l => "     " + l));
}
