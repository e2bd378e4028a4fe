using System.CommandLine;
using System.Runtime.InteropServices;
using Spectre.Console;

namespace PgpTunnel.Commands;

/// <summary>
/// Shows on stderr that long work lives: how far it is, on a terminal; a line from time to time, elsewhere; nothing where JSON was asked
/// for.
/// </summary>
internal static class LongWork
{
    /// <summary>Does the work, which says how far it is.</summary>
    public static async Task<T> WatchedAsync<T>(this ParseResult parse, Func<IProgress<Stage>, Task<T>> work)
    {
        if (parse.GetValue(Cli.Json))
            return await work(Stage.Unseen);
        var console = AnsiConsole.Create(
            new AnsiConsoleSettings
            {
                Out = new AnsiConsoleOutput(Console.Error),
                Enrichment = new ProfileEnrichment { UseDefaultEnrichers = false }, // the terminal alone decides
            }
        );
        if (console.Profile.Capabilities is { Interactive: true, Ansi: true } && console.Profile.Out.IsTerminal)
            return await OnTerminalAsync(console, work);
        using var lines = new StageLines(Console.Error, parse.CommandResult.Command.Name, TimeProvider.System);
        return await work(lines);
    }

    /// <summary>Does the work, which says how far it is.</summary>
    public static Task<T> WatchedAsync<T>(this ParseResult parse, Func<IProgress<Stage>, T> work) =>
        parse.WatchedAsync(progress => Task.Run(() => work(progress)));

    private static async Task<T> OnTerminalAsync<T>(IAnsiConsole console, Func<IProgress<Stage>, Task<T>> work)
    {
        // Who is interrupted leaves the terminal as it was.
        void ShowCursor(PosixSignalContext _) => console.Cursor.Show();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, ShowCursor);
        using var end = PosixSignalRegistration.Create(PosixSignal.SIGTERM, ShowCursor);
        return await console
            .Progress()
            .AutoClear(enabled: true)
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn(), new ProgressBarColumn())
            .StartAsync(shown => work(new StagesShown(shown)));
    }

    /// <summary>One line that moves, of what is being done now.</summary>
    private sealed class StagesShown(ProgressContext shown) : IProgress<Stage>
    {
        private const int Pause = 50; // ms
        private ProgressTask? _task;
        private string? _what;
        private long _told = long.MinValue;

        public void Report(Stage stage)
        {
            var isNext = stage.What != _what;
            if (!isNext && Environment.TickCount64 - _told < Pause)
                return;
            _told = Environment.TickCount64;
            _what = stage.What;
            _task ??= shown.AddTask(Markup.Escape(_what), autoStart: true);
            _task.Description = Markup.Escape(stage.ToString());
            _task.IsIndeterminate = stage.Of is null;
            _task.MaxValue = Math.Max(stage.Of ?? 1, 1);
            _task.Value = stage.Of is null ? 0 : stage.Done;
            if (isNext)
                shown.Refresh(); // however soon it is done
        }
    }
}
