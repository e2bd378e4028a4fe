namespace PgpTunnel.Tests;

/// <summary>Cases from text files: a line a case, <c>#</c> starts a comment line.</summary>
internal static class Vectors
{
    public static TheoryData<string> Lines(string file) =>
        [
            .. File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Vectors", file))
                .Where(l => l.Length > 0 && l[0] != '#'),
        ];

    public static (string Left, string Right) Split(string line)
    {
        var arrow = line.LastIndexOf("=>", StringComparison.Ordinal);
        return (line[..arrow].Trim(), line[(arrow + 2)..].Trim());
    }
}
