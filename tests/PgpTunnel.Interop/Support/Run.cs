using System.Diagnostics;
using System.Text;

namespace PgpTunnel.Interop;

/// <summary>What a finished program said.</summary>
internal sealed record Finished(int Code, byte[] Output, string Error)
{
    public string Text => Encoding.UTF8.GetString(Output);

    public Finished Expect(int code)
    {
        Assert.True(Code == code, $"exit code {Code}, expected {code}\nstdout: {Text}\nstderr: {Error}");
        return this;
    }
}

/// <summary>Runs programs to their end, every wait bounded.</summary>
internal static class Run
{
    /// <summary>The program under test.</summary>
    public static string Gateway => Path.Combine(AppContext.BaseDirectory, "pgptunnel");

    public static async Task<Finished> ProgramAsync(
        string program,
        IEnumerable<string> arguments,
        byte[]? input = null,
        IReadOnlyDictionary<string, string>? environment = null,
        string? directory = null,
        TimeSpan? bound = null
    )
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? Path.GetTempPath(),
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        using var output = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(output);
        var error = process.StandardError.ReadToEndAsync();
        try
        {
            if (input is not null)
                await process.StandardInput.BaseStream.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // it did not read to the end
        }
        if (
            await Task.WhenAny(process.WaitForExitAsync(), Task.Delay(bound ?? Wait.Bound)) is var done
            && !process.HasExited
        )
        {
            process.Kill(true);
            Assert.Fail($"{program} {string.Join(' ', arguments)} did not end within {bound ?? Wait.Bound}");
        }
        await reading;
        return new Finished(process.ExitCode, output.ToArray(), await error);
    }

    public static Task<Finished> PgpTunnelAsync(params string[] arguments) => ProgramAsync(Gateway, arguments);
}

/// <summary>A server a test started; stopped by its process id.</summary>
internal sealed class Daemon : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _log = new();

    public Daemon(
        string program,
        IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string>? environment = null
    )
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, e) => Append(e.Data);
        _process.OutputDataReceived += (_, e) => Append(e.Data);
        _process.BeginErrorReadLine();
        _process.BeginOutputReadLine();
    }

    private void Append(string? line)
    {
        lock (_log)
            _log.AppendLine(line);
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    public string Log
    {
        get
        {
            lock (_log)
                return _log.ToString();
        }
    }

    public Task WaitForAsync(string text) =>
        Wait.UntilAsync(
            () =>
                Log.Contains(text)
                || (HasExited ? throw new InvalidOperationException($"it ended with {ExitCode}:\n{Log}") : false),
            () => $"'{text}' did not come:\n{Log}"
        );

    public void Signal(string signal) =>
        Process
            .Start("kill", ["-s", signal, Id.ToString(System.Globalization.CultureInfo.InvariantCulture)])!
            .WaitForExit(5000);

    public async Task<int> StopAsync(string signal = "TERM")
    {
        if (!HasExited)
            Signal(signal);
        await Wait.UntilAsync(() => HasExited, () => $"process {Id} does not end:\n{Log}");
        return ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!HasExited)
                _process.Kill(true);
            await _process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(5));
        }
        catch (Exception e) when (e is InvalidOperationException or TimeoutException) { }
        _process.Dispose();
    }
}

internal static class Wait
{
    /// <summary>
    /// For what comes at once on an idle machine, and must come on one that does thirty other things; only a failure takes that long.
    /// </summary>
    public static readonly TimeSpan Bound = TimeSpan.FromMinutes(5);

    public static async Task UntilAsync(Func<bool> condition, Func<string> complaint)
    {
        if (!await HoldsWithinAsync(Bound, condition))
            Assert.Fail(complaint());
    }

    public static async Task<bool> HoldsWithinAsync(TimeSpan bound, Func<bool> condition)
    {
        for (var deadline = Environment.TickCount64 + (long)bound.TotalMilliseconds; !condition(); await Task.Delay(50))
            if (Environment.TickCount64 > deadline)
                return false;
        return true;
    }
}
