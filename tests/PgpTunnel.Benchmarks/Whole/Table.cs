using System.Globalization;

namespace PgpTunnel.Benchmarks;

/// <summary>Medians over the rounds, with the least and the greatest.</summary>
internal static class Table
{
    /// <param name="than">What the rates are divided by.</param>
    public static string Head(string than) =>
        $"""
            |       | size  | sessions |                   | messages/s         | {"times "
                + than, -19} | CPU ms | p50 ms | p99 ms |
            |-------|-------|---------:|-------------------|-------------------:|--------------------:|-------:|-------:|-------:|
            """;

    public static string Row(
        Way way,
        int size,
        int sessions,
        string name,
        IReadOnlyList<WholeGateway.Result> rounds,
        IReadOnlyList<WholeGateway.Result> relay
    )
    {
        var ratios = rounds.Zip(relay, (r, a) => r.Rate / a.Rate).ToList();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {(way == Way.Outbound ? "out" : "in"), -5} | {Size(size), -5} | {sessions, 8} | {name, -17} | "
                + $"{Spread(rounds.Select(r => r.Rate)), 18} | {Spread(ratios), 19} | "
                + $"{Median(rounds.Select(r => r.Cpu)), 6:0.00} | "
                + $"{Median(rounds.Select(r => At(r.Times, 0.5))), 6:0.0} | {Median(rounds.Select(r => At(r.Times, 0.99))), 6:0.0} |"
        );
    }

    private static string Size(int octets) => octets >= 1_000_000 ? $"{octets / 1_000_000} MB" : $"{octets / 1_000} KB";

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count % 2 == 1
            ? sorted[sorted.Count / 2]
            : (sorted[(sorted.Count / 2) - 1] + sorted[sorted.Count / 2]) / 2;
    }

    private static double At(double[] sorted, double quantile) =>
        sorted[(int)Math.Min(sorted.Length - 1, sorted.Length * quantile)];

    private static string Spread(IEnumerable<double> values)
    {
        var all = values.ToList();
        var format =
            Median(all) >= 100 ? "0"
            : Median(all) >= 10 ? "0.0"
            : "0.00";
        string Text(double v) => v.ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(Median(all))} ({Text(all.Min())}-{Text(all.Max())})";
    }
}
