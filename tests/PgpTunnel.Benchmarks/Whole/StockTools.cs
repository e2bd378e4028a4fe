using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using PgpTunnel.Interop;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Benchmarks;

/// <summary>
/// Processor time of sealing and opening in the gateway's own code, beside the platform's limit, gpg and sq on the same files.
/// </summary>
internal static class StockTools
{
    public static async Task RunAsync(int rounds, TextWriter output)
    {
        output.WriteLine(
            """
            | CPU ms a message     |     ours |    limit |      gpg |       sq | ours/limit | ours/gpg | gpg/ours |
            |----------------------|---------:|---------:|---------:|---------:|-----------:|---------:|---------:|
            """
        );
        foreach (
            var (algorithm, size) in new[]
            {
                (GatewayAlgorithm.Ed25519, 10_000),
                (GatewayAlgorithm.P256, 10_000),
                (GatewayAlgorithm.Rsa3072, 10_000),
                (GatewayAlgorithm.Ed25519, 10_000_000),
            }
        )
            await RowsAsync(algorithm, size, rounds, output);
        var (rsa, digest) = (RSA.Create(3072), new byte[32]);
        var correspondence = new Correspondence(GatewayAlgorithm.Rsa3072, 10_000);
        double Warm(Action work)
        {
            WarmUp(work);
            return Own(work, 500);
        }
        var (sign, seal, open) = (
            Warm(() => rsa.SignHash(digest, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)),
            Warm(() => correspondence.Seal()),
            Warm(() => correspondence.Open())
        );
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"RSA-3072, 10 KB, against one private-key operation of the platform: seal {seal / sign:0.00}, open {open / sign:0.00}"
            )
        );
    }

    private static async Task RowsAsync(GatewayAlgorithm algorithm, int size, int rounds, TextWriter output)
    {
        var home = Directory.CreateTempSubdirectory("pgptunnel-gpg-").FullName;
        try
        {
            var (correspondence, limit) = (new Correspondence(algorithm, size), new Raw(size));
            foreach (var (key, name) in correspondence.SecretKeys.Zip(["sender", "recipient"]))
            {
                var file = Path.Combine(home, name);
                await File.WriteAllBytesAsync(file, key);
                (await GpgAsync(home, "--import", file)).Expect(0);
            }
            var (plain, armored, made) = (
                Path.Combine(home, "plain"),
                Path.Combine(home, "armored"),
                Path.Combine(home, "made")
            );
            await File.WriteAllBytesAsync(plain, RandomNumberGenerator.GetBytes(size));
            await File.WriteAllBytesAsync(armored, correspondence.Armored);
            var (times, count) = (size > 1_000_000 ? 10 : 1000, size > 1_000_000 ? 3 : 40);
            var seals = await RoundsAsync(
                rounds,
                () => correspondence.Seal(),
                () => limit.Seal(),
                times,
                count,
                () =>
                    GpgAsync(
                        home,
                        "--yes",
                        "--armor",
                        "-u",
                        correspondence.SenderFingerprint,
                        "-r",
                        correspondence.RecipientFingerprint,
                        "-o",
                        made,
                        "--sign",
                        "--encrypt",
                        plain
                    ),
                () =>
                    SqAsync(
                        "encrypt",
                        "--signer-key",
                        Path.Combine(home, "sender"),
                        "--recipient-cert",
                        Path.Combine(home, "recipient"),
                        "-o",
                        made,
                        plain
                    )
            );
            output.WriteLine(Row($"seal {Name(size)} {algorithm}", seals));
            var opens = await RoundsAsync(
                rounds,
                () => correspondence.Open(),
                () => limit.Open(),
                times,
                count,
                () => GpgAsync(home, "--yes", "-o", made, "--decrypt", armored),
                () =>
                    SqAsync(
                        "decrypt",
                        "--recipient-key",
                        Path.Combine(home, "recipient"),
                        "--signer-cert",
                        Path.Combine(home, "sender"),
                        "-o",
                        made,
                        armored
                    )
            );
            output.WriteLine(Row($"open {Name(size)} {algorithm}", opens));
            limit.Dispose();
        }
        finally
        {
            await Run.ProgramAsync("gpgconf", ["--homedir", home, "--kill", "all"]);
            Directory.Delete(home, true);
        }
    }

    private static string Name(int size) => size >= 1_000_000 ? $"{size / 1_000_000} MB" : $"{size / 1_000} KB";

    private static Task<Finished> GpgAsync(string home, params string[] arguments) =>
        Run.ProgramAsync(
            Need.Program("gpg"),
            ["--homedir", home, "--batch", "--quiet", "--trust-model", "always", .. arguments]
        );

    private static async Task<Finished> SqAsync(params string[] arguments)
    {
        File.Delete(arguments[Array.IndexOf(arguments, "-o") + 1]); // it does not write over
        return await Run.ProgramAsync(Need.Program("sq"), arguments);
    }

    private static async Task<List<(double Ours, double Limit, double Gpg, double Sq)>> RoundsAsync(
        int rounds,
        Action ours,
        Action limit,
        int times,
        int count,
        Func<Task<Finished>> gpg,
        Func<Task<Finished>> sq
    )
    {
        var results = new List<(double, double, double, double)>();
        WarmUp(ours);
        WarmUp(limit);
        // The first ones do not count: the runtime compiles the code that starts the programs meanwhile, in this process and on its time.
        for (var round = -2; round < rounds; round++)
        {
            var result = (
                Own(ours, times),
                Own(limit, times),
                await OthersAsync(gpg, count),
                await OthersAsync(sq, count)
            );
            if (round >= 0)
                results.Add(result);
        }
        return results;
    }

    /// <summary>Until the runtime has compiled for the second time what is used much.</summary>
    private static void WarmUp(Action work)
    {
        for (var began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(2); )
            work();
        Thread.Sleep(500); // it does so beside
        Own(work, 10);
    }

    /// <summary>Milliseconds of this process's own processor time.</summary>
    private static double Own(Action work, int times)
    {
        var before = Environment.CpuUsage.TotalTime;
        for (var i = 0; i < times; i++)
            work();
        return (Environment.CpuUsage.TotalTime - before).TotalMilliseconds / times;
    }

    /// <summary>
    /// Milliseconds of the processes that were started and have ended (proc(5), cutime and cstime); gpg's agent is not among them.
    /// </summary>
    private static async Task<double> OthersAsync(Func<Task<Finished>> program, int times)
    {
        var before = OfChildren();
        for (var i = 0; i < times; i++)
            (await program()).Expect(0);
        return (OfChildren() - before) / times;
    }

    private static double OfChildren()
    {
        var stat = File.ReadAllText("/proc/self/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return 10
            * (
                double.Parse(fields[13], CultureInfo.InvariantCulture)
                + double.Parse(fields[14], CultureInfo.InvariantCulture)
            );
    }

    private static string Row(string name, List<(double Ours, double Limit, double Gpg, double Sq)> rounds)
    {
        double Median(Func<(double Ours, double Limit, double Gpg, double Sq), double> of) =>
            Table.Median(rounds.Select(of));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {name, -20} | {Median(r => r.Ours), 8:0.000} | {Median(r => r.Limit), 8:0.000} | "
                + $"{Median(r => r.Gpg), 8:0.0} | {Median(r => r.Sq), 8:0.0} | "
                + $"{Median(r => r.Ours / r.Limit), 10:0.00} | {Median(r => r.Ours / r.Gpg), 8:0.000} | "
                + $"{Median(r => r.Gpg / r.Ours), 8:0.0} |"
        );
    }
}
