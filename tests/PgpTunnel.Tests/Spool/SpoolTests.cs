using Microsoft.Data.Sqlite;
using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed partial class SpoolTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("pgptunnel-spool-").FullName;
    private Spool _spool = null!;

    public ValueTask InitializeAsync()
    {
        _spool = Spool.Open(Path.Combine(_directory, "spool.db"), running: true);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _spool.DisposeAsync();
        Directory.Delete(_directory, true);
    }

    private static readonly DateTimeOffset Now = new(2026, 9, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>A parcel for b.example, due now.</summary>
    internal static Parcel Waiting(string id, DateTimeOffset now) =>
        new()
        {
            Id = id,
            Route = ParcelRoute.Gateway,
            Form = ParcelForm.Sealed,
            Domain = "b.example",
            Token = id,
            Leaving = Leaving.SealedOnly,
            Created = now,
            Expires = now.AddDays(7),
            Next = now,
            KeyFingerprint = "k",
        };

    private static (Parcel, ParcelContent) Make(
        string id,
        ParcelRoute route = ParcelRoute.Gateway,
        string domain = "b.example",
        int age = 0,
        byte[]? body = null
    ) =>
        (
            Waiting(id, Now) with
            {
                Route = route,
                Domain = domain,
                Next = Now.AddSeconds(-age),
                Done = new HashSet<int> { 1, 3 },
            },
            new ParcelContent(body ?? [1, 2, 3], [4], [5])
        );

    [Fact]
    public async Task What_goes_in_comes_out()
    {
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        var parcel = _spool.Find("a")!;
        Assert.Equal(
            ("b.example", ParcelState.Queued, true, 3L),
            (parcel.Domain, parcel.State, parcel.Leaving == Leaving.SealedOnly, parcel.Octets)
        );
        Assert.Equal([1, 3], parcel.Done.Order());
        Assert.Equal([1, 2, 3], _spool.Load("a")!.Value.Content.Body.ToArray());
    }

    /// <summary>The columns are those of the first version: what it wrote is read, and it could read what is written now.</summary>
    [Theory]
    [InlineData(0, 0, 0, Leaving.AsDecided)]
    [InlineData(1, 0, 0, Leaving.SealedOnly)]
    [InlineData(0, 1, 0, Leaving.ClearAfterTest)]
    [InlineData(0, 0, 1, Leaving.Exempt)]
    [InlineData(1, 0, 1, Leaving.Exempt)]
    [InlineData(1, 1, 0, Leaving.SealedOnly)]
    public async Task In_what_shape_a_parcel_may_leave_is_read_from_three_columns(
        int must,
        int may,
        int exempt,
        Leaving leaving
    )
    {
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        using (
            var connection = new SqliteConnection($"Data Source={Path.Combine(_directory, "spool.db")};Pooling=False")
        )
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = $"UPDATE parcel SET must_seal = {must}, may_clear = {may}, exempt = {exempt}";
            command.ExecuteNonQuery();
        }
        var read = _spool.Find("a")!;
        Assert.Equal(leaving, read.Leaving);
        await _spool.CommitAsync(
            new() { Remove = "a", Add = [(read with { Id = "b" }, new ParcelContent(new byte[] { 1 }, [2], [3]))] }
        );
        Assert.Equal(leaving, _spool.Find("b")!.Leaving);
    }

    [Fact]
    public async Task A_replay_id_and_its_parcel_commit_together_or_not_at_all()
    {
        var replay = new ReplayEntry("f", "id", [1], Now.AddDays(1));
        Assert.True(await _spool.CommitAsync(new() { Add = [Make("a")], Replay = replay }));
        Assert.False(await _spool.CommitAsync(new() { Add = [Make("b")], Replay = replay }));
        Assert.Null(_spool.Find("b"));
        Assert.Equal([1], _spool.FindReplay("f", "id")!.BodySha256);
    }

    /// <summary>
    /// What comes in a parcel's place comes only where that is there: not when it has arrived meanwhile, nor was dropped.
    /// </summary>
    [Theory]
    [InlineData("handed over")]
    [InlineData("dropped")]
    [InlineData("waiting")]
    public async Task What_replaces_a_parcel_needs_one_that_waits(string state)
    {
        await _spool.CommitAsync(new() { Add = [Make("a"), Make("large", body: new byte[BodyFiles.Smallest])] });
        if (state == "handed over")
            await _spool.CommitAsync(new() { HandOver = new("a", Now.AddDays(20), "", null) });
        if (state == "dropped")
            await _spool.CommitAsync(new() { Remove = "a" });
        Assert.Equal(state == "waiting", await _spool.CommitAsync(new() { Replace = "a", Add = [Make("b")] }));
        Assert.Equal(state == "waiting", _spool.Find("b") is not null);
        Assert.True(await _spool.CommitAsync(new() { Replace = "large", Add = [Make("c")] }));
    }

    /// <summary>A body is let go with its row, or with what the row needs it for; nothing is left behind.</summary>
    [Fact]
    public async Task No_body_is_left_behind()
    {
        string[] ids = ["removed", "handed", "changed", "purged"];
        await _spool.CommitAsync(new() { Add = [.. ids.Select(id => Make(id, body: new byte[20_000]))] });
        Assert.Equal(4, Bodies());
        await _spool.CommitAsync(new() { Remove = "removed" });
        await _spool.CommitAsync(new() { HandOver = new("handed", Now.AddDays(20), "", null) });
        Assert.Equal(2, Bodies());
        await _spool.ChangeBodyAsync("changed", new byte[30_000]);
        await _spool.ChangeBodyAsync("handed", new byte[30_000]); // settled: it stays without
        Assert.Equal(30_000, _spool.Load("changed")!.Value.Content.Body.Length);
        await _spool.CommitAsync(new() { HandOver = new("purged", Now.AddDays(-1), "", null) });
        await _spool.PurgeAsync(Now);
        await _spool.CommitAsync(new() { Replace = "changed", Add = [] });
        Assert.Equal(0, Bodies());

        long Bodies()
        {
            using var connection = new SqliteConnection(
                $"Data Source={Path.Combine(_directory, "spool.db")};Pooling=False"
            );
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "SELECT count(*) FROM body";
            return (long)command.ExecuteScalar()!;
        }
    }

    [Fact]
    public async Task An_administrator_cannot_revive_what_was_handed_over_meanwhile()
    {
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        await _spool.CommitAsync(new() { HandOver = new("a", Now.AddDays(20), "", null) });
        await _spool.CommitAsync(new() { Reschedule = new("a", ParcelState.Queued, Now) });
        await _spool.CommitAsync(new() { Remove = "a" });
        Assert.Equal(ParcelState.Handed, _spool.Find("a")!.State);
        Assert.Empty(_spool.Destinations());
        Assert.Empty(_spool.Due(new(ParcelRoute.Gateway, "b.example"), Now, Now.AddHours(2), 10));
    }

    [Fact]
    public async Task A_hold_that_came_during_an_attempt_stays()
    {
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        var before = _spool.Find("a")!;
        await _spool.CommitAsync(new() { Reschedule = new("a", ParcelState.Held, Now) });
        await _spool.CommitAsync(new() { Update = before with { Attempts = 1 } });
        Assert.Equal((ParcelState.Held, 1), (_spool.Find("a")!.State, _spool.Find("a")!.Attempts));
    }

    [Fact]
    public async Task What_is_due_is_asked_for_by_destination()
    {
        await _spool.CommitAsync(
            new()
            {
                Add = [.. Enumerable.Range(0, 500).Select(i => Make($"p{i}", domain: $"d{i % 3}.example", age: i))],
            }
        );
        await _spool.CommitAsync(
            new()
            {
                Add =
                [
                    Make("local", ParcelRoute.Local),
                    Make("later", domain: "d0.example", age: -100),
                    Make("lost", domain: "d0.example", age: -1_000_000),
                ],
            }
        );
        Assert.Equal(
            [
                (new(ParcelRoute.Gateway, "d0.example"), Now.AddSeconds(-498)),
                (new(ParcelRoute.Gateway, "d1.example"), Now.AddSeconds(-499)),
                (new(ParcelRoute.Gateway, "d2.example"), Now.AddSeconds(-497)),
                (new(ParcelRoute.Local, "b.example"), Now),
            ],
            _spool.Destinations()
        );
        Assert.Equal(
            ["p498", "p495", "lost"],
            _spool.Due(new(ParcelRoute.Gateway, "d0.example"), Now, Now.AddHours(2), 2).Select(p => p.Id)
        ); // "lost" was written when the clock was wrong
        Assert.Equal(Now.AddSeconds(100), _spool.NextDue(new(ParcelRoute.Gateway, "d0.example"), Now));
        Assert.Null(_spool.NextDue(new(ParcelRoute.Gateway, "d1.example"), Now));
    }

    [Fact]
    public async Task Writing_by_another_process_is_noticed()
    {
        await _spool.ChangedElsewhereAsync();
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        Assert.False(await _spool.ChangedElsewhereAsync());
        await using (var other = Spool.Open(Path.Combine(_directory, "spool.db"), running: false))
            await other.CommitAsync(new() { Reschedule = new("a", ParcelState.Held, Now) });
        Assert.True(await _spool.ChangedElsewhereAsync());
        Assert.False(await _spool.ChangedElsewhereAsync());
    }

    [Fact]
    public async Task One_job_that_fails_undoes_only_itself()
    {
        await _spool.CommitAsync(new() { Add = [Make("a")] });
        var jobs = Enumerable
            .Range(0, 20)
            .Select(i => _spool.CommitAsync(new() { Add = [Make(i == 7 ? "a" : $"x{i}")] }))
            .ToList();
        await Assert.ThrowsAsync<SpoolException>(() => jobs[7]);
        await Task.WhenAll(jobs.Where((_, i) => i != 7));
        Assert.Equal(20, _spool.List().Count);
    }

    [Fact]
    public void A_spool_has_one_gateway() =>
        Assert.Contains(
            "in use",
            Assert.Throws<SpoolException>(() => Spool.Open(Path.Combine(_directory, "spool.db"), running: true)).Message
        );
}
