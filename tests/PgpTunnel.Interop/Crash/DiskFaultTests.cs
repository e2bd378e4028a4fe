using System.Globalization;
using System.Text.RegularExpressions;

namespace PgpTunnel.Interop;

/// <summary>
/// The disk fails under the gateway, and what it says is what it did: by strace, at the n-th call, then kill -9 and restart.
/// </summary>
public sealed partial class DiskFaultTests
{
    private const string Calls = "pwrite64,fsync,fdatasync";

    /// <summary>Handles of files by path: <c>pwrite64(97&lt;/…/spool.db-wal&gt;, …</c></summary>
    [GeneratedRegex("^\\d+ +(?<call>\\w+)\\(\\d+<(?<file>[^>]*)>.* = (?<result>-?\\d+)")]
    private static partial Regex Traced();

    [Theory]
    [InlineData("fsync,fdatasync", "EIO", 5, false)]
    [InlineData("fsync,fdatasync", "EIO", 5, true)]
    [InlineData("pwrite64", "EIO", 6, false)]
    [InlineData("pwrite64", "ENOSPC", 6, false)]
    [InlineData("pwrite64", "ENOSPC", 3, true)]
    [InlineData("pwrite64", "EDQUOT", 6, false)]
    public async Task A_failing_disk_takes_no_mail_and_what_was_refused_does_not_come_back(
        string calls,
        string error,
        int places,
        bool large
    )
    {
        var strace = Need.Program("strace");
        await using var lab = await Lab.CreateAsync();
        var (taken, refused, hit) = (new List<string>(), new List<string>(), 0);
        await using (var before = await lab.StartAsync())
        {
            // What is remembered of the partner is written now, and not again: the first write under test is the message's.
            Assert.Equal(
                250,
                (await Lab.SendAsync(Lab.Outbound(before), "<bob@b.example>", "Subject: before\r\n\r\nbody\r\n"))!.Code
            );
            Assert.Equal(0, await before.StopAsync());
        }
        // On a busy machine the gateway's own upkeep may come first, and have the fault, or a thread begin that the tracer has not seen:
        // then all places are tried again.
        for (var n = 1; n <= places || (hit == 0 && n <= 10 * places); n++)
        {
            await using var gateway = await lab.StartAsync(environment: KillTests.OneThread);
            var first = $"Subject: first {n}\r\n\r\n{Body(large)}";
            await using (
                var tracer = new Daemon(
                    strace,
                    [
                        "-f",
                        "-p",
                        gateway.Id.ToString(CultureInfo.InvariantCulture),
                        "-o",
                        "/dev/null",
                        "-e",
                        $"trace={calls}",
                        "-e",
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"inject={calls}:error={error}:when={(n - 1) % places + 1}"
                        ),
                    ]
                )
            )
            {
                await tracer.WaitForAsync("attached");
                var reply = await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", first);
                Assert.NotNull(reply);
                Assert.Matches("^(250|451 4\\.3\\.0|452 4\\.3\\.1)", reply.ToString());
                (reply.Code == 250 ? taken : refused).Add(first);
                hit += reply.Code == 250 ? 0 : 1;
                await tracer.StopAsync("INT"); // lets go of the gateway
            }
            // Killed at once, before anything else is written over what failed.
            gateway.Signal("KILL");
            await Wait.UntilAsync(() => gateway.HasExited, () => "it does not die");
            await using var again = await lab.StartAsync();
            var second = $"Subject: second {n}\r\n\r\nbody\r\n";
            Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(again), "<bob@b.example>", second))!.Code);
            taken.Add(second);
            await Wait.UntilAsync(
                () => taken.TrueForAll(lab.OpenRelayed().Contains),
                () => $"lost: {string.Join(", ", taken.Except(lab.OpenRelayed()))}\n{again.Log}"
            );
            await again.StopAsync();
        }
        Assert.True(hit > 0, "no call was hit");
        Assert.All(refused, m => Assert.DoesNotContain(m, lab.OpenRelayed()));
    }

    /// <summary>
    /// The lines of a trace, calls that another thread interrupted put together where they end; what is sent, where it begins.
    /// </summary>
    private static IEnumerable<string> Whole(IEnumerable<string> lines)
    {
        const string unfinished = " <unfinished ...>",
            resumed = " resumed>";
        var begun = new Dictionary<string, string>();
        foreach (var line in lines)
        {
            var thread = line.Split(' ')[0];
            if (
                line.EndsWith(unfinished, StringComparison.Ordinal) && !line.Contains(" send", StringComparison.Ordinal)
            )
                begun[thread] = line[..^unfinished.Length];
            else if (
                line.IndexOf(resumed, StringComparison.Ordinal) is >= 0 and var at
                && begun.Remove(thread, out var start)
            )
                yield return start + line[(at + resumed.Length)..];
            else
                yield return line;
        }
    }

    /// <summary>A large one is written to a file of its own.</summary>
    private static string Body(bool large) =>
        string.Concat(Enumerable.Repeat("body\r\n", large ? BodyFiles.Smallest / 6 : 1));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_data_are_durable_before_the_250_leaves(bool large)
    {
        var strace = Need.Program("strace");
        await using var lab = await Lab.CreateAsync();
        // One message at a time, and its delivery slow: nothing else is written between its own commit and its 250.
        lab.RelayAnswer = _ =>
        {
            Thread.Sleep(300);
            return null;
        };
        await using var gateway = await lab.StartAsync(environment: KillTests.OneThread);
        var trace = Path.Combine(lab.Directory, "trace");
        await using (
            var tracer = new Daemon(
                strace,
                [
                    "-f",
                    "-y",
                    "-s",
                    "60",
                    "-p",
                    gateway.Id.ToString(CultureInfo.InvariantCulture),
                    "-o",
                    trace,
                    "-e",
                    $"trace={Calls},sendmsg,sendto",
                ]
            )
        )
        {
            await tracer.WaitForAsync("attached");
            for (var i = 0; i < 5; i++)
            {
                Assert.Equal(
                    250,
                    (
                        await Lab.SendAsync(
                            Lab.Outbound(gateway),
                            "<bob@b.example>",
                            $"Subject: {i}\r\n\r\n{Body(large)}"
                        )
                    )!.Code
                );
                await Wait.UntilAsync(() => gateway.Log.Split("event=delivered").Length == i + 2, () => gateway.Log);
            }
            await tracer.StopAsync("INT");
        }
        var (unsynced, synced, promised, bodies, names) = (false, 0, 0, new HashSet<string>(), 0);
        foreach (var line in Whole(await File.ReadAllLinesAsync(trace)))
        {
            if (
                line.Contains("250 2.0.0 ", StringComparison.Ordinal)
                && line.Contains("sealed", StringComparison.Ordinal)
            )
            {
                Assert.False(unsynced, $"250 left before the log was synced: {line}");
                Assert.True(synced > promised, $"250 without a sync of its own: {line}");
                promised++;
            }
            if (Traced().Match(line) is not { Success: true } call)
                continue;
            var (file, write) = (call.Groups["file"].Value, call.Groups["call"].Value == "pwrite64");
            if (file.EndsWith("-wal", StringComparison.Ordinal))
            {
                Assert.Empty(bodies); // what a row names is durable before the row is written
                unsynced = write;
                synced += !unsynced && call.Groups["result"].Value == "0" ? 1 : 0;
            }
            else if (file.Contains(".bodies/", StringComparison.Ordinal))
            {
                Assert.True(write ? bodies.Add(file) : bodies.Remove(file), line);
            }
            names += file.EndsWith(".bodies", StringComparison.Ordinal) && !write ? 1 : 0;
        }
        Assert.Equal((5, large ? 5 : 0), (promised, names));
        Assert.Equal(0, await gateway.StopAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_damaged_spool_is_named_and_rescued(bool truncated)
    {
        await using var lab = await Lab.CreateAsync();
        lab.RelayAnswer = _ => new Smtp.SmtpReply(451, "4.0.0", "later");
        var sent = Enumerable
            .Range(0, 40)
            .Select(i =>
                $"Subject: message {i}\r\n\r\n{string.Concat(Enumerable.Repeat("a line to fill it\r\n", 400))}"
            )
            .ToList();
        await using (var gateway = await lab.StartAsync())
        {
            foreach (var message in sent)
                Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", message))!.Code);
            Assert.Equal(0, await gateway.StopAsync());
        }
        Assert.Contains("40 parcel(s), each opens", (await lab.PgpTunnelAsync("queue", "check")).Expect(0).Text);
        var spool = Path.Combine(lab.Directory, "a", "spool.db");
        await using (var file = File.OpenWrite(spool))
        {
            if (truncated)
                file.SetLength(file.Length / 2 / 4096 * 4096);
            else
                for (var page = 20; page < 28; page++)
                {
                    file.Position = page * 4096L;
                    file.Write(new byte[4096]);
                }
        }
        var refused = (await Run.ProgramAsync(Run.Gateway, ["run", "--config", lab.Config])).Expect(73);
        Assert.Contains("queue export", refused.Error);
        Assert.Contains("damaged", (await lab.PgpTunnelAsync("queue", "check")).Expect(65).Text);
        var rescued = Path.Combine(lab.Directory, "rescued");
        var export = (await lab.PgpTunnelAsync("queue", "export", rescued)).Expect(65).Text;
        foreach (var file in Directory.EnumerateFiles(Path.GetDirectoryName(spool)!, "spool.db*"))
            File.Move(file, file + ".damaged");
        (await lab.PgpTunnelAsync("queue", "import", rescued)).Expect(0);
        lab.RelayAnswer = _ => null;
        await using var last = await lab.StartAsync();
        // A ciphertext that lies on a damaged page goes on as it is: the partner's gateway refuses it, and its sender hears of it.
        await Wait.UntilAsync(
            () => lab.OpenRelayed(damaged: true).Count >= 5,
            () => $"only {lab.OpenRelayed(damaged: true).Count} rescued\n{export}\n{last.Log}"
        );
        Assert.All(lab.OpenRelayed(damaged: true), m => Assert.Contains(m, sent));
        Assert.Equal(0, await last.StopAsync());
    }

    [Fact]
    public async Task Jumps_of_the_clock_lose_nothing_and_expire_nothing_early()
    {
        var library = new[]
        {
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        }.FirstOrDefault(File.Exists);
        if (library is null)
            Need.Program("faketime");
        await using var lab = await Lab.CreateAsync();
        var clock = Path.Combine(lab.Directory, "clock");
        await File.WriteAllTextAsync(clock, "+0");
        lab.RelayAnswer = _ => new Smtp.SmtpReply(451, "4.0.0", "later");
        await using var gateway = await lab.StartAsync(
            environment: new Dictionary<string, string>
            {
                ["LD_PRELOAD"] = library!,
                ["FAKETIME_TIMESTAMP_FILE"] = clock,
                ["FAKETIME_NO_CACHE"] = "1",
                ["FAKETIME_DONT_FAKE_MONOTONIC"] = "1",
            }
        );
        var message = "Subject: waits\r\n\r\nbody\r\n";
        Assert.Equal(250, (await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", message))!.Code);
        await gateway.WaitForAsync("event=delivery-deferred");
        foreach (var jump in new[] { "+400d", "-400d", "+0" })
        {
            var before = gateway.Log.Split("event=clock-jumped").Length;
            await File.WriteAllTextAsync(clock, jump);
            await Wait.UntilAsync(
                () => gateway.Log.Split("event=clock-jumped").Length > before,
                () => $"{jump} was not noticed\n{gateway.Log}"
            );
            await Task.Delay(500); // time to give something up, if it were so minded
        }
        lab.RelayAnswer = _ => null;
        await Wait.UntilAsync(
            () => lab.OpenRelayed().Contains(message),
            () => $"lost, or waiting for another year\n{gateway.Log}"
        );
        Assert.DoesNotContain("event=failed", gateway.Log);
        Assert.DoesNotContain(lab.Local, m => m.Contains("Undelivered"));
    }
}
