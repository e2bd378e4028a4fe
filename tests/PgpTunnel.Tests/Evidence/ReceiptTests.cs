using System.Text;
using PgpTunnel.Demo;
using PgpTunnel.Evidence;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

/// <summary>Receipts cross the wire, settle what was sealed, heal when they are lost, and are missed when none comes.</summary>
public sealed partial class ReceiptTests : IAsyncLifetime
{
    private const string Receipts = "\"receipts\": { \"every\": \"00:01:00\" }";

    private Pair _pair = null!;
    private int _sent;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync(Receipts, Receipts);

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    /// <summary>Sends a message from A to B, and waits until it has arrived.</summary>
    /// <returns>Its id.</returns>
    private async Task<string> SendAsync(string to = "<bob@b.example>")
    {
        await _pair.A.SendAsync("<alice@a.example>", [to], $"Subject: {_sent}\r\n\r\nx\r\n");
        await _pair.B.WaitAsync(++_sent);
        await _pair.A.SettledAsync();
        return (await LastAsync()).Id;
    }

    /// <summary>What A has in its spool that is sealed for B.</summary>
    private async Task<IReadOnlyList<Parcel>> ParcelsAsync()
    {
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        return [.. spool.List().Where(p => p is { Form: ParcelForm.Sealed, Domain: "b.example", Own.Length: > 0 })];
    }

    private async Task<Parcel> LastAsync() => (await ParcelsAsync()).MaxBy(p => p.Created)!;

    private async Task<Parcel> UntilAsync(string id, ReceiptState state)
    {
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        await Wait.UntilAsync(
            () => spool.Find(id)?.Receipt >= state,
            () => $"{spool.Find(id)}\nA:\n{_pair.A.Log}\nB:\n{_pair.B.Log}"
        );
        return spool.Find(id)!;
    }

    private void Pass(TimeSpan time) => _pair.World.Time.Advance(time);

    private void Pass() => Pass(TimeSpan.FromSeconds(61));

    [Fact]
    public async Task A_message_is_settled_by_the_other_sides_word()
    {
        var id = await SendAsync();
        var kept = await LastAsync();
        Assert.Equal(ReceiptState.Asked, kept.Receipt);
        Assert.True(kept.Octets > 0);
        Pass();
        var settled = await UntilAsync(id, ReceiptState.Settled);
        Assert.Equal((0, (DateTimeOffset?)null), (settled.Octets, settled.Overdue));
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var mirror = Assert.Single(spool.Mirrors("b.example", "a.example"));
        var theirs = await OnRecordTests.RecordsAsync(_pair.B, "a.example", 3);
        Assert.All(theirs, r => Assert.Equal(r.Record.LeafHash, spool.TreeOf(mirror).Leaf(r.Record.N)));
        Assert.Equal(
            "sealed handed outcome",
            string.Join(' ', new RecordSearch(_pair.A.Configuration, spool).About(id).Select(r => r.Record.Event))
        );
        Assert.Contains(
            spool.Records(spool.OpenLog("a.example", "b.example")!.Number),
            r => r.Record.Event == "receipt"
        );
    }

    [Fact]
    public async Task A_bundle_of_the_sender_alone_shows_what_became_of_it()
    {
        var id = await SendAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var names = new NameService(_pair.A.Configuration, _pair.World.Time);
        var settings = new Settings(_pair.A.Configuration, KeyRing.Load(_pair.A.Configuration));
        var files = await new BundleMaker(settings, spool, names, _pair.World.Time).MakeAsync(id, withAddresses: true);
        Assert.Equal(2, BundleLog.Of(files!).Count);
        var statements = await new BundleVerification(
            [files!],
            _pair.World.Anchors,
            "Subject: 0\r\n\r\nx\r\n"u8.ToArray(),
            _pair.World.Time.GetUtcNow()
        ).RunAsync();
        Assert.All(statements.Where(s => s.What is not "when"), s => Assert.Equal(Verdict.Proved, s.Verdict));
        Assert.Contains(
            statements,
            s => s.What.Contains("became of") && s.By == _pair.B.Key.Fingerprint && s.What.Contains("relayed")
        );
        Assert.Contains(statements, s => s.What.Contains("crossed sealed"));
    }

    [Fact]
    public async Task Receipts_go_on_where_the_last_one_ended()
    {
        for (var i = 0; i < 3; i++)
        {
            var id = await SendAsync();
            Pass();
            await UntilAsync(id, ReceiptState.Settled);
        }
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var mirror = Assert.Single(spool.Mirrors("b.example", "a.example"));
        Assert.Equal(7, mirror.Edge.Size);
        Assert.Single(spool.Witnessed(mirror.Origin));
        Assert.DoesNotContain("alarm=true", _pair.A.Log.ToString());
        Assert.DoesNotContain("alarm=true", _pair.B.Log.ToString());
    }

    /// <summary>Of many that are missed one is sent again, with growing pauses: whoever is dead is not flooded.</summary>
    [Fact]
    public async Task Of_what_is_missed_the_oldest_alone_goes_again_and_not_often()
    {
        _pair.HopAnswer = seen => IsToA(seen) ? null : SmtpReply.Ok;
        for (var i = 0; i < 5; i++)
            await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], $"Subject: {i}\r\n\r\nx\r\n");
        await _pair.A.SettledAsync();
        var oldest = (await ParcelsAsync()).OrderBy(p => p.Created).ThenBy(p => p.Id).First().Id;
        Pass(TimeSpan.FromHours(4) + TimeSpan.FromSeconds(1));
        await UntilAsync(oldest, ReceiptState.Overdue);
        for (var half = 0; half < 6; half++)
        {
            await Task.Delay(TimeSpan.FromSeconds(2)); // two rounds
            Pass(TimeSpan.FromMinutes(30));
        }
        await _pair.A.SettledAsync();
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var again = spool
            .Records(spool.OpenLog("a.example", "b.example")!.Number)
            .Where(r => r.Record.Event == "resent")
            .Select(r => r.Record.Text("id"))
            .ToList();
        Assert.All(again, id => Assert.Equal(oldest, id));
        Assert.InRange(again.Count, 1, 3); // after no pause, an hour, and two more
    }

    /// <summary>What a command writes makes the gateway forget what it knew by heart: nothing is owed for ever because of that.</summary>
    [Fact]
    public async Task A_debt_that_is_paid_is_paid_whoever_wrote_to_the_spool_meanwhile()
    {
        for (var i = 0; i < 2; i++)
        {
            var id = await SendAsync();
            await using (var other = Spool.Open(_pair.B.Configuration.SpoolFile, running: false))
                await other.PeersChangedAsync();
            Pass();
            await UntilAsync(id, ReceiptState.Settled);
        }
        await using var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false);
        for (var minute = 0; minute < 3; minute++)
        {
            Pass();
            await Task.Delay(TimeSpan.FromSeconds(2)); // two rounds
        }
        Assert.Empty(spool.OwedReceipts());
        Assert.Equal(2, _pair.B.Log.ToString().Split("event=receipt-sent").Length - 1);
    }

    /// <summary>Parcels that go the other way tell heads too: they take nothing from what is held.</summary>
    [Fact]
    public async Task A_head_that_comes_with_a_parcel_is_kept_beside_the_last_receipts()
    {
        var id = await SendAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        await using var spool = Spool.Open(_pair.A.Configuration.SpoolFile, running: false);
        var mirror = Assert.Single(spool.Mirrors("b.example", "a.example"));
        var sent = 0;
        await Wait.UntilAsync( // a head is signed a moment after the first parcel that could carry it
            () =>
            {
                _pair.B.SendAsync("<bob@b.example>", ["<alice@a.example>"], $"Subject: {sent++}\r\n\r\nx\r\n").Wait();
                return spool.Witnessed(mirror.Origin).Any(h => h.Head.Size > mirror.Edge.Size);
            },
            () => _pair.A.Log.ToString()
        );
        Assert.Contains(spool.Witnessed(mirror.Origin), h => h.Head.Size == mirror.Edge.Size);
    }

    [Fact]
    public async Task Where_the_last_server_reports_itself_we_do_not()
    {
        var id = await SendAsync("<bob@b.example> NOTIFY=SUCCESS");
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        await _pair.A.SettledAsync();
        Assert.Equal("SUCCESS", _pair.B.Received[0].To[0].Notify);
        Assert.Empty(_pair.A.Received);
    }

    [Fact]
    public async Task A_peer_whose_log_was_set_back_goes_on_in_another_and_is_told_of()
    {
        var id = await SendAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        await _pair.B.StopAsync();
        await using (var spool = Spool.Open(_pair.B.Configuration.SpoolFile, running: false))
            await spool.CloseLogsAsync([spool.OpenLog("b.example", "a.example")!.Number]);
        await _pair.B.StartAsync();
        id = await SendAsync();
        Pass();
        await UntilAsync(id, ReceiptState.Settled);
        await _pair.A.WaitForLogAsync("event=partner-restored");
    }
}
