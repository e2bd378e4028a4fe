using System.Text.RegularExpressions;

namespace PgpTunnel.Tests;

/// <summary>Links in the documents lead somewhere: to a file, and to a heading in it.</summary>
public sealed partial class LinksTests
{
    public static TheoryData<string> Documents =>
        [
            .. new[] { "README.md", ".github/SECURITY.md" }.Concat(
                new[] { "src", "tests", "samples", "dns-records" }
                    .SelectMany(f =>
                        Directory.EnumerateFiles(Path.Combine(House.Root, f), "*.md", SearchOption.AllDirectories)
                    )
                    .Select(f => Path.GetRelativePath(House.Root, f))
                    .Where(f => !f.Split('/').Any(part => part is "bin" or "obj"))
            ),
        ];

    [Theory, MemberData(nameof(Documents))]
    public void Every_link_leads_somewhere(string document)
    {
        var file = Path.Combine(House.Root, document);
        var dead = Link()
            .Matches(File.ReadAllText(file))
            .Select(m => m.Groups[1].Value)
            .Where(l => !l.Contains("://", StringComparison.Ordinal) && !Leads(file, l))
            .ToList();
        Assert.True(dead.Count == 0, $"{document}: {string.Join(", ", dead)}");
    }

    [Fact]
    public void A_dead_link_is_seen()
    {
        var readme = Path.Combine(House.Root, "README.md");
        Assert.True(Leads(readme, "#honest-limits"));
        Assert.True(Leads(readme, "src/docs/backup.md#keys"));
        Assert.False(Leads(readme, "#dishonest-limits"));
        Assert.False(Leads(readme, "src/docs/backup.md#quays"));
        Assert.False(Leads(readme, "docs/backup.md"));
    }

    private static bool Leads(string from, string link)
    {
        var (path, heading) = link.Split('#') is [var p, var h] ? (p, h) : (link, null);
        var target = path.Length == 0 ? from : Path.GetFullPath(path, Path.GetDirectoryName(from)!);
        return heading is null
            ? Path.Exists(target)
            : File.Exists(target)
                && File.ReadLines(target).Any(l => l.StartsWith('#') && Anchor(l.TrimStart('#').Trim()) == heading);
    }

    /// <summary>As web pages of repositories name a heading.</summary>
    private static string Anchor(string heading) => NoWord().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NoWord();
}
