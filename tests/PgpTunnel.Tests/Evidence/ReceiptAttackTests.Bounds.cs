using System.Numerics;
using System.Text;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>How much of it: numbers, outcomes, reports and alarms have their bounds.</summary>
public sealed partial class ReceiptAttackTests
{
    /// <summary>The place of a record is its log's number and its index in one number: an index may not reach into the other.</summary>
    [Theory]
    [InlineData(1L << 31)]
    [InlineData(8L << 32)]
    [InlineData(0x7FFFFFFFL << 32)]
    [InlineData(long.MaxValue - 1)]
    public async Task A_log_of_more_records_than_there_can_be_is_none(long from)
    {
        var parcel = await AwaitedAsync();
        var hashes = BitOperations.PopCount((ulong)from);
        var edge = TreeEdge.Read(from, new byte[hashes * TreeHash.Length])!;
        Assert.StartsWith("250", await ReceiptAsync(Tail([Outcome(from, parcel)], edge)));
        await NothingSettledAsync("receipt-mismatch");
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        Assert.Empty(spool.Spool.Mirrors("a.example", "b.example"));
    }

    [Fact]
    public async Task More_outcomes_than_a_receipt_has_are_none()
    {
        var parcel = await AwaitedAsync();
        await ReceiptAsync(Tail([.. Enumerable.Range(0, LogTail.MostOutcomes + 1).Select(n => Outcome(n, parcel))]));
        await NothingSettledAsync("receipt-mismatch");
    }

    /// <summary>However often it is told, and in however many receipts.</summary>
    [Fact]
    public async Task A_sender_hears_once_that_it_was_relayed()
    {
        _pair.HopAnswer = _ => SmtpReply.Ok;
        await _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example> NOTIFY=SUCCESS"], "Subject: x\r\n\r\nx\r\n");
        await _pair.B.SettledAsync();
        var parcel = Sealed();
        TailItem Told(long n, int isFinal) =>
            Item(
                n,
                "outcome",
                parcel.Id,
                Convert.ToHexStringLower(parcel.Lit),
                ("to", new object[] { new object[] { 0, "relayed", "2.0.0" } }),
                ("final", isFinal)
            );
        var edge = new TreeEdge();
        for (var receipt = 0; receipt < 3; receipt++)
        {
            var tail = Tail([.. Enumerable.Range(0, 5).Select(n => Told((5 * receipt) + n, receipt / 2))], edge);
            Assert.StartsWith("250", await ReceiptAsync(tail));
            edge = edge.Copy();
            foreach (var item in tail.Items)
                edge.Append(item.Leaf);
        }
        Assert.Equal(ReceiptState.Settled, Sealed().Receipt);
        await _pair.B.SettledAsync();
        Assert.Single(_pair.B.Received, m => Encoding.Latin1.GetString(m.Message).Contains("Action: relayed"));
    }

    [Fact]
    public async Task A_peer_begins_ten_logs_a_day_and_no_more()
    {
        await AwaitedAsync();
        for (var i = 0; i < 12; i++)
            await ReceiptAsync(Tail([new(TreeHash.Leaf([(byte)i]))], id: $"{i:x16}"));
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        Assert.Equal(10, spool.Spool.Mirrors("a.example", "b.example").Count);
        _pair.World.Time.Advance(TimeSpan.FromHours(25));
        await ReceiptAsync(Tail([new(TreeHash.Leaf("x"u8))], id: new string('f', 16)));
        Assert.Equal(11, spool.Spool.Mirrors("a.example", "b.example").Count);
    }

    /// <summary>To look for what nobody remembers takes a look at everything: one a minute is enough for a peer.</summary>
    [Fact]
    public async Task Who_tells_of_unknown_messages_causes_one_look_a_minute()
    {
        var parcel = await AwaitedAsync();
        var first = Tail([Outcome(0, parcel, id: Other)]);
        Assert.StartsWith("250", await ReceiptAsync(first));
        var second = Tail([Outcome(1, parcel, id: new string('d', 32))], Behind(first));
        Assert.StartsWith("451", await ReceiptAsync(second));
        _pair.World.Time.Advance(TimeSpan.FromSeconds(61));
        Assert.StartsWith("250", await ReceiptAsync(second));
    }

    private static TreeEdge Behind(LogTail tail)
    {
        var edge = tail.Edge.Copy();
        foreach (var item in tail.Items)
            edge.Append(item.Leaf);
        return edge;
    }

    /// <summary>What does not fit is on record by its beginning, and of very many only some.</summary>
    [Fact]
    public async Task Receipts_that_do_not_fit_fill_no_disk()
    {
        await AwaitedAsync();
        var junk = new byte[300_000];
        Array.Fill(junk, (byte)'x');
        for (var i = 0; i < 25; i++)
            await ReceiptAsync(junk);
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        var alarms = spool
            .Spool.Records(spool.Spool.OpenLog("b.example", "a.example")!.Number)
            .Where(r => r.Record.Text("what") == "receipt-mismatch")
            .ToList();
        Assert.Equal(20, alarms.Count);
        Assert.All(alarms, a => Assert.InRange(a.Opening!.Length, 1, 10_000));
        Assert.Equal(25, _pair.B.Log.ToString().Split("event=receipt-mismatch").Length - 1);
    }

    /// <summary>A receipt that names something unknown settles nothing; what else it told is found before an alarm is raised.</summary>
    [Fact]
    public async Task What_was_told_beside_something_that_does_not_fit_is_not_missed()
    {
        var parcel = await AwaitedAsync();
        await ReceiptAsync(Tail([Outcome(0, parcel), Outcome(1, parcel, id: Other)]));
        await NothingSettledAsync("receipt-mismatch");
        _pair.World.Time.Advance(TimeSpan.FromHours(4) + TimeSpan.FromSeconds(1));
        await Wait.UntilAsync(() => Sealed().Receipt == ReceiptState.Settled, () => _pair.B.Log.ToString());
        Assert.DoesNotContain("event=receipt-overdue", _pair.B.Log.ToString());
    }

    /// <summary>What no known key has signed is on record as a number, once an hour.</summary>
    [Fact]
    public async Task Junk_that_strangers_send_is_counted_and_no_more()
    {
        var stranger = GatewayKey.Generate(GatewayAlgorithm.Ed25519, "pgptunnel@pgptunnel.a.example", Now);
        for (var hour = 1; hour <= 2; hour++)
        {
            for (var i = 0; i < 7 * hour; i++)
            {
                var header = _pair.Header("<bob@b.example>", 5);
                Assert.StartsWith(
                    "550",
                    await DeliverAsync(Outer(Seal(Bodies.Write(header, ["x\r\n\r\n"u8.ToArray()]), stranger)))
                );
            }
            await Noise(hour - 1);
            _pair.World.Time.Advance(TimeSpan.FromMinutes(61));
            await Noise(hour);
        }

        Task Noise(int count) =>
            Wait.UntilAsync(
                () =>
                {
                    using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
                    var world = spool.Spool.OpenLog("b.example", LogOrigin.World)!;
                    var noise = spool.Spool.Records(world.Number).Where(r => r.Record.Event == "noise").ToList();
                    return noise.Count == count
                        && noise.Select((n, i) => n.Record.Number("count") == 7 * (i + 1)).All(x => x);
                },
                () => _pair.B.Log.ToString()
            );
    }
}
