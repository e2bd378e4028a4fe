namespace PgpTunnel.Tests;

/// <summary>
/// The drawing in <c>src/README.md</c>, kept: a room knows only rooms below it, no files know each other in a circle, leaves know nobody.
/// </summary>
public sealed class LayersTests
{
    /// <summary>Rooms from the ground up; those on one floor do not know each other.</summary>
    private static readonly string[][] Floors =
    [
        ["Protocol", "Log"],
        ["Machine"],
        ["Configuration"],
        ["Keys", "Spool"],
        ["Peers"],
        ["Evidence"],
        ["Parcels"],
        ["Deciding", "Receipts"],
        ["Flows", "Delivery", "Operating"],
        ["Doors"],
        ["Gateway"],
        ["Demo"],
        ["Commands"],
        ["Program"],
    ];

    /// <summary>Circles that are there still. The list may only shrink.</summary>
    private static readonly string[] KnownCircles = [];

    private static readonly House House = House.Read();

    private static int Floor(string room) => Array.FindIndex(Floors, f => f.Contains(room));

    [Fact]
    public void Every_file_stands_in_a_room_of_the_drawing() =>
        Assert.All(House.Files, f => Assert.True(Floor(f.Room) >= 0, $"{f} stands in no room"));

    [Fact]
    public void A_room_knows_only_rooms_below_it()
    {
        var wrong = House
            .Edges.Where(e => e.From.Room != e.To.Room && Floor(e.To.Room) >= Floor(e.From.Room))
            .Select(e => $"{e.From} knows {e.To} ({e.Why})")
            .Order()
            .ToList();
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void No_files_know_each_other_in_a_circle()
    {
        var circles = House.Circles().Select(c => string.Join(", ", c)).ToList();
        Assert.Equal(KnownCircles.Order(), circles.Order());
    }

    [Theory]
    [InlineData("PgpTunnel.Dns")]
    [InlineData("PgpTunnel.OpenPgp")]
    [InlineData("PgpTunnel.Smtp")]
    [InlineData("PgpTunnel.Evidence", "PgpTunnel.Dns", "PgpTunnel.OpenPgp")]
    public void A_leaf_sees_no_other_project_than_it_may(string leaf, params string[] may) =>
        Assert.DoesNotContain(
            System.Reflection.Assembly.Load(leaf).GetReferencedAssemblies(),
            a => a.Name!.StartsWith("PgpTunnel", StringComparison.OrdinalIgnoreCase) && !may.Contains(a.Name)
        );

    /// <summary>
    /// Who looks for a file that <c>src/README.md</c> names finds it: a path from a project with rooms, src or the top, or a file
    /// beside the one named before it.
    /// </summary>
    [Fact]
    public void Every_place_that_the_readme_of_the_sources_names_is_there()
    {
        var missing = new List<string>();
        foreach (var line in File.ReadLines(Path.Combine(House.Root, "src", "README.md")))
        {
            var beside = "";
            foreach (
                System.Text.RegularExpressions.Match name in System.Text.RegularExpressions.Regex.Matches(
                    line,
                    "`([\\w./*]+(?:/|\\.cs|\\.txt|\\.md))`"
                )
            )
            {
                var place = name.Groups[1].Value;
                string[] starts = [.. House.Projects.Select(p => Path.Combine("src", p)), "src", "", beside];
                var found = starts
                    .Select(start => Path.Combine(House.Root, start, place))
                    .FirstOrDefault(path =>
                        Path.Exists(path)
                        || (
                            place.Contains('*')
                            && Directory.Exists(Path.GetDirectoryName(path))
                            && Directory.EnumerateFiles(Path.GetDirectoryName(path)!, Path.GetFileName(path)).Any()
                        )
                    );
                if (found is null)
                    missing.Add($"{place}: {line}");
                else
                    beside = Path.GetRelativePath(House.Root, Path.GetDirectoryName(found)!);
            }
        }
        Assert.True(missing.Count == 0, string.Join('\n', missing));
    }

    /// <summary>What is used inside an async method, by a static call, as a type argument and by a constant: the reader sees it.</summary>
    [Theory]
    [InlineData("Upkeep", "SubkeyRotation")]
    [InlineData("Decisions", "Policy")]
    [InlineData("Peers", "PolicyRecord")]
    [InlineData("Delivery", "Slots")]
    [InlineData("QueueCommand", "SpoolRescue")]
    [InlineData("Gateway", "Upkeep")]
    public void The_reader_sees_how_files_use_each_other(string from, string to) =>
        Assert.Contains(House.Edges, e => e.From.Name == from && e.To.Name == to);

    /// <summary>The guards themselves: what they must see in a house that is out of order.</summary>
    [Fact]
    public void A_circle_and_an_edge_that_goes_up_are_seen()
    {
        var (a, b, c) = (new HouseFile("Spool", "A"), new HouseFile("Spool", "B"), new HouseFile("Delivery", "C"));
        var house = new House([a, b, c], [new(a, b, ""), new(b, c, ""), new(c, a, "")]);
        Assert.Equal(["Delivery/C", "Spool/A", "Spool/B"], Assert.Single(house.Circles()));
        Assert.True(Floor("Delivery") > Floor("Spool"));
        Assert.Empty(new House([a, b, c], [new(a, b, ""), new(c, a, "")]).Circles());
    }
}
