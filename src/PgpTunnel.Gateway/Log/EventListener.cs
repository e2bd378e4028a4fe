using Microsoft.Extensions.Logging;

namespace PgpTunnel;

/// <summary>Gets every event, one after another as they happen.</summary>
internal abstract class EventListener : ILoggerProvider, ILogger
{
    protected abstract void Take(Event happened);

    public ILogger CreateLogger(string categoryName) => this;

    public bool IsEnabled(LogLevel logLevel) => true;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void Log<TState>(
        LogLevel logLevel,
        EventId eventId,
        TState state,
        Exception? exception,
        Func<TState, Exception?, string> formatter
    )
    {
        if (state is Event happened)
            Take(happened);
    }

    public void Dispose() { }
}
