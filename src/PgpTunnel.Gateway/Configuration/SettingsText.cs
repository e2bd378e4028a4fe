namespace PgpTunnel;

/// <summary>A key of the configuration as it is described to people.</summary>
/// <param name="Keys">Its path, or those of several that belong together.</param>
/// <param name="Default">In words where it is none that could be written.</param>
internal sealed record SettingText(IReadOnlyList<string> Keys, string Default, string Text)
{
    /// <summary>All of them, in the order of the file: <c>settings.txt</c> beside this one.</summary>
    public static IReadOnlyList<SettingText> All { get; } = [.. Read()];

    private static IEnumerable<SettingText> Read()
    {
        using var stream = typeof(SettingText).Assembly.GetManifestResourceStream("settings.txt")!;
        using var reader = new StreamReader(stream);
        var lines = reader.ReadToEnd().Split('\n').Where(l => l.Length > 0 && l[0] != '#').ToList();
        for (var at = 0; at < lines.Count; )
        {
            var (heading, text) = (lines[at].Split(" = ", 2), lines.Skip(at + 1).TakeWhile(l => l[0] == ' ').ToList());
            yield return new(heading[0].Split(", "), heading[1], string.Join(' ', text.Select(l => l.Trim())));
            at += 1 + text.Count;
        }
    }
}
