using System.Text.Json;

namespace PgpTunnel.Interop;

/// <summary>The README's first command.</summary>
public class DemoTests
{
    [Fact]
    public async Task The_sample_arrives_byte_for_byte()
    {
        var demo = (await Run.PgpTunnelAsync("demo")).Expect(0);
        Assert.Contains("identical, byte for byte.", demo.Text);
        Assert.DoesNotContain("4711", demo.Text[..demo.Text.IndexOf("3  Gateway B", StringComparison.Ordinal)]);
    }

    [Fact]
    public async Task Json_is_one_document()
    {
        using var json = JsonDocument.Parse((await Run.PgpTunnelAsync("demo", "--json")).Expect(0).Output);
        Assert.True(json.RootElement.GetProperty("identical").GetBoolean());
    }

    /// <summary>Messages other people published: through both gateways unaltered, or refused with the reason.</summary>
    [Fact]
    public async Task Every_message_of_the_corpus_arrives_unaltered_or_is_refused()
    {
        var corpus = Corpora.Find("mail");
        foreach (var file in Directory.EnumerateFiles(corpus, "*.eml", SearchOption.AllDirectories).Order())
        {
            var demo = await Run.PgpTunnelAsync("demo", file, "--json");
            using var json = JsonDocument.Parse(demo.Output);
            if (demo.Code == 0)
                Assert.True(json.RootElement.GetProperty("identical").GetBoolean(), file);
            else
                Assert.True(
                    demo.Code == 65
                        && json.RootElement.GetProperty("refused")
                            .GetString()!
                            .StartsWith("550 5.6.11", StringComparison.Ordinal),
                    $"{file}: {demo.Code} {demo.Text} {demo.Error}"
                );
        }
    }
}
