namespace PgpTunnel.Tests;

public class PolicyRecordTests
{
    private static readonly string F = new('1', 40),
        G = new('2', 40),
        V = new('3', 64);

    public static TheoryData<string> Records => Vectors.Lines("policy-records.txt");

    [Theory, MemberData(nameof(Records))]
    public void Each_record_means_what_the_file_says(string line)
    {
        var (left, right) = Vectors.Split(line);
        var records = left.Split(" || ").Select(t => TestWorld.Txt(Expand(t.Replace("<sp>", " ")))).ToList();
        Assert.Equal(Expand(right), Describe(records));
    }

    private static string Expand(string text) =>
        System.Text.RegularExpressions.Regex.Replace(
            text,
            "(?<=[=, ])([FGV])(?=[,; ]|$)",
            m =>
                m.Value switch
                {
                    "F" => F,
                    "G" => G,
                    _ => V,
                }
        );

    private static string Describe(List<byte[]> records)
    {
        try
        {
            return PolicyRecord.Find(records, "b.example") is not { } p
                ? "absent"
                : $"{p.Mode.ToString().ToLowerInvariant()} {string.Join(',', p.Fingerprints)} gw={p.Gateway} "
                    + $"a={p.MaxAge.TotalSeconds}{(p.Size is null ? "" : $" sz={p.Size}")}"
                    + $"{(p.Distrusted.Count > 0 ? $" xfp={string.Join(',', p.Distrusted)}" : "")}";
        }
        catch (PolicyRecordException)
        {
            return "broken";
        }
    }

    [Fact]
    public void Strings_of_one_record_are_joined_without_blanks()
    {
        byte[] rdata = [.. TestWorld.Txt("v=PGPT1; m=enf"), .. TestWorld.Txt($"orce; fp={F}")];
        Assert.Equal(PolicyMode.Enforce, PolicyRecord.Find([rdata], "b.example")!.Mode);
    }

    [Fact]
    public void More_than_1024_octets_and_more_than_16_distrusted_are_broken()
    {
        Assert.Throws<PolicyRecordException>(() =>
            PolicyRecord.Find([TestWorld.Txt($"v=PGPT1; fp={F}; x={new string('y', 1000)}")], "b.example")
        );
        var many = string.Join(
            ',',
            Enumerable.Range(0, 17).Select(i => i.ToString("x40", System.Globalization.CultureInfo.InvariantCulture))
        );
        Assert.Throws<PolicyRecordException>(() =>
            PolicyRecord.Find([TestWorld.Txt($"v=PGPT1; fp={F}; xfp={many}")], "b.example")
        );
    }

    [Fact]
    public void The_certificate_stands_at_its_rfc_7929_name() =>
        Assert.Equal(
            "482cd50130d387707e63f260752b99cfe7e61b09fef855e43d3c6a83._openpgpkey.pgptunnel.b.example",
            PolicyRecord.CertificateName("pgptunnel@pgptunnel.b.example").ToString()
        );
}
