namespace PgpTunnel.Interop;

/// <summary>Programs a test cannot do without: absent, the test is skipped on a developer's machine and fails in CI.</summary>
internal static class Need
{
    public static string Program(string name)
    {
        var path = (Environment.GetEnvironmentVariable("PATH") + ":/usr/sbin:/sbin")
            .Split(':')
            .Select(d => Path.Combine(d, name))
            .FirstOrDefault(File.Exists);
        if (path is null && Environment.GetEnvironmentVariable("CI") == "true")
            Assert.Fail($"{name} is not installed");
        if (path is null)
            Assert.Skip($"{name} is not installed");
        return path;
    }

    public static void Programs(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            Program(name);
    }

    public static void Root()
    {
        if (Environment.UserName != "root" && Environment.GetEnvironmentVariable("CI") == "true")
            Assert.Fail("this test needs root");
        if (Environment.UserName != "root")
            Assert.Skip("this test needs root");
    }
}
