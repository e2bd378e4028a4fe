using Microsoft.Extensions.Time.Testing;

namespace PgpTunnel.Tests;

public sealed class PeerMemoryTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("pgptunnel-memory-").FullName;
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 9, 1, 0, 0, 0, TimeSpan.Zero));
    private Spool _spool = null!;
    private PeerMemory _memory = null!;

    public ValueTask InitializeAsync()
    {
        _spool = Spool.Open(Path.Combine(_directory, "spool.db"), running: false);
        _memory = new PeerMemory(_spool, null, _time);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _spool.DisposeAsync();
        Directory.Delete(_directory, true);
    }

    private const string Domain = "b.example";
    private static readonly string F = new('1', 40), G = new('2', 40);

    private Task Usable(PolicyMode mode, TimeSpan age, params string[] distrusted) =>
        _memory.UsableAsync(_memory.Recall(Domain), new PolicyRecord(mode, [F], distrusted, "pgptunnel@pgptunnel.b.example", age, null));

    private bool Enforced => _memory.RemembersEnforce(_memory.Recall(Domain));

    private Task Denied() => _memory.DeniedAsync(_memory.Recall(Domain));

    [Fact]
    public async Task Only_enforce_is_remembered_and_nothing_shortens_it()
    {
        await Usable(PolicyMode.Testing, TimeSpan.FromDays(7));
        Assert.False(Enforced);
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7));
        Assert.True(Enforced);
        await Usable(PolicyMode.Enforce, TimeSpan.FromSeconds(60));
        await Usable(PolicyMode.Testing, TimeSpan.FromSeconds(60));
        _time.Advance(TimeSpan.FromDays(6.9));
        Assert.True(Enforced);
        _time.Advance(TimeSpan.FromDays(0.2));
        Assert.False(Enforced);
    }

    [Fact]
    public async Task Agreeing_denials_over_48_hours_forget_and_no_fewer()
    {
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(30));
        await Denied();
        _time.Advance(TimeSpan.FromHours(47));
        await Denied();
        Assert.True(Enforced);
        _time.Advance(TimeSpan.FromHours(2));
        await Denied();
        Assert.False(Enforced);
    }

    [Fact]
    public async Task A_usable_answer_in_between_begins_the_count_anew()
    {
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(30));
        await Denied();
        _time.Advance(TimeSpan.FromHours(30));
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(30));
        _time.Advance(TimeSpan.FromHours(30));
        await Denied();
        Assert.True(Enforced);
    }

    [Fact]
    public async Task A_verified_partner_is_not_forgotten_by_denials()
    {
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(30));
        await PeerMemory.ChangeAsync(_spool, Domain, r => r with { Verified = [F] });
        await Denied();
        _time.Advance(TimeSpan.FromHours(50));
        await Denied();
        _time.Advance(TimeSpan.FromHours(50));
        await Denied();
        Assert.True(Enforced);
    }

    [Fact]
    public async Task A_distrusted_key_stays_so_until_the_remembered_time_after_it_was_last_published()
    {
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7), G);
        _time.Advance(TimeSpan.FromDays(1));
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7));
        Assert.Equal([G], _memory.Recall(Domain).Distrusted.Keys);
        _time.Advance(TimeSpan.FromDays(6.5));
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7));
        Assert.Empty(_memory.Recall(Domain).Distrusted);
    }

    [Fact]
    public async Task What_an_administrator_says_survives_what_the_dns_says()
    {
        var wish = new PartnerOverride("hold", _time.GetUtcNow().AddDays(1), "moving");
        await PeerMemory.ChangeAsync(_spool, Domain, r => r with { Verified = [F], Override = wish });
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7));
        var record = _memory.Recall(Domain);
        Assert.Equal((wish, F), (record.Override, Assert.Single(record.Verified)));
        var version = _memory.Version;
        await PeerMemory.ForgetAsync(_spool, Domain);
        Assert.Empty(_memory.Recall(Domain).Verified);
        Assert.NotEqual(version, _memory.Version);
    }
}
