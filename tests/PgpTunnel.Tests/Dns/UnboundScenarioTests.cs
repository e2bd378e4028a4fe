using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>
/// unbound's own validator scenarios, replayed by a small recursor over their recorded answers. No verdict may be laxer than unbound's,
/// and where one is stricter, or a scenario is not run, the reason is written down. Many are signed with DSA or SHA-1, which are not
/// verified here.
/// </summary>
public partial class UnboundScenarioTests
{
    /// <summary>Scenarios about something a stub validator does not do.</summary>
    private static readonly Dictionary<string, string> Skipped = new()
    {
        ["val_any.rpl"] = "queries of type ANY",
        ["val_any_cap.rpl"] = "queries of type ANY",
        ["val_any_cname.rpl"] = "queries of type ANY",
        ["val_any_dname.rpl"] = "queries of type ANY",
        ["val_any_negcache.rpl"] = "queries of type ANY",
        ["val_nsec3_wcany.rpl"] = "queries of type ANY",
        ["val_nsec3_wcany_nodeny.rpl"] = "queries of type ANY",
        ["val_rrsig.rpl"] = "queries of type RRSIG",
        ["val_negcache_nta.rpl"] = "negative trust anchors",
    };

    private sealed record Entry(
        IReadOnlyList<string> Match,
        int Rcode,
        DomainName Name,
        ushort Type,
        List<DnsRecord> Answer,
        List<DnsRecord> Authority,
        List<DnsRecord> Additional,
        bool Ad
    );

    private sealed class Scenario
    {
        public List<string> Anchors { get; } = [];
        public DateTimeOffset Now { get; set; } = new(2007, 9, 16, 13, 42, 26, TimeSpan.Zero);
        public List<(int From, int To, HashSet<string> Addresses, List<Entry> Entries)> Ranges { get; } = [];
        public List<(int Step, Entry Query, Entry Expected)> Checks { get; } = [];
        public string Root { get; set; } = "";
    }

    [Fact]
    public async Task No_verdict_is_laxer_than_unbounds_and_none_stricter_without_a_reason()
    {
        var (wrong, exact, reasons) = (new List<string>(), 0, new SortedDictionary<string, int>());
        void Because(string reason) => reasons[reason] = reasons.GetValueOrDefault(reason) + 1;
        foreach (var path in Directory.EnumerateFiles(Corpora.Find("dnssec-unbound"), "*.rpl").Order())
        {
            var file = Path.GetFileName(path);
            var scenario = Read(path);
            if ((Skipped.GetValueOrDefault(file) ?? Unfit(scenario)) is { } unfit)
            {
                Because($"not run: {unfit}");
                continue;
            }
            var step = 0;
            await using var dns = new LoopbackDns((name, type) => Resolve(scenario, step, name, type));
            var validator = new DnsValidator(
                new DnsExchange([dns.EndPoint]),
                TrustAnchors.Parse(string.Join('\n', scenario.Anchors)),
                new FakeTimeProvider(scenario.Now)
            );
            foreach (var (at, query, expected) in scenario.Checks)
            {
                step = at;
                var answer = await validator.LookupAsync(query.Name, query.Type, CancellationToken.None);
                var (ours, theirs) = (
                    Rank(answer.Security),
                    expected.Rcode == 2 ? 0
                    : expected.Ad ? 2
                    : 1
                );
                var reason = ours < theirs ? Stricter(scenario, file, answer) : null;
                if (ours == theirs)
                    exact++;
                else if (reason is not null)
                    Because($"stricter: {reason}");
                else
                    wrong.Add(
                        $"{file}: {query.Name} {RecordType.Name(query.Type)}: {answer.Security} ({answer.Why}), "
                            + $"unbound: {theirs switch { 0 => "bogus", 1 => "insecure", _ => "secure" }}"
                    );
            }
        }
        var summary =
            $"{exact} verdicts as unbound's\n{string.Join('\n', reasons.Select(r => $"{r.Value, 4} {r.Key}"))}";
        TestContext.Current.SendDiagnosticMessage(summary);
        Assert.True(
            wrong.Count == 0,
            $"{wrong.Count} verdicts laxer, or stricter without a reason:\n{string.Join('\n', wrong)}\n{summary}"
        );
        Assert.True(exact >= 80, summary);
    }

    /// <summary>What makes a scenario no question for a stub validator; null = it is run.</summary>
    private static string? Unfit(Scenario scenario)
    {
        if (scenario.Anchors.Count == 0)
            return "no trust anchor in it, or one by a way other than trust-anchor";
        if (scenario.Root.Length == 0)
            return "no root or stub address to begin from";
        if (scenario.Checks.Count == 0)
            return "no question with an answer to check";
        try
        {
            TrustAnchors.Parse(string.Join('\n', scenario.Anchors));
            return null;
        }
        catch (FormatException)
        {
            return "an anchor of another form than DS or DNSKEY";
        }
    }

    /// <summary>Why our verdict may be stricter; null = there is no reason.</summary>
    private static string? Stricter(Scenario scenario, string file, DnsAnswer answer)
    {
        var algorithms = scenario
            .Ranges.SelectMany(r => r.Entries)
            .SelectMany(e => e.Answer.Concat(e.Authority))
            .Where(r => r.Type == RecordType.RRSIG)
            .Select(r => RrSignature.Read(r.Rdata)?.Algorithm)
            .OfType<byte>()
            .ToHashSet();
        return algorithms.Any(a => a is 1 or 3 or 5 or 6 or 7) && !algorithms.Any(SignatureCheck.IsSupported)
                ? "signed with DSA, RSA/MD5 or RSA/SHA-1 only, which are not verified"
            : algorithms.Any(a => a is 1 or 3 or 5 or 6 or 7)
                ? "one of its zones is signed with DSA, RSA/MD5 or RSA/SHA-1 only, which are not verified"
            : Known.TryGetValue(file, out var why) ? why
            : null;
    }

    /// <summary>Scenarios in which we are stricter for a reason of their own.</summary>
    private static readonly Dictionary<string, string> Known = new()
    {
        ["val_cnametocnamewctoposwc.rpl"] = Unrecorded,
        ["val_nodata_entnx.rpl"] = Unrecorded,
        ["val_nsec3_cnametocnamewctoposwc.rpl"] = Unrecorded,
        ["val_negcache_nodata.rpl"] = FromCache,
        ["val_negcache_nxdomain.rpl"] = FromCache,
        ["val_negcache_ttl.rpl"] = FromCache,
        ["val_negcache_ttl_prefetch.rpl"] = FromCache,
    };

    private const string Unrecorded = "no answer is recorded for a DNSKEY that we ask for",
        FromCache = "about unbound's cache of denials: the second question has no recorded answer";

    private static int Rank(DnsSecurity security) =>
        security switch
        {
            DnsSecurity.Secure => 2,
            DnsSecurity.Insecure => 1,
            _ => 0,
        };

    /// <summary>Follows referrals from the root's address over the recorded answers.</summary>
    private static WorldAnswer Resolve(Scenario scenario, int step, DomainName name, ushort type)
    {
        var address = scenario.Root;
        for (var hop = 0; hop < 12; hop++)
        {
            var entry = scenario
                .Ranges.Where(r => r.From <= step && step <= r.To && r.Addresses.Contains(address))
                .SelectMany(r => r.Entries)
                .FirstOrDefault(e => Matches(e, name, type));
            if (entry is null)
                return Anywhere(scenario, step, name, type);
            var referral = entry.Authority.FirstOrDefault(r => r.Type == RecordType.NS && name.IsWithin(r.Name));
            if (
                entry.Rcode != 0
                || entry.Answer.Count > 0
                || referral is null
                || entry.Authority.Exists(r => r.Type == RecordType.SOA)
                || (type == RecordType.DS && referral.Name == name)
            )
                return new(entry.Rcode, entry.Answer, entry.Authority);
            var servers = entry
                .Authority.Where(r => r.Type == RecordType.NS)
                .Select(r => new WireReader(r.Rdata).Name())
                .ToHashSet();
            var glue = entry.Additional.FirstOrDefault(r => r.Type == RecordType.A && servers.Contains(r.Name));
            if (glue is null)
                return Anywhere(scenario, step, name, type);
            address = new System.Net.IPAddress(glue.Rdata).ToString();
        }
        return new(2, [], []);
    }

    /// <summary>unbound may know a server from an earlier step; then no referral to it is recorded.</summary>
    private static WorldAnswer Anywhere(Scenario scenario, int step, DomainName name, ushort type) =>
        scenario
            .Ranges.Where(r => r.From <= step && step <= r.To)
            .SelectMany(r => r.Entries)
            .FirstOrDefault(e => e.Name == name && e.Type == type && e.Answer.Count > 0)
            is { } entry
            ? new(entry.Rcode, entry.Answer, entry.Authority)
            : new(2, [], []);

    private static bool Matches(Entry entry, DomainName name, ushort type) =>
        (!entry.Match.Contains("qtype") || entry.Type == type)
        && (!entry.Match.Contains("qname") || entry.Name == name)
        && (!entry.Match.Contains("subdomain") || name.IsWithin(entry.Name));
}
