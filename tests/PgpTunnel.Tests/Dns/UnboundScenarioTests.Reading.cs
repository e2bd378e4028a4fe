using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

/// <summary>Unbound's scenario files.</summary>
public partial class UnboundScenarioTests
{
    private static Scenario Read(string file)
    {
        var scenario = new Scenario();
        var (range, step, entry) = (
            (From: 0, To: 0, Addresses: new HashSet<string>(), Entries: new List<Entry>()),
            0,
            default(EntryBuilder)
        );
        var (inRange, stepKind, stubRoot) = (false, "", false);
        Entry? query = null;
        foreach (var raw in File.ReadAllLines(file))
        {
            var line = raw.Split(raw.Contains('"') ? "\u0001" : ";")[0].Trim();
            var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0 || line.StartsWith(';') || line.StartsWith('#'))
                continue;
            switch (words[0])
            {
                case "trust-anchor:":
                    scenario.Anchors.Add(line[13..].Trim().Trim('"'));
                    break;
                case "val-override-date:":
                    scenario.Now = PresentationFormat.ParseMoment(words[1].Trim('"'));
                    break;
                case "name:":
                    stubRoot = words[1] == "\".\"";
                    break;
                case "stub-addr:" when stubRoot || scenario.Root.Length == 0:
                    scenario.Root = words[1];
                    break;
                case "RANGE_BEGIN":
                    (inRange, range) = (true, (int.Parse(words[1]), int.Parse(words[2]), [], []));
                    break;
                case "ADDRESS":
                    range.Addresses.Add(words[1]);
                    break;
                case "RANGE_END":
                    scenario.Ranges.Add(range);
                    inRange = false;
                    break;
                case "STEP":
                    (step, stepKind) = (int.Parse(words[1]), words[2]);
                    break;
                case "ENTRY_BEGIN":
                    entry = new EntryBuilder();
                    break;
                case "MATCH":
                    entry?.Match.AddRange(words[1..]);
                    break;
                case "REPLY":
                    entry?.Reply.AddRange(words[1..]);
                    break;
                case "SECTION" when entry is not null:
                    entry.Section = words[1];
                    break;
                case "ENTRY_END" when entry?.Build() is { } built:
                    if (inRange)
                        range.Entries.Add(built);
                    else if (stepKind == "QUERY")
                        query = built;
                    else if (stepKind == "CHECK_ANSWER" && query is not null)
                        scenario.Checks.Add((step, query, built));
                    entry = null;
                    break;
                default:
                    entry?.Add(line);
                    break;
            }
        }
        return scenario;
    }

    private sealed class EntryBuilder
    {
        private readonly Dictionary<string, List<DnsRecord>> _sections = new()
        {
            ["ANSWER"] = [],
            ["AUTHORITY"] = [],
            ["ADDITIONAL"] = [],
        };
        private (DomainName Name, ushort Type)? _question;

        public List<string> Match { get; } = [];
        public List<string> Reply { get; } = [];
        public string Section { get; set; } = "";

        public void Add(string line)
        {
            if (Section == "QUESTION")
            {
                var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
                if (
                    words.Length >= 2
                    && RecordType.TryParse(words[^1], out var type)
                    && DomainName.TryParse(words[0], out var name)
                )
                    _question = (name, type);
            }
            else if (_sections.TryGetValue(Section, out var records) && PresentationFormat.Parse(line) is { } record)
            {
                records.Add(record);
            }
        }

        public Entry? Build() =>
            _question is not { } q
                ? null
                : new Entry(
                    Match,
                    Reply.Contains("SERVFAIL") ? 2
                        : Reply.Contains("NXDOMAIN") ? 3
                        : Reply.Contains("REFUSED") ? 5
                        : 0,
                    q.Name,
                    q.Type,
                    _sections["ANSWER"],
                    _sections["AUTHORITY"],
                    _sections["ADDITIONAL"],
                    Reply.Contains("AD")
                );
    }
}
