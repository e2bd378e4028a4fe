namespace PgpTunnel.Interop;

/// <summary>The systemd unit of samples/, as systemd itself judges it.</summary>
public sealed class UnitFileTests
{
    [Fact]
    public async Task Systemd_finds_little_that_the_unit_leaves_exposed()
    {
        var analyze = Need.Program("systemd-analyze");
        var unit = Path.Combine(AppContext.BaseDirectory, "samples", "systemd", "pgptunnel.service");
        // 0 is sealed off, 10 wide open; a service that faces the network is called OK below 5. The threshold is in tenths.
        var security = (
            await Run.ProgramAsync(analyze, ["security", "--offline=true", "--threshold=20", "--no-pager", unit])
        ).Expect(0);
        Assert.Contains("Overall exposure level for pgptunnel.service", security.Text);
        // The program is not where the unit expects it; of everything else nothing may be unknown or misplaced.
        var verify = await Run.ProgramAsync(analyze, ["verify", "--man=false", unit]);
        Assert.DoesNotContain(
            "pgptunnel.service:",
            verify.Error.Replace(
                "pgptunnel.service: Command /usr/bin/pgptunnel is not executable",
                "",
                StringComparison.Ordinal
            )
        );
    }
}
