using System.Diagnostics;
using System.Globalization;
using System.Text;
using PgpTunnel.Interop;

namespace PgpTunnel.Benchmarks;

/// <summary>What to run.</summary>
/// <param name="Only">How the names of contenders begin; empty = all.</param>
internal sealed record WholeOptions(
    int Rounds,
    IReadOnlyList<int> Sizes,
    IReadOnlyList<int> Sessions,
    IReadOnlyList<Way> Ways,
    IReadOnlyList<string> Only
)
{
    /// <summary>The contender that the others' rates are divided by.</summary>
    public string Base { get; init; } = WholeGateway.Relay;

    /// <summary>So many times the messages: what differs little needs longer rounds.</summary>
    public int Longer { get; init; } = 1;
}

/// <summary>Messages through the whole gateway and through what people would run instead, in turn, round after round.</summary>
internal static class WholeGateway
{
    /// <summary>
    /// Rounds that do not count, for every contender alike: the runtime compiles what is used much again, and better, within some thousand
    /// messages, and a gateway runs for months.
    /// </summary>
    private static int WarmUp(int size) =>
        size < 100_000 ? 3
        : size < 5_000_000 ? 4
        : 2;

    /// <summary>Postfix that passes the same mail on, with no encryption at all.</summary>
    public const string Relay = "Postfix relay (a)";

    private const string Sender = "alice@a.example",
        Recipient = "bob@b.example",
        Mailbox = "pgptunnel@pgptunnel.a.example";

    /// <summary>One run of one contender.</summary>
    /// <param name="Rate">Messages a second, from the first octet of the first to the arrival of the last.</param>
    /// <param name="Cpu">Milliseconds a message.</param>
    /// <param name="Times">Milliseconds from MAIL to the 250, sorted.</param>
    internal sealed record Result(double Rate, double Cpu, double[] Times);

    public static async Task RunAsync(WholeOptions options, TextWriter output)
    {
        await using var contenders = await Contenders.StartAsync();
        output.WriteLine(Table.Head(options.Base == Relay ? "(a)" : options.Base));
        foreach (var way in options.Ways)
        foreach (var size in options.Sizes)
        foreach (var sessions in options.Sessions)
        {
            var chosen = contenders
                .For(way)
                .Where(c => options.Only.Any(o => c.Name.StartsWith(o, StringComparison.OrdinalIgnoreCase)))
                .ToList();
            var results = chosen.ToDictionary(c => c.Name, _ => new List<Result>());
            for (var round = 1 - WarmUp(size); round <= options.Rounds; round++)
                // In turn, so that none always has the better place.
                foreach (var contender in round % 2 == 0 ? chosen : Enumerable.Reverse(chosen))
                {
                    var count = Math.Max(
                        Math.Min(sessions, 20),
                        options.Longer * Count(size, sessions) / contender.Slowness
                    );
                    var result = await RunAsync(contenders, contender, way, (size, sessions, count));
                    if (round > 0)
                        results[contender.Name].Add(result);
                }
            await contenders.NothingIsLeftAsync();
            foreach (var (name, rounds) in results)
                output.WriteLine(
                    Table.Row(way, size, sessions, name, rounds, results.GetValueOrDefault(options.Base, rounds))
                );
        }
    }

    private static async Task<Result> RunAsync(
        Contenders contenders,
        Contender contender,
        Way way,
        (int Size, int Sessions, int Count) load
    ) =>
        way == Way.Outbound
            ? await OutboundAsync(contenders, contender, load.Size, load.Sessions, load.Count)
            : await InboundAsync(contenders, contender, load.Size, load.Sessions, load.Count);

    /// <summary>
    /// So many that a round takes a second or two, and that each session has several: with one each all would do the same at the same
    /// time.
    /// </summary>
    private static int Count(int size, int sessions) =>
        Math.Max(
            sessions,
            (size, sessions) switch
            {
                (< 100_000, 1) => 400,
                (< 100_000, _) => 2000,
                (< 5_000_000, 1) => 20,
                (< 5_000_000, _) => 300,
                (_, 1) => 4,
                _ => 60,
            }
        );

    private static async Task<Result> OutboundAsync(
        Contenders contenders,
        Contender contender,
        int size,
        int sessions,
        int count
    )
    {
        string Number(int n) => n.ToString(CultureInfo.InvariantCulture);
        var (all, before, began) = (contenders.Sink.Taken + count, contender.Cpu(), Stopwatch.GetTimestamp());
        (
            await Run.ProgramAsync(
                Need.Program("smtp-source"),
                [
                    "-d",
                    "-s",
                    Number(Math.Min(sessions, count)),
                    "-m",
                    Number(count),
                    "-l",
                    Number(size),
                    "-f",
                    Sender,
                    "-t",
                    Recipient,
                    contender.Server.ToString(),
                ],
                bound: TimeSpan.FromMinutes(10)
            )
        ).Expect(0);
        await contenders.Sink.UntilAsync(all, 600);
        var (took, cpu) = (Stopwatch.GetElapsedTime(began), contender.Cpu() - before);
        // smtp-source does not tell the time of each message.
        return new Result(
            count / took.TotalSeconds,
            cpu.TotalMilliseconds / count,
            await TimesAsync(contenders, contender, size, sessions, Math.Max(Math.Min(sessions, 20), count / 4))
        );
    }

    private static async Task<double[]> TimesAsync(
        Contenders contenders,
        Contender contender,
        int size,
        int sessions,
        int count
    )
    {
        var all = contenders.Sink.Taken + count;
        var message = Encoding.ASCII.GetBytes(Text(0, size));
        var times = await Source.SendAsync(
            contender.Server,
            Sender,
            Recipient,
            [.. Enumerable.Repeat(message, count)],
            Math.Min(sessions, count)
        );
        await contenders.Sink.UntilAsync(all, 600);
        return [.. times.Select(t => t.TotalMilliseconds).Order()];
    }

    private static async Task<Result> InboundAsync(
        Contenders contenders,
        Contender contender,
        int size,
        int sessions,
        int count
    )
    {
        var parcels = Enumerable.Range(0, count).Select(n => contenders.SealForGateway(Text(n, size))).ToList();
        var (all, before, began) = (contenders.Sink.Taken + count, contender.Cpu(), Stopwatch.GetTimestamp());
        var times = await Source.SendAsync(contender.Server, "", Mailbox, parcels, Math.Min(sessions, count));
        await contenders.Sink.UntilAsync(all, 600);
        return new Result(
            count / Stopwatch.GetElapsedTime(began).TotalSeconds,
            (contender.Cpu() - before).TotalMilliseconds / count,
            [.. times.Select(t => t.TotalMilliseconds).Order()]
        );
    }

    /// <summary>A message of about that size in lines of text.</summary>
    private static string Text(int number, int size) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"From: <{Sender}>\r\nTo: <{Recipient}>\r\nSubject: message {number}\r\n\r\n"
        )
        + string.Concat(
            Enumerable.Repeat("a line of sixty-two octets, as people write them to each other\r\n", size / 64)
        );
}
