namespace PgpTunnel.Interop;

public class UnboundSampleTests
{
    [Fact]
    public async Task The_sample_resolver_configuration_is_one()
    {
        var check = Need.Program("unbound-checkconf");
        var sample = Path.Combine(AppContext.BaseDirectory, "samples", "unbound", "pgptunnel.conf");
        (await Run.ProgramAsync(check, [sample])).Expect(0);
    }
}
