using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using PgpTunnel.Interop;

namespace PgpTunnel.Benchmarks;

/// <summary>How much lies in the spool.</summary>
/// <param name="Records">On record, of 300 octets each.</param>
/// <param name="Logs">In as many logs, each with its head signed.</param>
internal sealed record GrowthOptions(
    int Parcels,
    int Destinations,
    int Dead,
    int Peers,
    int Replays,
    int Records,
    int Logs,
    int Rounds
);

/// <summary>
/// The same mail through a gateway whose spool is empty and through one whose spool is full, in turn: what waits, what is remembered and
/// who is dead must not cost the living anything.
/// </summary>
internal static class Growth
{
    private const string Line = "a line of sixty-two octets, as people write them to each other\r\n";

    private const int Messages = 2000,
        Sessions = 20,
        Size = 10_000,
        Body = 1000;

    public static async Task RunAsync(GrowthOptions options, TextWriter output)
    {
        await using var sink = await Sink.StartAsync();
        await using Lab empty = await LabAsync(sink),
            full = await LabAsync(sink);
        var filling = Stopwatch.GetTimestamp();
        Fill(Path.Combine(full.Directory, "a"), options);
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{options.Parcels} parcels for {options.Destinations} destinations, {options.Dead} of them dead, "
                    + $"{options.Peers} remembered peers, {options.Replays} replay ids, "
                    + $"{options.Records} records in {options.Logs} logs; written in "
                    + $"{Stopwatch.GetElapsedTime(filling).TotalSeconds:0} s"
            )
        );
        await using GatewayProcess emptyGateway = await GatewayProcess.StartAsync(empty),
            fullGateway = await GatewayProcess.StartAsync(full);
        await Task.Delay(10_000); // the dead are tried meanwhile
        var idle = (Empty: emptyGateway.Resident(), Full: fullGateway.Resident());
        var (rates, slowest) = (
            new List<(double Empty, double Full)>(),
            (Empty: new List<double>(), Full: new List<double>())
        );
        for (var round = -2; round < options.Rounds; round++)
        {
            var (e, eTimes) = await RunAsync(emptyGateway, sink);
            var (f, fTimes) = await RunAsync(fullGateway, sink);
            if (round < 0)
                continue; // to warm up
            rates.Add((e, f));
            slowest.Empty.AddRange(eTimes);
            slowest.Full.AddRange(fTimes);
        }
        string Row(string name, double e, double f, string format) =>
            string.Create(
                CultureInfo.InvariantCulture,
                $"| {name, -34} | {e.ToString(format, CultureInfo.InvariantCulture), 8} | "
                    + $"{f.ToString(format, CultureInfo.InvariantCulture), 8} | {f / e, 6:0.00} |"
            );
        var ratios = rates.Select(r => r.Full / r.Empty).ToList();
        output.WriteLine(
            $"""
            |                                    |    empty |     full |  ratio |
            |------------------------------------|---------:|---------:|-------:|
            {Row(
                "messages/s, 10 KB, 20 sessions",
                Table.Median(rates.Select(r => r.Empty)),
                Table.Median(rates.Select(r => r.Full)),
                "0"
            )}
            {Row("answer, median, ms", Table.Median(slowest.Empty), Table.Median(slowest.Full), "0.0")}
            {Row("answer, the slowest of all, ms", slowest.Empty.Max(), slowest.Full.Max(), "0.0")}
            {Row(
                "start to ready, ms",
                emptyGateway.ReadyAfter.TotalMilliseconds,
                fullGateway.ReadyAfter.TotalMilliseconds,
                "0"
            )}
            {Row("resident when idle, MB", idle.Empty / 1e6, idle.Full / 1e6, "0")}
            {Row("resident afterwards, MB", emptyGateway.Resident() / 1e6, fullGateway.Resident() / 1e6, "0")}
            {Row("spool and its log, MB", SpoolSize(empty) / 1e6, SpoolSize(full) / 1e6, "0")}
            """
        );
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"rate, full to empty, round by round: median {Table.Median(ratios):0.00} ({ratios.Min():0.00}-{ratios.Max():0.00})"
            )
        );
        output.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"attempts for dead destinations meanwhile: {fullGateway.Log.Split("event=delivery-deferred").Length - 1}"
            )
        );
    }

    private static async Task<Lab> LabAsync(Sink sink)
    {
        var lab = await Lab.CreateAsync();
        lab.Change(c =>
        {
            c["deliver"]!["relay"] = sink.EndPoint.ToString();
            c["retry"] = new JsonObject { ["first"] = "00:05:00", ["longest"] = "04:00:00" };
            c["limits"] = new JsonObject { ["connections"] = 300 };
        });
        return lab;
    }

    private static long SpoolSize(Lab lab) =>
        Directory.EnumerateFiles(Path.Combine(lab.Directory, "a"), "spool.db*").Sum(f => new FileInfo(f).Length);

    private static async Task<(double Rate, double[] Times)> RunAsync(GatewayProcess gateway, Sink sink)
    {
        var message = Encoding.ASCII.GetBytes($"Subject: x\r\n\r\n{string.Concat(Enumerable.Repeat(Line, Size / 64))}");
        var (all, began) = (sink.Taken + Messages, Stopwatch.GetTimestamp());
        var times = await Source.SendAsync(
            gateway.Outbound,
            "alice@a.example",
            "bob@b.example",
            [.. Enumerable.Repeat(message, Messages)],
            Sessions
        );
        await sink.UntilAsync(all, 600);
        return (Messages / Stopwatch.GetElapsedTime(began).TotalSeconds, [.. times.Select(t => t.TotalMilliseconds)]);
    }

    /// <summary>
    /// Dead destinations have no records in DNS any more, and one parcel each that is due; everything else waits for later.
    /// </summary>
    private static void Fill(string directory, GrowthOptions options)
    {
        var file = Path.Combine(directory, "spool.db");
        Spool.Open(file, running: true).DisposeAsync().AsTask().GetAwaiter().GetResult();
        using var connection = new SqliteConnection($"Data Source={file};Pooling=False");
        connection.Open();
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        void Many(string sql, int count)
        {
            using var transaction = connection.BeginTransaction();
            using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants
            command.CommandText = sql;
#pragma warning restore CA2100
            foreach (
                var (name, value) in new[]
                {
                    ("$count", count),
                    ("$destinations", options.Destinations),
                    ("$dead", options.Dead),
                    ("$body", Body),
                }
            )
                if (sql.Contains(name, StringComparison.Ordinal))
                    command.Parameters.AddWithValue(name, value);
            if (sql.Contains("$now", StringComparison.Ordinal))
                command.Parameters.AddWithValue("$now", now);
            command.ExecuteNonQuery();
            transaction.Commit();
        }
        const string Numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $count)";
        Many($"{Numbers} INSERT INTO body(number, octets) SELECT i + 1, randomblob($body) FROM n", options.Parcels);
        Many(
            $"""
            {Numbers} INSERT INTO parcel(id, route, form, domain, token, state, created, expires, next, attempts, done, status,
                must_seal, may_clear, exempt, delayed, key_fingerprint, octets, body, key, envelope, stored)
            SELECT lower(hex(randomblob(16))), 0, 0, 'd' || (i % $destinations) || '.example', lower(hex(randomblob(16))), 0,
                $now - 3600, $now + 600000,
                CASE WHEN i < $destinations AND i % $destinations < $dead THEN $now - 60 ELSE $now + 1800 + i % 10000 END, 3, '',
                    '4.4.1', 1, 0, 0, 0, 'k', $body, x'', randomblob(150), randomblob(300), i + 1 FROM n
            """,
            options.Parcels
        );
        Many(
            $"{Numbers} INSERT INTO peer(domain, fingerprints, enforce_until, verified, distrusted, contrary_apart) "
                + "SELECT 'd' || i || '.example', lower(hex(randomblob(20))), $now + 600000 + i, '', '', 0 FROM n",
            options.Peers
        );
        Many(
            $"{Numbers} INSERT INTO replay(sender, id, hash, expires) SELECT lower(hex(randomblob(20))), "
                + "lower(hex(randomblob(16))), randomblob(32), $now + 600000 + i % 600000 FROM n",
            options.Replays
        );
        var each = options.Records / Math.Max(1, options.Logs);
        Many(
            $"""
            {Numbers} INSERT INTO log(number, own, peer, id, closed, size, edge, at) SELECT i + 1, 'a.example', 'd' || i || '.example',
                lower(hex(randomblob(8))), 0, {each}, randomblob({32
                * BitOperations.PopCount((uint)each)}), $now * 1000 FROM n
            """,
            options.Logs
        );
        Many(
            $"{Numbers} INSERT INTO record(place, octets) SELECT ((i / {each} + 1) << 32) | (i % {each}), randomblob(300) FROM n",
            options.Records
        );
        Many(
            $"{Numbers} INSERT INTO found(place, octets) SELECT ((i / {each} + 1) << 32) | (i % {each}), randomblob(50) FROM n",
            options.Records / 10
        );
        SignHeads(Path.Combine(directory, "keys", "evidence"), file);
    }

    /// <summary>As if the head of each log had been signed just now.</summary>
    private static void SignHeads(string folder, string file)
    {
        var spool = Spool.Open(file, running: false);
        OwnFiles.MakeDirectory(folder);
        File.WriteAllLines(Path.Combine(folder, "heads"), spool.Logs().Select(l => l.Head.Line));
        spool.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
