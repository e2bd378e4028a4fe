using System.Text.RegularExpressions;
using ArchUnitNET.Loader;
using PgpTunnel.Commands;

namespace PgpTunnel.Tests;

/// <summary>A file of the gateway or the program, or the parts of one class together.</summary>
internal sealed record HouseFile(string Room, string Name)
{
    public override string ToString() => $"{Room}/{Name}";
}

/// <param name="Why">The types that make it.</param>
internal sealed record HouseEdge(HouseFile From, HouseFile To, string Why);

/// <summary>
/// Who knows whom in the gateway and the program, file by file: types and what they use by the compiled assembly, where they stand by the
/// sources.
/// </summary>
internal sealed partial class House(IReadOnlyList<HouseFile> files, IReadOnlyList<HouseEdge> edges)
{
    public IReadOnlyList<HouseFile> Files => files;

    public IReadOnlyList<HouseEdge> Edges => edges;

    /// <summary>The folder that holds the solution.</summary>
    public static string Root
    {
        get
        {
            var at = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(at, "PgpTunnel.sln")))
                at =
                    Path.GetDirectoryName(at)
                    ?? throw new InvalidOperationException("the tests do not run inside the project's folder");
            return at;
        }
    }

    /// <summary>That have rooms, the lower first.</summary>
    public static readonly string[] Projects = ["PgpTunnel.Gateway", "PgpTunnel"];

    public static House Read()
    {
        var standing = new Dictionary<string, HouseFile>();
        foreach (var source in Projects.Select(p => Path.Combine(Root, "src", p)))
        foreach (var path in Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories))
        {
            var place = Path.GetRelativePath(source, path).Split(Path.DirectorySeparatorChar);
            if (place[0] is "bin" or "obj")
                continue;
            var name = place[^1].Split('.')[0]; // Spool.Open.cs is a part of Spool.cs
            var file = new HouseFile(place.Length > 1 ? place[0] : name, name);
            foreach (Match type in Declaration().Matches(File.ReadAllText(path)))
                standing.TryAdd(type.Groups["name"].Value, file);
        }
        standing.TryAdd("Program", new HouseFile("Program", "Program"));
        var edges = new Dictionary<(HouseFile, HouseFile), SortedSet<string>>();
        foreach (
            var type in new ArchLoader().LoadAssemblies(typeof(Gateway).Assembly, typeof(Root).Assembly).Build().Types
        )
        foreach (var target in type.Dependencies.Select(d => d.Target))
            if (
                standing.TryGetValue(Outermost(type.FullName), out var from)
                && standing.TryGetValue(Outermost(target.FullName), out var to)
                && from != to
            )
            {
                if (!edges.TryGetValue((from, to), out var why))
                    edges[(from, to)] = why = [];
                why.Add($"{Outermost(type.FullName)} uses {Outermost(target.FullName)}");
            }
        return new House(
            [.. standing.Values.Distinct()],
            [.. edges.Select(e => new HouseEdge(e.Key.Item1, e.Key.Item2, string.Join(", ", e.Value)))]
        );
    }

    /// <summary>Files that reach each other, each group once, in order of their names.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Circles()
    {
        var next = edges.ToLookup(e => e.From, e => e.To);
        HashSet<HouseFile> Reached(HouseFile start)
        {
            var (seen, open) = (new HashSet<HouseFile>(), new Stack<HouseFile>([start]));
            while (open.TryPop(out var at))
                foreach (var to in next[at].Where(seen.Add))
                    open.Push(to);
            return seen;
        }
        var reached = files.ToDictionary(f => f, Reached);
        return
        [
            .. files
                .Where(f => reached[f].Contains(f))
                .Select(f =>
                    string.Join(
                        '\n',
                        files
                            .Where(g => reached[f].Contains(g) && reached[g].Contains(f))
                            .Select(g => g.ToString())
                            .Order()
                    )
                )
                .Distinct()
                .Select(c => c.Split('\n')),
        ];
    }

    /// <summary>
    /// Of <c>PgpTunnel.Commands.Cli+Inner`1</c>: <c>Cli</c>. Types of other projects keep their namespace, and so stand nowhere.
    /// </summary>
    private static string Outermost(string fullName)
    {
        var type = fullName.Split('+', '<', '`', '[')[0];
        return OwnNamespace().Replace(type, "");
    }

    [GeneratedRegex("^PgpTunnel\\.(Commands\\.|Demo\\.)?(?=[A-Z]\\w*$)")]
    private static partial Regex OwnNamespace();

    [GeneratedRegex(
        "^(?:(?:public|internal|file|static|sealed|abstract|partial|readonly|unsafe)\\s+)*(?:class|record "
            + "struct|record class|record|struct|interface|enum|delegate\\s+[\\w<>\\[\\]?., ]+?)\\s+(?<name>[A-Z]\\w*)(?=[\\s(<:;{]|$)",
        RegexOptions.Multiline
    )]
    private static partial Regex Declaration();
}
