using System.Globalization;

namespace PgpTunnel.Benchmarks;

/// <summary>Processor time of a process with all it has started.</summary>
internal static class ProcessTree
{
    private const double TicksPerSecond = 100; // USER_HZ of proc(5)

    /// <summary>Of the processes that match and of all below them, those that have ended and were waited for included.</summary>
    /// <param name="isRoot">By process id and command line.</param>
    public static TimeSpan Cpu(Func<int, string, bool> isRoot)
    {
        var all = new Dictionary<int, (int Parent, double Ticks)>();
        var counted = new HashSet<int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var pid))
                continue;
            try
            {
                var stat = File.ReadAllText(Path.Combine(folder, "stat"));
                var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' '); // from the third on
                double Field(int number) => double.Parse(fields[number - 3], CultureInfo.InvariantCulture);
                all[pid] = ((int)Field(4), Field(14) + Field(15) + Field(16) + Field(17));
                if (isRoot(pid, File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ')))
                    counted.Add(pid);
            }
            catch (IOException)
            {
                // ended while we looked
            }
        }
        for (var more = true; more; )
            more = all.Where(p => counted.Contains(p.Value.Parent)).ToList().Exists(p => counted.Add(p.Key));
        return TimeSpan.FromSeconds(counted.Where(all.ContainsKey).Sum(p => all[p].Ticks) / TicksPerSecond);
    }
}
