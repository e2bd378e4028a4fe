using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PgpTunnel.Tests;

/// <summary>What the manual says of the configuration is what the configuration knows.</summary>
public sealed partial class SettingsTextTests
{
    public static TheoryData<string> Keys => [.. SettingText.All.SelectMany(s => s.Keys)];

    /// <summary>A number is right for few and known for all: what is wrong with it is not that nobody knows the key.</summary>
    [Theory, MemberData(nameof(Keys))]
    public void A_key_of_the_manual_is_known(string key) => Assert.DoesNotContain("unknown", Mistakes(key));

    [Fact]
    public void A_key_that_nobody_knows_is_told_apart() => Assert.Contains("unknown", Mistakes("limits.sizes"));

    /// <summary>By the sources of the sections: whatever a section reads has its text.</summary>
    [Fact]
    public void Every_key_is_in_the_manual()
    {
        var described = SettingText.All.SelectMany(s => s.Keys).SelectMany(k => k.Split('.')).ToHashSet();
        var read = Directory
            .EnumerateFiles(Path.Combine(House.Root, "src", "PgpTunnel.Gateway", "Configuration"), "*.cs")
            .SelectMany(f => ReadKey().Matches(File.ReadAllText(f)))
            .Select(m => m.Groups[1].Value)
            .ToHashSet();
        Assert.True(read.Count > 40);
        Assert.Equal([], read.Except(described));
    }

    [Fact]
    public void The_table_for_readers_names_every_one()
    {
        var table = File.ReadAllText(Path.Combine(House.Root, "src", "docs", "configuration.md"));
        Assert.Equal([], SettingText.All.SelectMany(s => s.Keys).Where(k => !table.Contains(k.Split('.')[^1])));
    }

    private static string Mistakes(string key)
    {
        var path = key.Replace("DOMAIN", "b-example").Split('.');
        JsonNode value = 7;
        foreach (var name in path.Reverse())
            value = new JsonObject { [name == "b-example" ? "b.example" : name] = value };
        if (value is JsonObject root)
            root.TryAdd("domains", new JsonArray("a.example"));
        var folder = Directory.CreateTempSubdirectory("pgptunnel-settings-");
        var file = Path.Combine(folder.FullName, "pgptunnel.json");
        File.WriteAllText(file, value.ToJsonString());
        try
        {
            ConfigurationReader.Read(file);
            return "";
        }
        catch (ConfigurationException e)
        {
            return string.Join('\n', e.Mistakes);
        }
        finally
        {
            folder.Delete(true);
        }
    }

    [GeneratedRegex(
        "\\b\\w+\\.(?:Text|File|Number|Flag|Time|Choice|TextList|DomainList|Mailbox|Section|OptionalSection|TextOrSection)\\(\\s*\"(\\w+)\""
    )]
    private static partial Regex ReadKey();
}
