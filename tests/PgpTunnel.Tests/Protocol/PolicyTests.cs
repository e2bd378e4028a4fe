namespace PgpTunnel.Tests;

public class PolicyTests
{
    public static TheoryData<string> Table => Vectors.Lines("policy.txt");

    [Theory, MemberData(nameof(Table))]
    public void Every_row_of_the_table(string line)
    {
        var (left, right) = Vectors.Split(line);
        var cell = left.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var local = cell[0] switch
        {
            "never" => LocalPolicy.Never,
            "prefer" => LocalPolicy.Prefer,
            "require" => LocalPolicy.Require,
            _ => LocalPolicy.RequireVerified,
        };
        var mode = cell[2] switch
        {
            "testing" => PolicyMode.Testing,
            "enforce" => PolicyMode.Enforce,
            _ => PolicyMode.None,
        };
        var facts = new PolicyFacts
        {
            Class = Enum.Parse<PeerClass>(cell[1]),
            Mode = mode,
            Remembered = cell[3] == "yes",
            Trusted = cell[4] != "none",
            TrustedOffered = cell[4] == "offered",
            Bogus = cell[2] == "bogus",
            Outdated = cell[2] == "outdated",
        };
        var decision = Policy.Decide(
            local,
            facts,
            cell[5] switch
            {
                "yes" => ArmState.Armed,
                "no" => new ArmState("a.example publishes no record", true),
                _ => new ArmState("a.example cannot be looked up", false),
            },
            "b.example"
        );
        var reply = decision.Reply is { } r ? $" {r.Code} {r.Status}" : "";
        Assert.Equal(right, $"{decision.Kind.ToString().ToLowerInvariant()}{reply}{(decision.Alarm ? " alarm" : "")}");
    }

    [Fact]
    public void No_combination_leads_from_a_failure_to_clear_text()
    {
        foreach (var local in Enum.GetValues<LocalPolicy>().Where(l => l != LocalPolicy.Never))
        foreach (var remembered in new[] { false, true })
        foreach (var trusted in new[] { false, true })
        foreach (var armed in new[] { ArmState.Armed, new ArmState("no", true), new ArmState("?", false) })
        foreach (var mode in Enum.GetValues<PolicyMode>())
        {
            PolicyFacts Facts(PeerClass of) =>
                new()
                {
                    Class = of,
                    Mode = mode,
                    Remembered = remembered,
                    Trusted = trusted,
                };
            Assert.Equal(DecisionKind.Defer, Policy.Decide(local, Facts(PeerClass.Temporary), armed, "d").Kind);
            if (mode != PolicyMode.Testing || remembered || local != LocalPolicy.Prefer)
                Assert.NotEqual(DecisionKind.Clear, Policy.Decide(local, Facts(PeerClass.Unusable), armed, "d").Kind);
        }
    }
}
