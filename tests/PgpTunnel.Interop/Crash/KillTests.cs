using System.Globalization;
using PgpTunnel.Smtp;

namespace PgpTunnel.Interop;

/// <summary>
/// The gateway killed at the n-th system call that matters (writes, syncs, sends), for every n until the run completes: accepting and
/// delivering what goes out, opening and delivering what comes in, and telling a sender of a failure. The gateway runs its work on one
/// thread, so that the n-th call is the n-th of all. Whatever was answered 250 is there after restart, whole.
/// </summary>
public sealed class KillTests
{
    private const int Most = 120;
    private static readonly string Filler = string.Concat(
        Enumerable.Repeat("a line of the large message\r\n", BodyFiles.Smallest / 28)
    );
    internal static readonly Dictionary<string, string> OneThread = new()
    {
        ["DOTNET_PROCESSOR_COUNT"] = "1",
        ["DOTNET_ThreadPool_ForceMaxWorkerThreads"] = "1",
    };

    [Theory]
    [InlineData("out")]
    [InlineData("large")] // out too, its body in a file
    [InlineData("in")]
    [InlineData("notice")]
    public async Task Killed_between_any_two_steps_nothing_answered_is_lost(string way)
    {
        var strace = Need.Program("strace");
        await using var lab = await Lab.CreateAsync();
        if (way == "notice")
            lab.RelayAnswer = _ => new SmtpReply(550, "5.1.1", "nobody here");
        var (answered, killed) = (new List<string>(), 0);
        bool Arrived(string message) =>
            way switch
            {
                "out" or "large" => lab.OpenRelayed().Contains(message),
                "in" => lab.Local.Any(m => m.EndsWith(message, StringComparison.Ordinal)),
                _ => lab.Local.Any(m =>
                    m.Contains("Subject: Undelivered mail")
                    && m.Contains(message[..message.IndexOf("\r\n", StringComparison.Ordinal)])
                ),
            };
        for (var n = 1; n <= Most; n++)
        {
            await using var gateway = await lab.StartAsync(environment: OneThread);
            await using var tracer = new Daemon(
                strace,
                [
                    "-f",
                    "-p",
                    gateway.Id.ToString(CultureInfo.InvariantCulture),
                    "-o",
                    "/dev/null",
                    "-e",
                    "trace=pwrite64,fsync,fdatasync,sendmsg,sendto",
                    "-e",
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"inject=pwrite64,fsync,fdatasync,sendmsg,sendto:signal=SIGKILL:when={n}"
                    ),
                ]
            );
            await tracer.WaitForAsync("attached");
            var message = $"Subject: message {n}\r\n\r\n{(way == "large" ? Filler : "")}body {n}\r\n";
            var reply =
                way == "in"
                    ? await Lab.HandInAsync(Lab.Inbound(gateway), lab.SealForA(message))
                    : await Lab.SendAsync(Lab.Outbound(gateway), "<bob@b.example>", message);
            if (reply is { Code: 250 })
                answered.Add(message);
            // It may die later, while it delivers or tells: that must lose nothing either.
            if (await Wait.HoldsWithinAsync(TimeSpan.FromSeconds(5), () => gateway.HasExited || Arrived(message)))
                await Task.Delay(100); // what it writes down afterwards
            if (!gateway.HasExited && reply is { Code: 250 } && Arrived(message))
                break; // no n-th call any more
            killed += gateway.HasExited ? 1 : 0;
        }
        Assert.True(killed > 5, $"only {killed} kills: the enumeration did not work");
        await using var last = await lab.StartAsync();
        await Wait.UntilAsync(
            () => answered.All(Arrived),
            () =>
                $"{answered.Count} answered, missing: {string.Join(", ", answered.Where(m => !Arrived(m)))}\n{last.Log}"
        );
        if (way is "out" or "large")
            Assert.All(
                lab.OpenRelayed(),
                m => Assert.Matches("^Subject: message (\\d+)\r\n\r\nbody \\1\r\n$", m.Replace(Filler, ""))
            );
        if (way == "large") // a crash leaves no more than the body it was at
            Assert.InRange(Directory.GetFiles(Path.Combine(lab.Directory, "a", "spool.db.bodies")).Length, 0, killed);
        TestContext.Current.SendDiagnosticMessage($"{way}: killed at {killed} places, {answered.Count} answered");
        await last.StopAsync();
    }
}
