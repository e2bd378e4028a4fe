using System.Globalization;
using BenchmarkDotNet.Running;
using PgpTunnel.Benchmarks;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

// PgpTunnel.Benchmarks whole [--rounds N] [--sizes 10k,1m,10m] [--sessions 1,20,100] [--ways out,in] [--only PgpTunnel,Postfix]
// PgpTunnel.Benchmarks evidence [--rounds N] [--sizes 10k,10m] [--sessions 20]
// PgpTunnel.Benchmarks growth [--parcels 1000000] [--destinations 10000] [--dead 1000] [--peers 100000] [--replays 1000000] [--rounds N]
// PgpTunnel.Benchmarks tools [--rounds N] PgpTunnel.Benchmarks pieces [BenchmarkDotNet's own arguments]
IReadOnlyList<string> Option(string name, string otherwise) =>
    (Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise).Split(',');

int Number(string text) =>
    int.Parse(text.TrimEnd('k', 'm'), CultureInfo.InvariantCulture)
    * (
        text[^1] switch
        {
            'k' => 1_000,
            'm' => 1_000_000,
            _ => 1,
        }
    );

switch (args.FirstOrDefault())
{
    case "whole":
        await WholeGateway.RunAsync(
            new WholeOptions(
                Number(Option("--rounds", "5")[0]),
                [.. Option("--sizes", "10k,1m,10m").Select(Number)],
                [.. Option("--sessions", "1,20,100").Select(Number)],
                [.. Option("--ways", "out,in").Select(w => w == "in" ? Way.Inbound : Way.Outbound)],
                Option("--only", "")
            ),
            Console.Out
        );
        return 0;
    case "evidence":
        await WholeGateway.RunAsync(
            new WholeOptions(
                Number(Option("--rounds", "9")[0]),
                [.. Option("--sizes", "10k,10m").Select(Number)],
                [.. Option("--sessions", "20").Select(Number)],
                [.. Option("--ways", "out,in").Select(w => w == "in" ? Way.Inbound : Way.Outbound)],
                ["PgpTunnel", Contenders.WithoutRecords]
            )
            {
                Base = Contenders.WithoutRecords,
                Longer = 3,
            },
            Console.Out
        );
        return 0;
    case "growth":
        await Growth.RunAsync(
            new GrowthOptions(
                Number(Option("--parcels", "1000000")[0]),
                Number(Option("--destinations", "10000")[0]),
                Number(Option("--dead", "1000")[0]),
                Number(Option("--peers", "100000")[0]),
                Number(Option("--replays", "1000000")[0]),
                Number(Option("--records", "10000000")[0]),
                Number(Option("--logs", "100000")[0]),
                Number(Option("--rounds", "5")[0])
            ),
            Console.Out
        );
        return 0;
    case "tools":
        await StockTools.RunAsync(Number(Option("--rounds", "5")[0]), Console.Out);
        return 0;
    case "pieces":
        BenchmarkSwitcher.FromAssembly(typeof(Table).Assembly).Run(args[1..]);
        return 0;
    default:
        Console.Error.WriteLine(
            "usage: PgpTunnel.Benchmarks tools | growth | evidence | whole [--rounds N] [--sizes 10k,1m,10m] [--sessions "
                + "1,20,100] [--ways out,in] [--only PgpTunnel,Postfix] | pieces [arguments of BenchmarkDotNet]"
        );
        return 64;
}
