using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>Answers of an attacker on the path.</summary>
public sealed partial class ValidatorTests
{
    [Fact]
    public async Task An_attackers_unsigned_answer_is_bogus()
    {
        _world.Forge = (name, type, answer) => type == RecordType.TXT ? TestWorld.Unsigned(answer) : answer;
        await Bogus("_pgptunnel.a.example");
        await Bogus("nope.a.example");
    }

    [Fact]
    public async Task Changed_data_under_a_good_signature_is_bogus()
    {
        _world.Forge = (name, type, answer) =>
            type != RecordType.TXT
                ? answer
                : answer with
                {
                    Answer =
                    [
                        .. answer.Answer.Select(r =>
                            r.Type == RecordType.TXT ? r with { Rdata = TestWorld.Txt("evil") } : r
                        ),
                    ],
                };
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task A_record_added_to_a_signed_set_is_bogus()
    {
        _world.Forge = (name, type, answer) =>
            type != RecordType.TXT
                ? answer
                : answer with
                {
                    Answer = [.. answer.Answer, answer.Answer[0] with { Rdata = TestWorld.Txt("evil") }],
                };
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task A_denial_replayed_from_another_name_proves_nothing()
    {
        var other = await DenialAsync("zzz.a.example");
        _world.Forge = (name, type, answer) => name == Name("_pgptunnel.a.example") ? other : answer;
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task NoData_replayed_from_the_apex_proves_nothing_below()
    {
        var other = await DenialAsync("a.example");
        _world.Forge = (name, type, answer) => name == Name("_pgptunnel.a.example") ? other : answer;
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task The_parents_denial_says_nothing_of_names_in_a_delegated_zone()
    {
        // The NSEC of the delegation a.example in the zone example covers every name below it, by canonical order.
        var parent = _world.Zone("example").Answer(Name("a.example"), RecordType.MX);
        _world.Forge = (name, type, answer) =>
            name == Name("_pgptunnel.a.example") ? parent with { Rcode = 3 } : answer;
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task A_signature_by_another_signed_zone_is_bogus()
    {
        var evil = new SignedZone("b.example", _world.Time.GetUtcNow());
        evil.Add(Name("_pgptunnel.a.example"), RecordType.TXT, TestWorld.Txt("evil"));
        _world.Forge = (name, type, answer) => name == Name("_pgptunnel.a.example") ? evil.Answer(name, type) : answer;
        await Bogus("_pgptunnel.a.example");
        // Even when the foreign zone's key is offered as a.example's own.
        var twin = new SignedZone("a.example", _world.Time.GetUtcNow());
        twin.Add(Name("_pgptunnel.a.example"), RecordType.TXT, TestWorld.Txt("evil"));
        _world.Forge = (name, type, answer) =>
            name.IsWithin(twin.Name) && type != RecordType.DS ? twin.Answer(name, type) : answer;
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task An_insecure_delegation_cannot_be_forged()
    {
        // The DS is withheld, with no proof, or with the proof of another name.
        _world.Forge = (name, type, answer) =>
            name.IsWithin(Name("a.example"))
                ? type == RecordType.DS
                    ? new WorldAnswer(0, [], [])
                    : TestWorld.Unsigned(answer)
                : answer;
        await Bogus("_pgptunnel.a.example");
        var other = await DenialAsync("ins.example", RecordType.DS);
        _world.Forge = (name, type, answer) =>
            name.IsWithin(Name("a.example"))
                ? type == RecordType.DS
                    ? other
                    : TestWorld.Unsigned(answer)
                : answer;
        await Bogus("_pgptunnel.a.example");
        // The child's own apex, which has SOA, denies its DS.
        var apex = _world.Zone("a.example").Answer(Name("a.example"), RecordType.MX);
        _world.Forge = (name, type, answer) =>
            name.IsWithin(Name("a.example"))
                ? type == RecordType.DS && name == Name("a.example")
                    ? apex
                    : TestWorld.Unsigned(answer)
                : answer;
        await Bogus("_pgptunnel.a.example");
    }

    [Fact]
    public async Task A_wildcard_needs_the_proof_that_the_name_itself_is_not_there()
    {
        _world.Forge = (name, type, answer) =>
            answer with
            {
                Authority = answer.Answer.Count > 0 ? [] : answer.Authority,
            };
        await Bogus("any.wild.a.example");
    }

    [Fact]
    public async Task A_wildcard_answer_cannot_stand_in_for_an_existing_name()
    {
        _world.Zone("a.example").Add(Name("here.wild.a.example"), RecordType.TXT, TestWorld.Txt("explicit"));
        var wild = _world.Zone("a.example").Answer(Name("any.wild.a.example"), RecordType.TXT);
        _world.Forge = (name, type, answer) =>
            name == Name("here.wild.a.example")
                ? wild with
                {
                    Answer = [.. wild.Answer.Select(r => r with { Name = name })],
                }
                : answer;
        await Bogus("here.wild.a.example");
    }

    [Fact]
    public async Task A_synthesised_cname_is_made_from_the_signed_dname_only()
    {
        var dname = _world.Zone("a.example").Answer(Name("dn.a.example"), RecordType.DNAME);
        var evil = new DnsRecord(
            Name("_pgptunnel.dn.a.example"),
            RecordType.CNAME,
            1,
            300,
            [.. Name("_pgptunnel.ins.example").Wire]
        );
        _world.Forge = (name, type, answer) =>
            name == Name("_pgptunnel.dn.a.example") ? dname with { Answer = [.. dname.Answer, evil] } : answer;
        var answer = await _world.LookupAsync("_pgptunnel.dn.a.example", RecordType.TXT);
        Assert.Equal(
            (DnsSecurity.Secure, "policy of b"),
            (answer.Security, System.Text.Encoding.ASCII.GetString(answer.Data[0], 1, answer.Data[0].Length - 1))
        );
    }
}
