using PgpTunnel.Smtp;

namespace PgpTunnel.Tests;

public sealed class SpoolTests : IAsyncLifetime
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

    private static (Parcel, ParcelContent) Make(string id, ParcelRoute route = ParcelRoute.Gateway, string domain = "b.example", int age = 0) =>
        (new Parcel(id, route, ParcelForm.Sealed, domain, id, ParcelState.Queued, Now, Now.AddDays(7), Now.AddSeconds(-age), 0, new HashSet<int> { 1, 3 }, "", true, false, false, false, "k"), new ParcelContent([1, 2, 3], [4], [5]));

    [Fact]
    public async Task What_goes_in_comes_out()
    {
        await _spool.AddAsync([Make("a")], null);
        var parcel = _spool.Find("a")!;
        Assert.Equal(("b.example", ParcelState.Queued, true, 3L), (parcel.Domain, parcel.State, parcel.MustSeal, parcel.Octets));
        Assert.Equal([1, 3], parcel.Done.Order());
        Assert.Equal([1, 2, 3], _spool.Load("a")!.Value.Content.Body);
    }

    [Fact]
    public async Task A_replay_id_and_its_parcel_commit_together_or_not_at_all()
    {
        var replay = new ReplayEntry("f", "id", [1], Now.AddDays(1));
        Assert.True(await _spool.AddAsync([Make("a")], replay));
        Assert.False(await _spool.AddAsync([Make("b")], replay));
        Assert.Null(_spool.Find("b"));
        Assert.Equal([1], _spool.FindReplay("f", "id")!.BodySha256);
    }

    [Fact]
    public async Task An_administrator_cannot_revive_what_was_handed_over_meanwhile()
    {
        await _spool.AddAsync([Make("a")], null);
        await _spool.HandedAsync("a", Now.AddDays(20));
        await _spool.RescheduleAsync("a", ParcelState.Queued, Now);
        await _spool.DeleteAsync("a");
        Assert.Equal(ParcelState.Handed, _spool.Find("a")!.State);
        Assert.Empty(_spool.Destinations());
        Assert.Empty(_spool.Due(ParcelRoute.Gateway, "b.example", Now, Now.AddHours(2), 10));
    }

    [Fact]
    public async Task A_hold_that_came_during_an_attempt_stays()
    {
        await _spool.AddAsync([Make("a")], null);
        var before = _spool.Find("a")!;
        await _spool.RescheduleAsync("a", ParcelState.Held, Now);
        await _spool.UpdateAsync(before with { Attempts = 1 });
        Assert.Equal((ParcelState.Held, 1), (_spool.Find("a")!.State, _spool.Find("a")!.Attempts));
    }

    [Fact]
    public async Task What_is_due_is_asked_for_by_destination()
    {
        await _spool.AddAsync([.. Enumerable.Range(0, 500).Select(i => Make($"p{i}", domain: $"d{i % 3}.example", age: i))], null);
        await _spool.AddAsync([Make("local", ParcelRoute.Local), Make("later", domain: "d0.example", age: -100), Make("lost", domain: "d0.example", age: -1_000_000)], null);
        Assert.Equal(
        [
            (ParcelRoute.Gateway, "d0.example", Now.AddSeconds(-498)), (ParcelRoute.Gateway, "d1.example", Now.AddSeconds(-499)), (ParcelRoute.Gateway, "d2.example", Now.AddSeconds(-497)), (ParcelRoute.Local, "b.example", Now),
        ], _spool.Destinations());
        Assert.Equal(["p498", "p495", "lost"], _spool.Due(ParcelRoute.Gateway, "d0.example", Now, Now.AddHours(2), 2).Select(p => p.Id)); // "lost" was written when the clock was wrong
        Assert.Equal(Now.AddSeconds(100), _spool.NextDue(ParcelRoute.Gateway, "d0.example", Now));
        Assert.Null(_spool.NextDue(ParcelRoute.Gateway, "d1.example", Now));
    }

    [Fact]
    public async Task Writing_by_another_process_is_noticed()
    {
        await _spool.ChangedElsewhereAsync();
        await _spool.AddAsync([Make("a")], null);
        Assert.False(await _spool.ChangedElsewhereAsync());
        await using (var other = Spool.Open(Path.Combine(_directory, "spool.db"), running: false))
            await other.RescheduleAsync("a", ParcelState.Held, Now);
        Assert.True(await _spool.ChangedElsewhereAsync());
        Assert.False(await _spool.ChangedElsewhereAsync());
    }

    [Fact]
    public async Task One_job_that_fails_undoes_only_itself()
    {
        await _spool.AddAsync([Make("a")], null);
        var jobs = Enumerable.Range(0, 20).Select(i => _spool.AddAsync([Make(i == 7 ? "a" : $"x{i}")], null)).ToList();
        await Assert.ThrowsAsync<SpoolException>(() => jobs[7]);
        await Task.WhenAll(jobs.Where((_, i) => i != 7));
        Assert.Equal(20, _spool.List().Count);
    }

    [Fact]
    public void A_spool_has_one_gateway() => Assert.Contains("in use", Assert.Throws<SpoolException>(() => Spool.Open(Path.Combine(_directory, "spool.db"), running: true)).Message);
}
