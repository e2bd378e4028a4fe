using System.Collections.Concurrent;
using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>
/// Our validator and libunbound behind the same mutating path:
/// <code>
///   nsd (signed world) - unbound (not validating) - mutation - our validator
///                                                            \ libunbound
/// </code>
/// Two oracles: whatever we call Secure is the genuine data, and we are never laxer than libunbound. Where the two differ, the rule
/// that makes us differ is written down in <see cref="Explain"/>.
/// </summary>
public sealed class DifferentialTests
{
    private const int NamesASeed = 40,
        DefaultLookups = 20_000,
        FirstSeed = 20260901;

    private static readonly (string Name, ushort Type)[] Questions =
    [
        .. new[] { "a", "b", "rsa", "oo", "s.oo", "u.oo", "ins", "sub.a" }.SelectMany(z =>
            new (string, ushort)[]
            {
                ($"_pgptunnel.{z}.example", RecordType.TXT),
                ($"nope.{z}.example", RecordType.TXT),
                ($"x.wild.{z}.example", RecordType.TXT),
                ($"here.wild.{z}.example", RecordType.TXT),
                ($"ent.{z}.example", RecordType.TXT),
                ($"{z}.example", RecordType.MX),
                ($"{z}.example", RecordType.OPENPGPKEY),
                ($"{z}.example", RecordType.DS),
            }
        ),
        ("alias.a.example", RecordType.TXT),
        ("aliasins.a.example", RecordType.TXT),
        ("aliasnx.a.example", RecordType.TXT),
        ("_pgptunnel.dn.a.example", RecordType.TXT),
        ("x.wc.a.example", RecordType.TXT),
        ("_pgptunnel.badsig.example", RecordType.TXT),
        ("_pgptunnel.expired.example", RecordType.TXT),
        ("_pgptunnel.nosig.example", RecordType.TXT),
        ("_pgptunnel.unkalg.example", RecordType.TXT),
        ("_pgptunnel.nosuchzone.example", RecordType.TXT),
        ("deep.er.nosuchzone.example", RecordType.TXT),
    ];

    private sealed record Lookup(
        int Seed,
        string Name,
        ushort Type,
        DnsAnswer Ours,
        UnboundVerdict Theirs,
        DnsAnswer Genuine,
        string Mutations
    );

    [Fact]
    public async Task Mutated_on_the_path_no_answer_fools_us_and_every_difference_to_libunbound_has_its_reason()
    {
        NeedLibrary();
        await using var world = await DnsWorld.StartAsync();
        var upstream = new DnsExchange([System.Net.IPEndPoint.Parse(DnsWorld.Plain)]);
        var anchors = TrustAnchors.Parse(await File.ReadAllTextAsync(world.Anchors));
        var genuine = new ConcurrentDictionary<(DomainName, ushort), WorldAnswer>();
        WorldAnswer Genuine(DomainName name, ushort type) =>
            genuine.GetOrAdd((name, type), _ => Ask(upstream, name, type));
        Random? seed = null;
        var number = 0;
        var done = new ConcurrentDictionary<(DomainName, ushort), (WorldAnswer, string?)>();
        List<WorldAnswer> replay = [];
        WorldAnswer Mutated(DomainName name, ushort type) =>
            seed is null
                ? Genuine(name, type)
                : done.GetOrAdd(
                    (name, type),
                    _ =>
                    {
                        var random = new Random(
                            name.ToString()
                                .ToLowerInvariant()
                                .Aggregate((number * 65599) + type, (h, c) => (h * 31) + c)
                        );
                        return random.Next(6) == 0
                            ? Mutation.Apply(Genuine(name, type), random, replay)
                            : (Genuine(name, type), null);
                    }
                ).Item1;
        await using var path = new LoopbackDns(Mutated);

        // Without mutation first: what is true, and that both sides see it.
        var truth = new Dictionary<(string, ushort), DnsAnswer>();
        var plain = new DnsValidator(new DnsExchange([path.EndPoint]), anchors, TimeProvider.System);
        foreach (var (name, type) in Questions)
            truth[(name, type)] = await plain.LookupAsync(DomainName.Parse(name), type, CancellationToken.None);
        replay = [.. genuine.OrderBy(g => g.Key.Item1).ThenBy(g => g.Key.Item2).Select(g => g.Value)];

        var lookups = int.TryParse(Environment.GetEnvironmentVariable("PGPTUNNEL_DNS_LOOKUPS"), out var wanted)
            ? wanted
            : DefaultLookups;
        var (count, mutated, reasons, failures) = (0, 0, new SortedDictionary<string, int>(), new List<string>());
        for (number = FirstSeed; count < lookups; number++)
        {
            (seed, done) = (new Random(number), new());
            var ours = new DnsValidator(new DnsExchange([path.EndPoint]), anchors, TimeProvider.System);
            using var theirs = new LibUnbound(path.EndPoint, world.Anchors);
            for (var i = 0; i < NamesASeed && count < lookups; i++, count++)
            {
                var (name, type) = Questions[seed.Next(Questions.Length)];
                var answer = await ours.LookupAsync(DomainName.Parse(name), type, CancellationToken.None);
                var verdict = await Task.Run(() => theirs.Resolve(name, type));
                var lookup = new Lookup(
                    number,
                    name,
                    type,
                    answer,
                    verdict,
                    truth[(name, type)],
                    string.Join(
                        "; ",
                        done.Where(d => d.Value.Item2 is not null)
                            .Select(d => $"{d.Key.Item1} {RecordType.Name(d.Key.Item2)}: {d.Value.Item2}")
                    )
                );
                var offline = await OfflineReplay.CheckAsync(
                    DomainName.Parse(name),
                    type,
                    done.Values.Select(d => d.Item1),
                    anchors,
                    TimeProvider.System
                );
                if (OfflineReplay.Wrongly(offline, lookup.Genuine) is { } believed)
                    failures.Add(
                        $"seed {number}, {name} {RecordType.Name(type)} offline: {believed}; {lookup.Mutations}"
                    );
                var explanation = Explain(lookup);
                if (explanation is null)
                    failures.Add(
                        $"seed {number}, {name} {RecordType.Name(type)}: ours {answer.Security} {answer.Outcome} "
                            + $"({answer.Why}); libunbound {Describe(verdict)} {verdict.Why}; genuine "
                            + $"{lookup.Genuine.Security} {lookup.Genuine.Outcome}; {lookup.Mutations}"
                    );
                else
                    reasons[explanation] = reasons.GetValueOrDefault(explanation) + 1;
            }
            mutated += done.Values.Count(d => d.Item2 is not null);
        }
        TestContext.Current.SendDiagnosticMessage(
            $"{count} lookups, {mutated} answers mutated\n{string.Join('\n', reasons.Select(r => $"{r.Value, 7}  {r.Key}"))}"
        );
        Assert.True(
            failures.Count == 0,
            $"{failures.Count} of {count} differ without a "
                + $"reason:\n{string.Join('\n', failures.Take(30))}\n{string.Join('\n', reasons.Select(r => $"{r.Value, 7}  {r.Key}"))}"
        );
        Assert.True(
            reasons.GetValueOrDefault(Same) > count / 2,
            "hardly anything agrees: the two do not see the same world"
        );
    }

    private static WorldAnswer Ask(DnsExchange upstream, DomainName name, ushort type)
    {
        try
        {
            var message = upstream.AskAsync(name, type, CancellationToken.None).GetAwaiter().GetResult();
            return new WorldAnswer(message.Rcode, [.. message.Answer], [.. message.Authority]);
        }
        catch (DnsUnavailableException)
        {
            return new WorldAnswer(2, [], []);
        }
    }

    private const string Same = "both say the same";

    private static string Describe(UnboundVerdict v) =>
        v.Bogus ? "bogus"
        : v.Rcode is not (0 or 3) ? $"rcode {v.Rcode}"
        : v.Secure ? $"secure {Outcome(v)}"
        : $"insecure {Outcome(v)}";

    private static DnsOutcome Outcome(UnboundVerdict v) =>
        v.HaveData ? DnsOutcome.Answer
        : v.NxDomain ? DnsOutcome.NxDomain
        : DnsOutcome.NoData;

    private static bool SameData(IReadOnlyList<byte[]> a, IReadOnlyList<byte[]> b) =>
        a.Select(Canonical).Distinct().Order().SequenceEqual(b.Select(Canonical).Distinct().Order());

    /// <summary>Without case: names in RDATA are signed in lower case, so their case may change on the way (RFC 4034 6.2).</summary>
    private static string Canonical(byte[] rdata) =>
        Convert.ToHexString([.. rdata.Select(o => o is >= (byte)'A' and <= (byte)'Z' ? (byte)(o | 0x20) : o)]);

    /// <summary>Why the two verdicts stand beside each other as they do; null = no reason is known, and that is a failure.</summary>
    private static string? Explain(Lookup l)
    {
        var (ours, theirs) = (l.Ours, l.Theirs);
        var theyFail = theirs.Bogus || theirs.Rcode is not (0 or 3);
        var weFail = ours.Security is DnsSecurity.Bogus or DnsSecurity.Indeterminate;
        if (
            ours.Security == DnsSecurity.Secure
            && (
                l.Genuine.Security != DnsSecurity.Secure
                || ours.Outcome != l.Genuine.Outcome
                || !SameData(ours.Data, l.Genuine.Data)
            )
        )
            return null; // fooled
        if (weFail && theyFail)
            return Same;
        if (
            l.Genuine.Outcome == DnsOutcome.NxDomain
            && theirs.Secure
            && Outcome(theirs) == DnsOutcome.NoData
            && l.Name.StartsWith("alias", StringComparison.Ordinal)
        )
            return "libunbound takes the end of an alias chain from the rcode of the last message, proved or not";
        if (!weFail && !theyFail && (ours.Security == DnsSecurity.Secure) == theirs.Secure)
            return
                ours.Security == DnsSecurity.Insecure
                || (ours.Outcome == Outcome(theirs) && SameData(ours.Data, theirs.Data))
                ? Same
                : null;
        // From here on the two differ: only where one fails and the other has the genuine verdict, and by a rule that says why.
        if (
            weFail
            && (
                IsGenuine(theirs, l.Genuine)
                || (l.Genuine.Security == DnsSecurity.Insecure && !theirs.Secure)
                || l.Mutations.Contains("rcode turned", StringComparison.Ordinal)
            )
        )
            return Stricter.FirstOrDefault(r => ours.Why.Contains(r.Why, StringComparison.Ordinal)).Rule;
        if (theyFail && ours.Security == l.Genuine.Security && ours.Outcome == l.Genuine.Outcome)
            return LibUnboundStricter.FirstOrDefault(r => theirs.Why.Contains(r.Why, StringComparison.Ordinal)).Rule;
        return null;
    }

    private static bool IsGenuine(UnboundVerdict v, DnsAnswer genuine) =>
        v.Secure == (genuine.Security == DnsSecurity.Secure)
        && Outcome(v) == genuine.Outcome
        && (!v.Secure || SameData(v.Data, genuine.Data));

    private const string Junk =
        "stricter: junk in an answer makes it bogus for us; libunbound leaves it out, asks again, or still knows a proof";

    /// <summary>Where we fail and libunbound does not: part of our reason, and the rule behind it.</summary>
    private static readonly (string Why, string Rule)[] Stricter =
    [
        (
            "the answer says that the name does not exist",
            "stricter: NXDOMAIN beside records of the name is bogus for us; libunbound looks at the records only"
        ),
        (
            "the resolver answers rcode 3",
            "stricter: a DNSKEY answer with NXDOMAIN is a failure for us; libunbound looks at the records only"
        ),
        ("but the answer has no signature", Junk),
        ("proves the denial", Junk),
        (" denies ", Junk),
        ("is not a zone above", Junk),
        ("name different signers", Junk),
        ("NSEC3 covers", Junk),
        ("no signature by a key of", Junk),
        ("differ in their parameters", Junk),
        ("proves an encloser", Junk),
        ("the wrong side of the zone cut", Junk),
        ("is wrong", Junk),
        ("more than one CNAME", Junk),
    ];

    private const string Beside =
        "laxer in form only: a denial beside an answer, or another zone's beside the right one, is no part of the "
        + "proof and is not looked at";
    private const string Rcode =
        "laxer in form only: the signed proof decides between NXDOMAIN and NODATA for us, not the unsigned rcode";

    /// <summary>Where libunbound fails and we have the genuine verdict.</summary>
    private static readonly (string Why, string Rule)[] LibUnboundStricter =
    [
        (
            " SOA IN>",
            "laxer in form only: a SOA beside a proof proves nothing and is not looked at (its TTL only ever shortens ours)"
        ),
        (" RRSIG IN>", Beside),
        (" NSEC IN>", Beside),
        (" NSEC3 IN>", Beside),
        ("misc failure", Beside),
        ("nodata proof failed", Rcode),
        ("nameerror proof failed", Rcode),
        ("no DS and NXDOMAIN message fails to prove", Rcode),
        (
            "is marked as invalid because of a previous validation failure",
            "libunbound keeps a key that once failed as invalid for a minute, whatever comes after"
        ),
    ];

    private static void NeedLibrary()
    {
        if (System.Runtime.InteropServices.NativeLibrary.TryLoad("libunbound.so.8", out _))
            return;
        if (Environment.GetEnvironmentVariable("CI") == "true")
            Assert.Fail("libunbound8 is not installed");
        Assert.Skip("libunbound8 is not installed");
    }
}
