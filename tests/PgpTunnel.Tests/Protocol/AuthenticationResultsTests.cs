using System.Globalization;
using System.Text;

namespace PgpTunnel.Tests;

public class AuthenticationResultsTests
{
    public static TheoryData<string> Cases => Vectors.Lines("authentication-results.txt");

    [Theory, MemberData(nameof(Cases))]
    public void Each_field_is_read_strictly_or_not_at_all(string line)
    {
        var (_, expected) = Vectors.Split(line);
        var field = line[..line.LastIndexOf("=>", StringComparison.Ordinal)].TrimEnd(' ');
        Assert.Equal(
            expected,
            AuthenticationResults.AuthServId(
                Encoding.UTF8.GetBytes($"Authentication-Results:{field.Replace("\\n", "\r\n ")}\r\n")
            ) ?? "unreadable"
        );
    }

    /// <summary>Nothing of the kind reaches the recipient below our own.</summary>
    [Fact]
    public async Task Forged_results_do_not_arrive()
    {
        await using var pair = await Pair.CreateAsync(moreB: "\"trace\": { \"authenticationResults\": true }");
        var forged = Cases
            .Select(c => c.Data)
            .Where(l =>
                l.EndsWith("unreadable", StringComparison.Ordinal)
                || l.EndsWith("=> gw.b.example", StringComparison.OrdinalIgnoreCase)
            )
            .Select(l =>
                "Authentication-Results:"
                + l[..l.LastIndexOf("=>", StringComparison.Ordinal)].Replace("\\n", "\r\n ").Replace("ä", "a")
                + " forged=pass\r\n"
            );
        await pair.A.SendAsync(
            "<alice@a.example>",
            ["<bob@b.example>"],
            $"{string.Concat(forged.Where(f => !f.Contains("(a)")))}Authentication-Results: other.example; "
                + "dkim=pass\r\nSubject: s\r\n\r\nx\r\n"
        );
        var arrived = Encoding.Latin1.GetString((await pair.B.WaitAsync(1))[0].Message);
        Assert.DoesNotContain("forged", arrived);
        Assert.Contains("Authentication-Results: gw.b.example;\r\n\tx-pgptunnel=pass", arrived);
        Assert.Contains("Authentication-Results: other.example; dkim=pass\r\n", arrived);
    }

    /// <summary>
    /// With the rules of a culture two domains that look alike could be one, and one two: A-labels are compared by octet, and IDNA must
    /// not depend on the machine.
    /// </summary>
    [Fact]
    public void No_culture_decides_what_a_domain_is()
    {
        Assert.True(AppContext.TryGetSwitch("System.Globalization.Invariant", out var invariant) && invariant);
        Assert.Throws<CultureNotFoundException>(() => new CultureInfo("tr-TR"));
    }
}
