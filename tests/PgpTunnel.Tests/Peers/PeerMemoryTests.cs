using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Dns;

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
    private static readonly string F = new('1', 40),
        G = new('2', 40);

    private Task Usable(PolicyMode mode, TimeSpan age, params string[] distrusted) =>
        _memory.UsableAsync(
            _memory.Recall(Domain),
            new PolicyRecord(mode, [F], distrusted, "pgptunnel@pgptunnel.b.example", age, null),
            SignedAt(_time.GetUtcNow())
        );

    private static PolicySigning SignedAt(DateTimeOffset time) =>
        new([new(DomainName.Parse("_pgptunnel.b.example"), null, time, time, false)]);

    private bool Enforced => _memory.RemembersEnforce(_memory.Recall(Domain));

    private Task Denied() => _memory.DeniedAsync(_memory.Recall(Domain), SignedAt(_time.GetUtcNow()));

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

    /// <summary>A command looks: it counts nothing, remembers nothing, and believes no clock that has jumped.</summary>
    [Fact]
    public async Task A_command_changes_nothing_of_it()
    {
        await _spool.UsedAsync(_time.GetUtcNow());
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(7));
        var looking = PeerMemory.ToLookAt(_spool, _time);
        var before = looking.Recall(Domain);
        _time.Advance(TimeSpan.FromDays(400)); // the clock has jumped: no gateway has used the spool meanwhile
        Assert.True(looking.RemembersEnforce(before));
        var signing = SignedAt(_time.GetUtcNow());
        await looking.DeniedAsync(before, signing);
        await looking.UsableAsync(
            before,
            new PolicyRecord(PolicyMode.Enforce, [G], [], "pgptunnel@pgptunnel.b.example", TimeSpan.FromDays(7), null),
            signing
        );
        await looking.SealedAsync(Domain);
        await looking.SucceededAsync(before, G, F);
        await looking.KeepCertificateAsync(Domain, F, [1]);
        Assert.Contains(F, (await looking.RevokedAsync(before, [F])).Distrusted.Keys); // for this look-up
        Assert.Equivalent(before, looking.Recall(Domain), strict: true);
        Assert.Empty(looking.Certificates(Domain));
        await _spool.UsedAsync(_time.GetUtcNow()); // by a gateway, which has noticed the jump and waited
        Assert.False(looking.RemembersEnforce(before));
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
    public async Task An_older_usable_answer_writes_nothing_and_begins_no_count_anew()
    {
        await Usable(PolicyMode.Enforce, TimeSpan.FromDays(30));
        var (first, policy) = (
            _time.GetUtcNow(),
            new PolicyRecord(PolicyMode.Enforce, [G], [], "pgptunnel@pgptunnel.b.example", TimeSpan.FromDays(300), null)
        );
        _time.Advance(TimeSpan.FromHours(1));
        await Denied();
        _time.Advance(TimeSpan.FromHours(30));
        // the same as before, but there is a denial that is younger
        await _memory.UsableAsync(_memory.Recall(Domain), policy, SignedAt(first));
        await _memory.UsableAsync(_memory.Recall(Domain), policy, SignedAt(first.AddSeconds(-1)));
        Assert.Equal([F], _memory.Recall(Domain).Fingerprints);
        _time.Advance(TimeSpan.FromHours(20));
        await Denied();
        Assert.False(Enforced);
        Assert.True(PeerMemory.IsOlder(_memory.Recall(Domain), SignedAt(first))); // what was withdrawn does not come back by itself
    }

    [Theory]
    [InlineData(-1, "", "", true)]
    [InlineData(0, "", "", true)] // equal counts as older
    [InlineData(1, "", "", false)]
    [InlineData(1, "_pgptunnel.b.example>_pgptunnel.c.example", "", false)] // the alias of the usable answer says nothing new, however old
    [InlineData(1, "_pgptunnel.b.example>_pgptunnel.d.example", "", true)] // another one, as old, may be what stood there before
    [InlineData(1, "", "*", true)] // of a policy made from a wildcard, its denial must be younger
    public async Task A_denial_counts_only_when_all_it_rests_on_is_younger(
        int seconds,
        string alias,
        string wildcard,
        bool outdated
    )
    {
        var (name, now, old) = (
            DomainName.Parse("_pgptunnel.b.example"),
            _time.GetUtcNow(),
            _time.GetUtcNow().AddDays(-1)
        );
        var policy = new PolicyRecord(
            PolicyMode.Enforce,
            [F],
            [],
            "pgptunnel@pgptunnel.b.example",
            TimeSpan.FromDays(30),
            null
        );
        var usable = new PolicySigning([
            new(name, DomainName.Parse("_pgptunnel.c.example"), old, old, false),
            new(DomainName.Parse("_pgptunnel.c.example"), null, now, now, wildcard.Length > 0),
        ]);
        await _memory.UsableAsync(_memory.Recall(Domain), policy, usable);
        var end = new SignedStep(name, null, now.AddSeconds(seconds), old, false);
        var denial = new PolicySigning(
            alias.Length == 0 ? [end] : [new(name, DomainName.Parse(alias.Split('>')[1]), old, old, false), end]
        );
        Assert.Equal(outdated, _memory.IsOutdated(_memory.Recall(Domain), denial));
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
