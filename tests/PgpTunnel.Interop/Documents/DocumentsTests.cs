namespace PgpTunnel.Interop;

/// <summary>Every command line in the documents is run, and prints what they say.</summary>
public sealed class DocumentsTests
{
    private const string Folder = "docs";

    /// <summary>How command lines begin that are run elsewhere, and where.</summary>
    private static readonly (string Begin, string Where)[] Elsewhere =
    [
        ("dotnet run --project src/PgpTunnel -c Release -- demo", nameof(DemoTests)),
        ("tests/run", "itself"),
        ("src/debian/build ", "tests/package"),
        ("src/debian/image ", "tests/package"),
        ("apt ", "tests/package"),
        ("podman ", "tests/package"),
        ("dotnet publish src/PgpTunnel -c Release -o ", "tests/package, in src/debian/build"),
        ("ln -s /opt/pgptunnel/pgptunnel ", "where it is written: it names two files"),
        ("useradd --system ", "tests/package, in src/debian/image"),
    ];

    public static TheoryData<string> Pages =>
        [
            .. Directory
                .EnumerateFiles(Path.Combine(AppContext.BaseDirectory, Folder), "*.md")
                .Select(f => Path.Combine(Folder, Path.GetFileName(f)))
                .Prepend("README.md")
                .Where(p => Typed(p).Any())
                .Order(StringComparer.Ordinal),
        ];

    private static IEnumerable<Step> Typed(string page) =>
        Page.Steps(File.ReadLines(Path.Combine(AppContext.BaseDirectory, page)))
            .Where(s => !Elsewhere.Any(e => s.Command.StartsWith(e.Begin, StringComparison.Ordinal)));

    [Fact]
    public void None_of_them_is_overlooked()
    {
        Assert.True(Pages.Count >= 9, $"{Pages.Count} pages");
        Assert.True(Pages.Sum(p => Typed(p.Data).Count()) >= 35);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public async Task Its_commands_do_what_it_says(string page)
    {
        await using var world = await DocumentedWorld.OpenAsync();
        foreach (var step in Typed(page))
        {
            var finished = await world.TypeAsync(step.Command);
            Assert.True(
                finished.Code == 0,
                $"{page}: {step.Command}: exit code {finished.Code}\n{finished.Text}\n{finished.Error}"
            );
            if (Difference(world, step.Output, finished.Text.TrimEnd('\n').Split('\n')) is { } difference)
                Assert.Fail($"{page}: {step.Command}: {difference}\nIt prints:\n{finished.Text}");
        }
    }

    /// <summary>Line by line; "…" stands for lines that were left out, or for the rest of one.</summary>
    private static string? Difference(DocumentedWorld world, IReadOnlyList<string> documented, string[] printed)
    {
        var next = 0;
        var skips = false;
        foreach (var line in documented)
        {
            if (line.Trim() == "…")
            {
                skips = true;
                continue;
            }
            var expected = world.Plain(line);
            bool Fits(string p) =>
                expected.EndsWith('…') ? p.StartsWith(expected[..^1], StringComparison.Ordinal) : p == expected;
            while (skips && next < printed.Length && !Fits(world.Plain(printed[next])))
                next++;
            if (next == printed.Length || !Fits(world.Plain(printed[next])))
                return $"the document has\n{line}\nand there is\n{printed.ElementAtOrDefault(next) ?? "nothing"}\n";
            next++;
            skips = false;
        }
        return skips || documented.Count == 0 || next == printed.Length
            ? null
            : $"the document ends before\n{printed[next]}\n";
    }
}
