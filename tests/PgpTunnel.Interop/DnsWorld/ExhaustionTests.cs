using System.Net;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>
/// Zones made to burn a validator's time (KeyTrap, CVE-2023-50387: 80 keys of one tag and 80 signatures; NSEC3, CVE-2023-50868: deep
/// names under many iterations), asked while other look-ups go on. What is measured is CPU, not the clock.
/// </summary>
public sealed class ExhaustionTests
{
    [Fact]
    public async Task A_zone_made_to_burn_time_costs_less_than_a_second_and_delays_nobody()
    {
        await using var world = await DnsWorld.StartAsync();
        var anchors = TrustAnchors.Parse(await File.ReadAllTextAsync(world.Anchors));
        DnsValidator Validator() =>
            new(new DnsExchange([IPEndPoint.Parse(DnsWorld.Plain)]), anchors, TimeProvider.System);
        static Task<DnsAnswer> AskAsync(DnsValidator validator, string name) =>
            validator.LookupAsync(DomainName.Parse(name), RecordType.TXT, CancellationToken.None);
        // Once before, so that compiling and the resolver's own searches are not counted.
        foreach (
            var name in new[]
            {
                "_pgptunnel.rsa.example",
                "_pgptunnel.keytrap.example",
                "nope.exhaust.example",
                "_pgptunnel.b.example",
            }
        )
            await AskAsync(Validator(), name);

        var deep = string.Concat(Enumerable.Repeat("a.", 110)) + "exhaust.example";
        foreach (
            var (name, expected) in new[]
            {
                ("_pgptunnel.keytrap.example", new[] { DnsSecurity.Bogus }),
                (deep, [DnsSecurity.Bogus, DnsSecurity.Secure]),
            }
        )
        {
            var validator = Validator();
            var before = Environment.CpuUsage.TotalTime;
            var attack = AskAsync(validator, name);
            var others = Enumerable
                .Range(0, 20)
                .Select(i => AskAsync(validator, $"here.wild.{(i % 2 == 0 ? "b" : "a")}.example"))
                .ToList();
            var answers = await Task.WhenAll(others).WaitAsync(Wait.Bound);
            var answer = await attack.WaitAsync(Wait.Bound);
            var spent = Environment.CpuUsage.TotalTime - before;
            Assert.True(expected.Contains(answer.Security), $"{name} is {answer.Security}: {answer.Why}");
            Assert.All(answers, a => Assert.Equal(DnsSecurity.Secure, a.Security));
            Assert.True(spent < TimeSpan.FromSeconds(1), $"{name}: {spent.TotalSeconds:0.00} s of CPU, {answer.Why}");
        }
    }
}
