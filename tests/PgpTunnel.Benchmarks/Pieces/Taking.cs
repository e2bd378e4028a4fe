using BenchmarkDotNet.Attributes;
using PgpTunnel.Smtp;

namespace PgpTunnel.Benchmarks;

/// <summary>The octets of DATA as they come in pieces of 64 KB, and what they cost when they are only copied.</summary>
[InProcess, MemoryDiagnoser, HideColumns("Error", "StdDev", "RatioSD")]
public class Taking
{
    private const string Line = "a line of sixty-two octets, as people write them to each other\r\n";

    private byte[] _wire = [],
        _copy = [];

    [Params(10_000, 1_000_000)]
    public int Size { get; set; }

    private readonly LargeArrays _arrays = new(64_000_000);

    [GlobalSetup]
    public void Setup()
    {
        _wire = System.Text.Encoding.ASCII.GetBytes(
            $"Subject: x\r\n\r\n{string.Concat(Enumerable.Repeat(Line, Size / 64))}.\r\n"
        );
        _copy = new byte[_wire.Length];
    }

    [Benchmark(Baseline = true)]
    public int Copy()
    {
        _wire.CopyTo(_copy, 0);
        return _copy.Length;
    }

    [Benchmark]
    public int Data()
    {
        using var buffer = new MessageBuffer(100_000_000, false, Size, null, _arrays);
        for (var at = 0; at < _wire.Length; at += 65536)
            buffer.AppendData(_wire.AsSpan(at, Math.Min(65536, _wire.Length - at)), out _);
        var (message, refusal) = buffer.Finish();
        return refusal is null ? message.Length : throw new InvalidOperationException(refusal.ToString());
    }
}

/// <summary>The decision about one recipient, once its facts are known.</summary>
[InProcess, MemoryDiagnoser, HideColumns("Error", "StdDev", "RatioSD")]
public class Deciding
{
    [Params(LocalPolicy.Prefer, LocalPolicy.Require)]
    public LocalPolicy Local { get; set; }

    [Benchmark]
    public bool Decide() =>
        Policy
            .Decide(
                Local,
                new PolicyFacts
                {
                    Class = PeerClass.Usable,
                    Mode = PolicyMode.Enforce,
                    Remembered = true,
                },
                ArmState.Armed,
                "b.example"
            )
            .Alarm;
}

/// <summary>
/// Parcels of 10 KB made durable by one after the other and by sixty-four at once, and as many octets written and synced to a file.
/// </summary>
[InProcess, HideColumns("Error", "StdDev", "RatioSD")]
public class Committing
{
    private readonly string _directory = Directory.CreateTempSubdirectory("pgptunnel-bench-").FullName;
    private readonly byte[] _body = System.Security.Cryptography.RandomNumberGenerator.GetBytes(13_000);
    private Spool _spool = null!;
    private FileStream _file = null!;

    [GlobalSetup]
    public void Setup()
    {
        _spool = Spool.Open(Path.Combine(_directory, "spool.db"), running: true);
        _file = new FileStream(Path.Combine(_directory, "raw"), FileMode.Create, FileAccess.Write, FileShare.None, 0);
    }

    private async Task CommitAsync()
    {
        var (id, now) = (ParcelLife.NewId(), DateTimeOffset.UtcNow);
        var parcel = new Parcel
        {
            Id = id,
            Route = ParcelRoute.Gateway,
            Form = ParcelForm.Sealed,
            Domain = "b.example",
            Token = id,
            Leaving = Leaving.SealedOnly,
            Created = now,
            Expires = now.AddDays(7),
            Next = now,
            KeyFingerprint = "k",
        };
        await _spool.CommitAsync(new() { Add = [(parcel, new ParcelContent(_body, [], []))] });
        await _spool.CommitAsync(new() { Remove = id });
    }

    [Benchmark(Baseline = true)]
    public void WriteAndSyncTwice()
    {
        for (var i = 0; i < 2; i++)
        {
            _file.Position = 0;
            _file.Write(_body);
            _file.Flush(true);
        }
    }

    [Benchmark]
    public Task AddAndRemove() => CommitAsync();

    [Benchmark(OperationsPerInvoke = 64)]
    public Task AddAndRemoveSixtyFour() => Task.WhenAll(Enumerable.Range(0, 64).Select(_ => CommitAsync()));

    [GlobalCleanup]
    public async Task CleanupAsync()
    {
        await _spool.DisposeAsync();
        await _file.DisposeAsync();
        Directory.Delete(_directory, true);
    }
}
