using System.Collections.Concurrent;
using System.Diagnostics;

namespace PgpTunnel.Smtp;

/// <summary>Extensions that servers announce and were found not to have, remembered for an hour.</summary>
internal sealed class Lacking
{
    private static readonly TimeSpan Remembered = TimeSpan.FromHours(1);
    private const int MostServers = 10_000;

    private readonly ConcurrentDictionary<SmtpTarget, ConcurrentDictionary<string, long>> _servers = new();

    public HashSet<string> Of(SmtpTarget target) =>
        _servers.TryGetValue(target, out var lacking)
            ? lacking
                .Where(l => Stopwatch.GetElapsedTime(l.Value) < Remembered)
                .Select(l => l.Key)
                .ToHashSet(StringComparer.OrdinalIgnoreCase)
            : new(StringComparer.OrdinalIgnoreCase);

    public void Learn(SmtpTarget target, IEnumerable<string> keywords)
    {
        foreach (var keyword in keywords)
        {
            if (_servers.Count >= MostServers)
                _servers.Clear();
            _servers.GetOrAdd(target, _ => new())[keyword] = Stopwatch.GetTimestamp();
        }
    }
}
