using System.Text.RegularExpressions;
using PgpTunnel.Commands;

namespace PgpTunnel.Tests;

/// <summary>What the documents and samples tell a reader to type exists: each command and each option of it.</summary>
public sealed partial class DocumentedCommandsTests
{
    public static TheoryData<string> Documents =>
        [
            .. new[]
            {
                "README.md",
                ".github/SECURITY.md",
                "src/PROTOCOL.md",
                "src/README.md",
                "src/CHANGELOG.md",
            }.Concat(
                new[] { "src/docs", "samples", "dns-records" }.SelectMany(folder =>
                    Directory
                        .EnumerateFiles(Path.Combine(House.Root, folder), "*", SearchOption.AllDirectories)
                        .Select(f => Path.GetRelativePath(House.Root, f))
                )
            ),
        ];

    [Theory, MemberData(nameof(Documents))]
    public void Every_command_in_it_is_one(string document)
    {
        var wrong = Commands(File.ReadAllText(Path.Combine(House.Root, document)))
            .Select(line =>
                (
                    line,
                    Errors: Root.Create()
                        .Parse(Words(line))
                        .Errors.Select(e => e.Message)
                        .Where(m => m.Contains("Unrecognized") || m.Contains("Required command"))
                )
            )
            .SelectMany(l => l.Errors.Select(e => $"{l.line}: {e}"))
            .ToList();
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void Many_are_found_and_a_wrong_one_is_seen()
    {
        Assert.True(Commands(File.ReadAllText(Path.Combine(House.Root, "src/docs/partners.md"))).Count() > 10);
        Assert.NotEmpty(Root.Create().Parse(Words("queue exprot DIR")).Errors);
        Assert.NotEmpty(Root.Create().Parse(Words("config check --lively")).Errors);
    }

    /// <summary>
    /// Behind <c>pgptunnel</c>, or in backticks and beginning with the name of a command; up to what is no word of it any more.
    /// </summary>
    private static IEnumerable<string> Commands(string text) =>
        Typed().Matches(text).Concat(Quoted().Matches(text)).Select(m => m.Groups[1].Value.Trim()).Distinct();

    private static string[] Words(string line) =>
        [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(w => w is not ("\u2026" or "..."))];

    private const string Names =
        "(?:demo|setup|init|run|config|key|dns|policy|seal|open|queue|partner|doctor|status|postfix|trace|evidence|journal"
        + "|test|manual|backup|restore)";

    [GeneratedRegex($"(?:^|[\\s`'/])pgptunnel ({Names}(?: (?![>|#&])[^\\s`'\"|<>();]+)*)", RegexOptions.Multiline)]
    private static partial Regex Typed();

    [GeneratedRegex($"`({Names}(?: [^\\s`'\"|<>();]+)+)`")]
    private static partial Regex Quoted();
}
