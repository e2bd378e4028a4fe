using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PgpTunnel.Evidence;

namespace PgpTunnel.Interop;

/// <summary>
/// kill -9, or SIGTERM, at random moments under load, both ways at once, again and again:
/// <code>
///   clients  -> gateway A (process, killed) -> relay (this test)         sealed for B, opened here with B's key
///   hop (B's parcels, handed in until taken) -> gateway A -> A's mail server (this test)
/// </code>
/// Every message is accounted for by its content. PGPTUNNEL_STORM_CYCLES sets how often it is killed (50).
/// </summary>
public sealed partial class StormTests
{
    private const int Kills = 50,
        Terminations = 10,
        Clients = 3;

    [GeneratedRegex(
        "^Subject: (?<way>out|in) (?<n>\\d+)\r\n\r\n(?<body>(x{60}\r\n)*)end of (?<again>\\k<way> \\k<n>)\r\n$"
    )]
    private static partial Regex Whole();

    private static string Text(string way, int number) =>
        $"Subject: {way} {number}\r\n\r\n"
        + $"{string.Concat(Enumerable.Repeat(new string('x', 60) + "\r\n", number % 50 == 0 ? 3000 : number % 7))}"
        + $"end of {way} {number}\r\n";

    [Fact]
    public Task Killed_at_any_time_under_load_nothing_answered_is_lost_and_nothing_goes_in_clear() =>
        StormAsync(
            "KILL",
            int.TryParse(Environment.GetEnvironmentVariable("PGPTUNNEL_STORM_CYCLES"), out var wanted) ? wanted : Kills
        );

    [Fact]
    public Task Terminated_at_any_time_under_load_it_loses_nothing_and_sends_nothing_twice() =>
        StormAsync("TERM", Terminations);

    private static async Task StormAsync(string signal, int cycles)
    {
        await using var lab = await Lab.CreateAsync();
        lab.Change(c => c["receipts"] = new JsonObject { ["every"] = "00:00:01" });
        var (answered, sent, lost) = (new ConcurrentDictionary<int, bool>(), 0, 0);
        var handedIn = new ConcurrentDictionary<int, bool>();
        var parcels = new ConcurrentQueue<(int Number, byte[] Outer)>();
        var made = 0;
        var random = new Random(9);
        for (var cycle = 0; cycle < cycles; cycle++)
        {
            await using var gateway = await lab.StartAsync();
            var (outbound, inbound, dead) = (
                Lab.Outbound(gateway),
                Lab.Inbound(gateway),
                new CancellationTokenSource()
            );
            var load = Enumerable
                .Range(0, Clients)
                .Select(_ =>
                    Task.Run(async () =>
                    {
                        while (!dead.IsCancellationRequested)
                        {
                            var number = Interlocked.Increment(ref sent);
                            if (await Lab.SendAsync(outbound, "<bob@b.example>", Text("out", number)) is { Code: 250 })
                                answered[number] = true;
                            else
                                Interlocked.Increment(ref lost);
                        }
                    })
                )
                .Append(
                    Task.Run(async () =>
                    {
                        while (!dead.IsCancellationRequested)
                        {
                            if (!parcels.TryDequeue(out var parcel))
                                parcel = (Interlocked.Increment(ref made), []);
                            if (parcel.Outer.Length == 0)
                                parcel.Outer = lab.SealForA(Text("in", parcel.Number), asks: true);
                            if (await Lab.HandInAsync(inbound, parcel.Outer) is { Code: 250 })
                                handedIn[parcel.Number] = true;
                            else
                                parcels.Enqueue(parcel); // a hop tries again, the very same
                        }
                    })
                )
                .ToList();
            // At any time, and every other time when there is load, however slow the machine.
            var before = answered.Count;
            if (cycle % 2 == 0)
                await Wait.UntilAsync(
                    () => answered.Count > before && (cycle > 0 || !handedIn.IsEmpty),
                    () => $"nothing is taken:\n{gateway.Log}"
                );
            await Task.Delay(random.Next(20, 400));
            gateway.Signal(signal);
            await dead.CancelAsync();
            await Task.WhenAll(load);
            if (signal == "TERM") // once: another one, when all is done and only the process is left, would be its end by signal
            {
                await Wait.UntilAsync(() => gateway.HasExited, () => $"it does not end:\n{gateway.Log}");
                Assert.Equal(0, gateway.ExitCode);
            }
            dead.Dispose();
        }
        await using var last = await lab.StartAsync();
        var keys = Delivered(lab.OpenRelayed(), "out");
        await Wait.UntilAsync(
            () => answered.Keys.All((keys = Delivered(lab.OpenRelayed(), "out")).ContainsKey),
            () =>
                $"{answered.Count} answered 250, missing: {string.Join(", ", answered.Keys.Except(keys.Keys).Take(20))}\n{last.Log}"
        );
        var arrived = Delivered(lab.Local.Select(WithoutTrace), "in");
        await Wait.UntilAsync(
            () => handedIn.Keys.All((arrived = Delivered(lab.Local.Select(WithoutTrace), "in")).ContainsKey),
            () =>
                $"{handedIn.Count} handed in, missing: {string.Join(", ", handedIn.Keys.Except(arrived.Keys).Take(20))}\n{last.Log}"
        );
        // None in clear: everything that went out is a parcel, and no parcel shows a line of its message.
        Assert.All(lab.Relayed, s => Assert.Equal("pgptunnel.b.example", s.To[0].Mailbox.Domain));
        Assert.All(
            lab.Relayed,
            s => Assert.DoesNotContain("end of out", System.Text.Encoding.ASCII.GetString(s.Message))
        );
        // More than once only where the taker's 250 did not come to us before the kill: at most what was in flight then.
        var (twiceOut, twiceIn) = (keys.Values.Sum() - keys.Count, arrived.Values.Sum() - arrived.Count);
        var atOnce = signal == "KILL" ? 25 : 0;
        Assert.True(twiceOut <= cycles * atOnce && twiceIn <= cycles * atOnce, $"{twiceOut} and {twiceIn} duplicates");
        Assert.True(
            answered.Count >= cycles / 2 && !handedIn.IsEmpty,
            $"only {answered.Count} and {handedIn.Count} messages: no load"
        );
        var summary = string.Create(
            CultureInfo.InvariantCulture,
            $"{cycles} times {signal}; out: {answered.Count} answered, all delivered, {twiceOut} more than once, "
                + $"{lost} without an answer; in: {handedIn.Count} taken, all delivered, {twiceIn} more than once"
        );
        TestContext.Current.SendDiagnosticMessage(summary);
        await CheckReceiptsAsync(lab, last);
        Assert.Equal(0, await last.StopAsync());
        await CheckRecordsAsync(lab, answered.Count, handedIn.Count);
    }

    /// <summary>
    /// All receipts are of one history, whenever the gateway was killed between signing and sending: each tells the log that it has on its
    /// disk, and together they tell every outcome.
    /// </summary>
    private static async Task CheckReceiptsAsync(Lab lab, Daemon gateway)
    {
        await using var spool = Spool.Open(ConfigurationReader.Read(lab.Config).SpoolFile, running: false);
        await Wait.UntilAsync(
            () => spool.OwedReceipts().Count == 0 && spool.List().All(p => p.State == ParcelState.Handed),
            () => $"{string.Join('\n', spool.OwedReceipts())}\n{gateway.Log}"
        );
        var log = Assert.Single(spool.Logs(), l => l.Origin.Peer == "b.example");
        var records = spool.Records(log.Number).Select(r => r.Record).ToList();
        var told = new HashSet<string>(StringComparer.Ordinal);
        foreach (var tail in lab.Receipts())
        {
            Assert.Equal(log.Origin, tail.Head.Origin);
            Assert.Equal(
                records.Skip((int)tail.From).Take(tail.Items.Count).Select(r => Convert.ToHexString(r.LeafHash)),
                tail.Items.Select(i => Convert.ToHexString(i.Leaf))
            );
            Assert.Equal(spool.RootAt(log, tail.Head.Size), tail.Head.Root);
            told.UnionWith(tail.Items.Where(i => i.Record?.Event == "outcome").Select(i => i.Record!.Text("id")!));
        }
        Assert.Equal(records.Where(r => r.Event == "outcome").Select(r => r.Text("id")!).Order(), told.Order());
    }

    /// <summary>
    /// Records equal parcels: every 250 has exactly one <c>sealed</c>, all that is settled one <c>handed</c>, what came one <c>opened</c>
    /// and one final <c>outcome</c>; and the heads are those of the records.
    /// </summary>
    private static async Task CheckRecordsAsync(Lab lab, int answered, int handedIn)
    {
        await using var spool = Spool.Open(ConfigurationReader.Read(lab.Config).SpoolFile, running: false);
        var records = new List<Evidence.Record>();
        foreach (var log in spool.Logs())
        {
            var edge = new TreeEdge();
            foreach (var stored in spool.Records(log.Number))
            {
                Assert.Equal(edge.Size, stored.Record.N);
                edge.Append(stored.Record.LeafHash);
                records.Add(stored.Record);
            }
            Assert.Equal(log.Head.Line, new Checkpoint(log.Origin, edge.Size, edge.Root()).Line);
        }
        List<string> Ids(string ev) => [.. records.Where(r => r.Event == ev).Select(r => r.Text("id")!).Order()];
        foreach (var (first, last, least) in new[] { ("sealed", "handed", answered), ("opened", "outcome", handedIn) })
        {
            Assert.Equal(Ids(first).Distinct(), Ids(first));
            Assert.Equal(Ids(first), Ids(last));
            Assert.True(Ids(first).Count >= least, $"{least} answered, {Ids(first).Count} records '{first}'");
        }
        Assert.Empty(Ids("clear"));
    }

    /// <summary>How often each message arrived; fails when one is not whole.</summary>
    private static Dictionary<int, int> Delivered(IEnumerable<string> messages, string way) =>
        messages
            .Select(m =>
            {
                var match = Whole().Match(m);
                Assert.True(
                    match.Success && match.Groups["way"].Value == way,
                    $"not whole: {m[..Math.Min(200, m.Length)]}"
                );
                return int.Parse(match.Groups["n"].Value, CultureInfo.InvariantCulture);
            })
            .GroupBy(n => n)
            .ToDictionary(g => g.Key, g => g.Count());

    private static string WithoutTrace(string message) =>
        message[message.IndexOf("Subject: ", StringComparison.Ordinal)..];
}
