using Microsoft.Extensions.Time.Testing;
using PgpTunnel.Commands;

namespace PgpTunnel.Tests;

/// <summary>How far long work is, where there is no terminal.</summary>
public sealed class StageLinesTests
{
    [Fact]
    public void A_line_comes_from_time_to_time_and_none_before_and_none_after()
    {
        var (time, output) = (new FakeTimeProvider(), new StringWriter { NewLine = "\n" });
        using (var lines = new StageLines(output, "backup", time))
        {
            time.Advance(StageLines.Pace);
            lines.Report(new("the spool is copied"));
            Assert.Equal("", output.ToString());
            time.Advance(2 * StageLines.Pace); // it says that it lives, though it came no further
            lines.Report(new("rows", 1234));
            lines.Report(new("rows", 1235));
            time.Advance(StageLines.Pace);
            lines.Report(new("it is sealed and written", 1, 3));
            time.Advance(StageLines.Pace);
        }
        time.Advance(StageLines.Pace);
        Assert.Equal(
            """
            pgptunnel backup: the spool is copied
            pgptunnel backup: the spool is copied
            pgptunnel backup: rows, 1235 so far
            pgptunnel backup: it is sealed and written, 33 %

            """,
            output.ToString()
        );
    }

    [Fact]
    public void What_has_no_pieces_has_no_percentage()
    {
        var (time, output) = (new FakeTimeProvider(), new StringWriter { NewLine = "\n" });
        using var lines = new StageLines(output, "backup", time);
        lines.Report(new("nothing", 0, 0));
        time.Advance(StageLines.Pace);
        Assert.Equal("pgptunnel backup: nothing\n", output.ToString());
    }
}
