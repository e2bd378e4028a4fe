namespace PgpTunnel.Interop;

/// <summary>
/// Test data of other people, beside the checkout and not part of it; a test that reads it is skipped where it is absent.
/// </summary>
internal static class Corpora
{
    public static string Find(string name)
    {
        for (
            var directory = new DirectoryInfo(AppContext.BaseDirectory);
            directory is not null;
            directory = directory.Parent
        )
        {
            var candidate = Path.Combine(directory.FullName, "shared", "corpora", name);
            if (Directory.Exists(candidate))
                return candidate;
        }
        Assert.Skip($"the corpus {name} is not there");
        return "";
    }
}
