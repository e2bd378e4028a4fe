using BenchmarkDotNet.Attributes;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Benchmarks;

/// <summary>A message from its body to its armor and back, beside the platform's own work on as many octets.</summary>
[InProcess, MemoryDiagnoser, HideColumns("Error", "StdDev", "RatioSD")]
public class SealAndOpen
{
    private Raw _raw = null!;
    private Correspondence _correspondence = null!;

    [Params(10_000, 100_000, 10_000_000)]
    public int Size { get; set; }

    [Params(GatewayAlgorithm.Ed25519, GatewayAlgorithm.P256, GatewayAlgorithm.Rsa3072)]
    public GatewayAlgorithm Algorithm { get; set; }

    [GlobalSetup]
    public void Setup() => (_raw, _correspondence) = (new Raw(Size), new Correspondence(Algorithm, Size));

    [Benchmark(Baseline = true)]
    public int RawSeal() => _raw.Seal();

    [Benchmark]
    public int RawOpen() => _raw.Open();

    [Benchmark]
    public int Seal() => _correspondence.Seal().Length;

    [Benchmark]
    public int Open() => _correspondence.Open();

    [GlobalCleanup]
    public void Cleanup() => _raw.Dispose();
}
