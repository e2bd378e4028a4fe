namespace PgpTunnel.Commands;

/// <summary>How far long work is, a line from time to time; none for what is done before the first would be due.</summary>
internal sealed class StageLines : IProgress<Stage>, IDisposable
{
    /// <summary>Between two lines.</summary>
    public static readonly TimeSpan Pace = TimeSpan.FromSeconds(10);

    private readonly TextWriter _output;
    private readonly string _command;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private Stage? _stage;

    /// <param name="command">Its name, which begins each line.</param>
    public StageLines(TextWriter output, string command, TimeProvider time)
    {
        (_output, _command) = (output, command);
        _timer = time.CreateTimer(_ => Write(), null, Pace, Pace);
    }

    public void Report(Stage value)
    {
        lock (_gate)
            _stage = value;
    }

    private void Write()
    {
        Stage? stage;
        lock (_gate)
            stage = _stage;
        try
        {
            if (stage is { } now)
                _output.WriteLine($"pgptunnel {_command}: {now}");
        }
        catch (IOException)
        {
            // nobody reads it; the work goes on
        }
    }

    public void Dispose() => _timer.Dispose();
}
