namespace PgpTunnel.Tests;

/// <summary>What the doctor says of the machine's clock.</summary>
public sealed class ClockFindingTests
{
    [Fact]
    public void A_clock_that_may_be_wrong_is_a_warning_and_one_that_is_kept_is_not()
    {
        Assert.Equal(FindingLevel.Warning, Doctor.Clock(new(TimeSpan.FromSeconds(16))).Level);
        var kept = Doctor.Clock(new(TimeSpan.FromMilliseconds(23)));
        Assert.Equal(
            (FindingLevel.Ok, "the clock is synchronised, and wrong by 0.023 s at most"),
            (kept.Level, kept.What)
        );
        Assert.Contains("chrony", Doctor.Clock(new(MostWrong: null)).Do);
        Assert.Null(Doctor.Clock(null).Do);
    }
}
