using PgpTunnel.Evidence;

namespace PgpTunnel.Tests;

/// <summary>Of one log never two histories are signed, whatever is done to the spool.</summary>
public sealed class HeadsTests : IAsyncLifetime
{
    private Pair _pair = null!;
    private int _sent;

    public async ValueTask InitializeAsync() => _pair = await Pair.CreateAsync();

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    private string SpoolFile => _pair.A.Configuration.SpoolFile;

    private async Task SendAsync()
    {
        await _pair.A.SendAsync("<alice@a.example>", ["<bob@b.example>"], $"Subject: {_sent}\r\n\r\nx\r\n");
        await OnRecordTests.RecordsAsync(_pair.A, "b.example", 1);
        await _pair.B.WaitAsync(++_sent);
        await _pair.A.SettledAsync();
    }

    private async Task<Checkpoint> SignAsync()
    {
        await using var spool = Spool.Open(SpoolFile, running: false);
        var log = spool.Logs().Last(l => l is { IsClosed: false, Origin.Peer: "b.example" });
        var heads = new Heads(_pair.A.Configuration, spool);
        return (await heads.SignAsync(log, _pair.A.Key, _pair.World.Time.GetUtcNow())).Head;
    }

    /// <summary>As a snapshot of a disk does: the file stays the one that it was.</summary>
    private static void CopySpool(string from, string to)
    {
        foreach (var ending in new[] { "", "-wal", "-shm" })
            if (File.Exists(from + ending))
                File.WriteAllBytes(to + ending, File.ReadAllBytes(from + ending));
            else
                File.Delete(to + ending);
    }

    /// <summary>Whoever was restored from a backup, and whoever goes on beside it, do not sign two histories of one log.</summary>
    [Fact]
    public async Task A_copy_of_a_spool_begins_logs_of_its_own_and_one_that_stays_goes_on()
    {
        await SendAsync();
        var original = await SignAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile, SpoolFile + ".copy");
        await _pair.A.StartAsync();
        await SendAsync();
        Assert.Equal(original.Origin, (await SignAsync()).Origin);
        await _pair.A.StopAsync();
        foreach (var ending in new[] { "", "-wal", "-shm" })
        {
            File.Delete(SpoolFile + ending);
            if (File.Exists($"{SpoolFile}.copy{ending}"))
                File.Move($"{SpoolFile}.copy{ending}", SpoolFile + ending);
        }
        File.Delete(Path.Combine(_pair.A.Configuration.Keys.Directory, "evidence", "heads")); // as it was in the backup
        await _pair.A.StartAsync();
        await SendAsync();
        var anew = await SignAsync();
        Assert.NotEqual(original.Origin, anew.Origin);
        await using var spool = Spool.Open(SpoolFile, running: false);
        var begin = spool.Record(spool.OpenLog("a.example", "b.example")!.Number, 0)!.Record;
        Assert.Equal("restored", begin.Text("why"));
        Assert.StartsWith(original.Origin.ToString(), begin.Text("was"));
    }

    [Fact]
    public async Task A_head_grows_and_the_same_is_signed_as_often_as_one_likes()
    {
        await SendAsync();
        var first = await SignAsync();
        Assert.Equal(first.Line, (await SignAsync()).Line);
        await SendAsync();
        var second = await SignAsync();
        Assert.Equal(first.Origin, second.Origin);
        Assert.True(second.Size > first.Size);
    }

    /// <summary>A command that has read the log before the gateway signed more of it is no set-back.</summary>
    [Fact]
    public async Task A_log_that_was_read_before_it_grew_is_signed_as_it_was_read()
    {
        await SendAsync();
        await using var spool = Spool.Open(SpoolFile, running: false);
        var early = spool.OpenLog("a.example", "b.example")!;
        await SendAsync();
        var later = await SignAsync();
        Assert.True(early.Edge.Size < later.Size);
        var (head, _) = await new Heads(_pair.A.Configuration, spool).SignAsync(
            early,
            _pair.A.Key,
            _pair.World.Time.GetUtcNow()
        );
        Assert.Equal(early.Edge.Size, head.Size);
        Assert.False(spool.Log(early.Number)!.IsClosed);
    }

    [Fact]
    public async Task A_spool_that_was_set_back_goes_on_in_a_log_that_names_the_former()
    {
        await SendAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile, SpoolFile + ".copy");
        await _pair.A.StartAsync();
        await SendAsync();
        var signed = await SignAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile + ".copy", SpoolFile);
        await _pair.A.StartAsync();
        Assert.Contains("event=log-closed", _pair.A.Log.ToString());
        await SendAsync();
        var records = await OnRecordTests.RecordsAsync(_pair.A, "b.example", 3);
        Assert.Equal("begin", records[0].Record.Event);
        Assert.Equal("restored", records[0].Record.Text("why"));
        Assert.StartsWith(signed.Origin.ToString(), records[0].Record.Text("was"));
        var anew = await SignAsync();
        Assert.NotEqual(signed.Origin, anew.Origin);
    }

    /// <summary>Set back while nobody looked, and grown past what was signed: then its root tells.</summary>
    [Fact]
    public async Task Another_history_of_the_same_log_is_not_signed_however_long()
    {
        await SendAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile, SpoolFile + ".copy");
        await _pair.A.StartAsync();
        await SendAsync();
        await SignAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile + ".copy", SpoolFile);
        // The heads are away at this start, and come back when the log has grown.
        var heads = Path.Combine(_pair.A.Configuration.Keys.Directory, "evidence", "heads");
        File.Move(heads, heads + ".away");
        await _pair.A.StartAsync();
        await SendAsync();
        await SendAsync();
        File.Move(heads + ".away", heads);
        await Assert.ThrowsAsync<EvidenceException>(SignAsync);
        await SendAsync();
        Assert.Equal("restored", (await OnRecordTests.RecordsAsync(_pair.A, "b.example", 2))[0].Record.Text("why"));
    }

    [Fact]
    public async Task Logs_that_are_read_into_a_new_spool_are_closed_there_and_keep_their_records()
    {
        await SendAsync();
        var before = await OnRecordTests.RecordsAsync(_pair.A, "b.example", 3);
        await _pair.A.StopAsync();
        var exported = Path.Combine(_pair.World.Directory, "exported");
        SpoolRescue.Export(SpoolFile, exported, Stage.Unseen);
        foreach (var ending in new[] { "", "-wal", "-shm" })
            File.Delete(SpoolFile + ending);
        await _pair.A.StartAsync();
        await SendAsync(); // a log of its own has begun already
        await _pair.A.StopAsync();
        SpoolRescue.Import(SpoolFile, exported, Stage.Unseen);
        SpoolRescue.Import(SpoolFile, exported, Stage.Unseen); // and again, which changes nothing
        await _pair.A.StartAsync();
        await SendAsync();
        await using var spool = Spool.Open(SpoolFile, running: false);
        var logs = spool.Logs().Where(l => l.Origin.Peer == "b.example").ToList();
        Assert.Equal(2, logs.Count);
        var old = Assert.Single(logs, l => l.IsClosed);
        Assert.Equal(before.Select(r => r.Record.Octets), spool.Records(old.Number).Select(r => r.Record.Octets));
        var search = new RecordSearch(_pair.A.Configuration, spool);
        Assert.All(
            spool.Records(old.Number).Where(r => r.Record.Event == "sealed"),
            r => Assert.NotNull(search.Open(r))
        );
        Assert.Single(search.Find(before[1].Record.Text("id")!));
        await OnRecordTests.RecordsAsync(_pair.A, "b.example", 5);
    }

    /// <summary>
    /// The head of a log in the spool is damaged: mail goes on, another log begins, and what was signed is not signed again.
    /// </summary>
    [Fact]
    public async Task A_damaged_log_stops_no_mail()
    {
        await SendAsync();
        var signed = await SignAsync();
        await _pair.A.StopAsync();
        await ExecuteAsync("UPDATE log SET edge = x'00'");
        await _pair.A.StartAsync();
        await SendAsync();
        var records = await OnRecordTests.RecordsAsync(_pair.A, "b.example", 3);
        Assert.Equal("restored", records[0].Record.Text("why"));
        Assert.NotEqual(signed.Origin, (await SignAsync()).Origin);
    }

    /// <summary>The copy that was set back holds the same log, shorter and open: what is read into it must not stand in its way.</summary>
    [Fact]
    public async Task What_is_read_in_over_an_open_log_of_the_same_name_closes_it()
    {
        await SendAsync();
        await _pair.A.StopAsync();
        CopySpool(SpoolFile, SpoolFile + ".copy");
        await _pair.A.StartAsync();
        await SendAsync();
        await _pair.A.StopAsync();
        var exported = Path.Combine(_pair.World.Directory, "exported");
        SpoolRescue.Export(SpoolFile, exported, Stage.Unseen);
        CopySpool(SpoolFile + ".copy", SpoolFile);
        SpoolRescue.Import(SpoolFile, exported, Stage.Unseen);
        await _pair.A.StartAsync();
        await SendAsync();
        Assert.Equal("restored", (await OnRecordTests.RecordsAsync(_pair.A, "b.example", 3))[0].Record.Text("why"));
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var connection = new Microsoft.Data.Sqlite.SqliteConnection(
            $"Data Source={SpoolFile};Pooling=False"
        );
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants
        command.CommandText = sql;
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync();
    }
}
