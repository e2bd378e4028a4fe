using Microsoft.Extensions.Logging;

namespace PgpTunnel;

/// <summary>
/// What happens, event by event, for whoever listens: the log's lines, the counts of the metrics, the log of OpenTelemetry. Never a body, a
/// subject or a secret.
/// </summary>
internal sealed class EventLog : IDisposable
{
    private readonly ILoggerFactory _factory;
    private readonly ILogger _listeners;
    private readonly TimeProvider _time;

    /// <param name="factory">Has the listeners; disposed with this.</param>
    public EventLog(ILoggerFactory factory, TimeProvider time) =>
        (_factory, _listeners, _time) = (factory, factory.CreateLogger("PgpTunnel"), time);

    /// <summary>One line an event, counted too.</summary>
    public EventLog(TextWriter output, bool json, TimeProvider time)
        : this(new LoggerFactory([new EventLines(output, json), new EventCounts()]), time) { }

    public void Write(string name, params ReadOnlySpan<(string Key, object? Value)> fields)
    {
        var happened = new Event(name, _time.GetUtcNow(), fields);
        _listeners.Log(
            happened.IsAlarm ? LogLevel.Warning : LogLevel.Information,
            new EventId(0, name),
            happened,
            null,
            static (e, _) => e.ToString()
        );
    }

    public void Dispose() => _factory.Dispose();
}
