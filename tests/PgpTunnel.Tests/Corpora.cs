using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Tests;

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
            if (Directory.Exists(Path.Combine(directory.FullName, "shared", "corpora", name)))
                return Path.Combine(directory.FullName, "shared", "corpora", name);
        Assert.Skip($"the corpus {name} is not there");
        return "";
    }
}
