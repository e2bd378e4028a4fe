using PgpTunnel.Evidence;

namespace PgpTunnel.Tests;

/// <summary>What it tells of logs beside: of its own in parcels, of ours, and far too much.</summary>
public sealed partial class ReceiptAttackTests
{
    [Fact]
    public async Task A_head_in_a_parcel_that_contradicts_another_is_found()
    {
        await AwaitedAsync();
        TailItem[] held = [new(TreeHash.Leaf("0"u8)), new(TreeHash.Leaf("1"u8))];
        await ReceiptAsync(Tail(held));
        var other = Tail([new(TreeHash.Leaf("x"u8)), new(TreeHash.Leaf("y"u8))]);
        Assert.StartsWith(
            "250",
            await DeliverAsync(Header() with { Checkpoint = new(new(other.Head), other.Signature) })
        );
        await NothingSettledAsync("partner-rewrote-log");
    }

    [Fact]
    public async Task Who_holds_more_of_our_log_than_we_do_shows_that_we_were_set_back()
    {
        await AwaitedAsync();
        LogOrigin before;
        using (var spool = new OpenSpool(_pair.B.Configuration.SpoolFile))
            before = spool.Spool.OpenLog("b.example", "a.example")!.Origin;
        _pair.World.Time.Advance(TimeSpan.FromMinutes(61));
        await DeliverAsync(Header() with { Seen = new(before.Id, 1000, new byte[32]) });
        await _pair.B.WaitForLogAsync("event=log-closed");
        await DeliverAsync(Header());
        using var after = new OpenSpool(_pair.B.Configuration.SpoolFile);
        var log = after.Spool.OpenLog("b.example", "a.example")!;
        Assert.NotEqual(before, log.Origin);
        Assert.Equal("restored", after.Spool.Record(log.Number, 0)!.Record.Text("why"));
    }

    /// <summary>Who says so of each new log does not have us begin one with each of his parcels.</summary>
    [Fact]
    public async Task Who_claims_that_again_and_again_has_one_log_an_hour()
    {
        await AwaitedAsync();
        _pair.World.Time.Advance(TimeSpan.FromMinutes(61));
        for (var i = 0; i < 5; i++)
        {
            using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
            var log = spool.Spool.OpenLog("b.example", "a.example");
            await DeliverAsync(
                Header() with
                {
                    Seen = log is null ? null : new(log.Origin.Id, 1000 + i, new byte[32]),
                }
            );
        }
        using var after = new OpenSpool(_pair.B.Configuration.SpoolFile);
        Assert.Equal(2, after.Spool.Logs().Count(l => l.Origin is { Own: "b.example", Peer: "a.example" }));
    }

    [Fact]
    public async Task A_log_made_up_to_fill_our_disk_is_not_held()
    {
        await AwaitedAsync();
        var edge = new TreeEdge();
        var leaf = new TailItem(new byte[32]);
        for (var n = 0; n < 28; n++)
        {
            var tail = Tail([.. Enumerable.Repeat(leaf, 19_000)], edge);
            await ReceiptAsync(tail);
            edge = edge.Copy();
            foreach (var item in tail.Items)
                edge.Append(item.Leaf);
        }
        await NothingSettledAsync("receipt-mismatch");
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        Assert.Equal(26 * 19_000, Assert.Single(spool.Spool.Mirrors("a.example", "b.example")).Edge.Size);
    }

    /// <summary>A receipt without records is no part of a log, and is never answered.</summary>
    [Fact]
    public async Task One_without_records_makes_nothing()
    {
        await AwaitedAsync();
        Assert.StartsWith("250", await ReceiptAsync(Tail([])));
        _pair.World.Time.Advance(TimeSpan.FromHours(2));
        await Task.Delay(TimeSpan.FromSeconds(3));
        using var spool = new OpenSpool(_pair.B.Configuration.SpoolFile);
        Assert.Empty(spool.Spool.Mirrors("a.example", "b.example"));
        Assert.DoesNotContain("event=receipt-sent", _pair.B.Log.ToString());
    }
}
