using System.Diagnostics;
using System.Globalization;
using PgpTunnel.Fuzz;
using SharpFuzz;

// PgpTunnel.Fuzz list | run TARGET|all SECONDS [SEED] | share EXECUTIONS | afl TARGET | seeds TARGET FOLDER
// run and share mutate by themselves; afl is what AFL++ starts (tests/fuzz); seeds writes inputs for it to begin with.
var folder = Path.Combine(AppContext.BaseDirectory, "Corpus");

List<byte[]> Corpus(Targets.Target target) =>
    [
        .. target.Seeds,
        .. Directory.Exists(Path.Combine(folder, target.Name))
            ? Directory.EnumerateFiles(Path.Combine(folder, target.Name)).Order().Select(File.ReadAllBytes)
            : [],
    ];

Targets.Target Find(string name) =>
    Targets.All.FirstOrDefault(t => t.Name == name)
    ?? throw new ArgumentException($"there is no target {name}; 'list' names them");

// One input; a finding is written to a file and told.
bool Survives(Targets.Target target, byte[] input)
{
    var clock = Stopwatch.StartNew();
    try
    {
        target.Run(input);
        if (clock.Elapsed < TimeSpan.FromSeconds(5))
            return true;
        Report(target, input, $"it took {clock.Elapsed.TotalSeconds:0.0} s");
    }
    catch (Exception e)
    {
        Report(target, input, e.ToString());
    }
    return false;
}

void Report(Targets.Target target, byte[] input, string what)
{
    var file = Path.GetFullPath(
        $"finding-{target.Name}-{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(input).AsSpan(0, 6))}"
    );
    File.WriteAllBytes(file, input);
    Console.WriteLine($"FINDING in {target.Name}: {file}\n{what}");
}

// Mutates until the time or the number is reached. Returns executions and findings.
(long Executions, int Findings) Fuzz(Targets.Target target, TimeSpan time, long most, int seed)
{
    var (mutator, corpus, clock) = (new Mutator(seed), Corpus(target), Stopwatch.StartNew());
    var (executions, findings) = (0L, corpus.Count(i => !Survives(target, i)));
    while (executions < most && clock.Elapsed < time && findings < 10)
    {
        executions++;
        findings += Survives(target, mutator.Next(corpus)) ? 0 : 1;
    }
    return (executions, findings);
}

int Summary(IEnumerable<(string Name, long Executions, int Findings)> results)
{
    var all = results.ToList();
    foreach (var (name, executions, findings) in all)
        Console.WriteLine($"{name, -16} {executions, 12} executions, {findings} findings");
    Console.WriteLine(
        $"{"in all", -16} {all.Sum(r => r.Executions), 12} executions, {all.Sum(r => r.Findings)} findings"
    );
    return all.Any(r => r.Findings > 0) ? 1 : 0;
}

switch (args)
{
    case ["list"]:
        Console.WriteLine(string.Join('\n', Targets.All.Select(t => t.Name)));
        return 0;
    case ["run", var name, var seconds, .. var more]:
        var chosen = name == "all" ? Targets.All : [Find(name)];
        var each = TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture) / chosen.Count);
        return Summary(
            chosen
                .Select(t =>
                    (
                        t,
                        Fuzz(
                            t,
                            each,
                            long.MaxValue,
                            more is [var s] ? int.Parse(s, CultureInfo.InvariantCulture) : Environment.TickCount
                        )
                    )
                )
                .Select(r => (r.t.Name, r.Item2.Executions, r.Item2.Findings))
                .ToList()
        );
    case ["share", var number]:
        return Summary(
            Targets
                .All.Select(t =>
                    (t.Name, Fuzz(t, TimeSpan.MaxValue, long.Parse(number, CultureInfo.InvariantCulture), 20260901))
                )
                .Select(r => (r.Name, r.Item2.Executions, r.Item2.Findings))
                .ToList()
        );
    case ["afl", var name]:
        // The targets are made inside: instrumented code cannot run before AFL's map is there.
        Fuzzer.OutOfProcess.Run(stream =>
        {
            using var input = new MemoryStream();
            stream.CopyTo(input);
            Find(name).Run(input.ToArray());
        });
        return 0;
    case ["seeds", var name, var into]:
        Directory.CreateDirectory(into);
        var seeds = Corpus(Find(name));
        for (var i = 0; i < seeds.Count; i++)
            File.WriteAllBytes(Path.Combine(into, $"seed{i}"), seeds[i]);
        return 0;
    default:
        Console.Error.WriteLine(
            "usage: PgpTunnel.Fuzz list | run TARGET|all SECONDS [SEED] | share EXECUTIONS | afl TARGET | seeds TARGET FOLDER"
        );
        return 64;
}
