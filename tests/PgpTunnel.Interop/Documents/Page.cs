using System.Text.RegularExpressions;

namespace PgpTunnel.Interop;

/// <summary>A command line in a document, and what it prints there; none = the document does not say.</summary>
internal sealed record Step(string Command, IReadOnlyList<string> Output);

/// <summary>The command lines of a document: in indented blocks, behind "$ " where what is printed follows.</summary>
internal static partial class Page
{
    /// <summary>Begins what is typed; other blocks are excerpts.</summary>
    [GeneratedRegex(@"^(\$ |(pgptunnel|systemctl|mv|gpg|dotnet|apt|podman|useradd|ln|src/debian/\w+|tests/\w+)( |$))")]
    private static partial Regex Typed();

    public static IEnumerable<Step> Steps(IEnumerable<string> lines) => Blocks(lines).SelectMany(Steps);

    /// <summary>Indented lines, with blank ones between them.</summary>
    private static List<List<string>> Blocks(IEnumerable<string> lines)
    {
        List<List<string>> blocks = [];
        List<string>? block = null;
        foreach (var line in lines)
            if (line.StartsWith("    ", StringComparison.Ordinal))
            {
                if (block is null)
                    blocks.Add(block = []);
                block.Add(line);
            }
            else if (line.Length > 0)
                block = null;
            else
                block?.Add(line);
        return [.. blocks.Select(Unindented)];
    }

    private static List<string> Unindented(List<string> block)
    {
        var depth = block.Where(l => l.Length > 0).Min(l => l.Length - l.TrimStart(' ').Length);
        return [.. block.Select(l => l.Length > 0 ? l[depth..] : "")];
    }

    private static IEnumerable<Step> Steps(List<string> block)
    {
        if (!Typed().IsMatch(block[0]))
            yield break;
        for (var i = 0; i < block.Count; i++)
            if (block[i].StartsWith("$ ", StringComparison.Ordinal))
            {
                var output = block.Skip(i + 1).TakeWhile(l => l.Length > 0 && l[0] != '$').ToList();
                yield return new(block[i][2..], output);
                i += output.Count;
            }
            else if (block[i].Length > 0)
                yield return new(block[i], []);
    }
}
