using System.Collections.Concurrent;

namespace PgpTunnel;

/// <summary>
/// When each destination has something due, and which are due and wait for a slot, in the order in which they came. Kept for destinations,
/// not for parcels: a million of those may wait. For the one loop of <see cref="Delivery"/>; <see cref="Note"/> and
/// <see cref="HasWaiting"/> are for all threads.
/// </summary>
internal sealed class Schedule(Slots slots)
{
    private const int Overtaken = 1000; // entries that may stay in the order though an earlier one has taken their place

    private readonly ConcurrentQueue<(Destination Destination, DateTimeOffset Next)> _noted = new();
    private readonly Dictionary<Destination, DateTimeOffset> _next = [];
    private readonly PriorityQueue<Destination, DateTimeOffset> _order = new();
    private readonly HashSet<Destination> _isDue = [];

    /// <summary>Apart by standing, so that who waits for a slot of one kind is not looked at when only others are free.</summary>
    private readonly ConcurrentQueue<Destination>[] _due =
    [
        .. Enum.GetValues<Standing>().Select(_ => new ConcurrentQueue<Destination>()),
    ];

    /// <summary>True while destinations of that standing wait for a slot: what is new waits behind them.</summary>
    public bool HasWaiting(Standing standing) => !_due[(int)standing].IsEmpty;

    /// <summary>A parcel for that destination waits for that time.</summary>
    public void Note(Destination destination, DateTimeOffset next) => _noted.Enqueue((destination, next));

    /// <summary>Begins anew with what the spool says.</summary>
    public void Replace(IEnumerable<(Destination Destination, DateTimeOffset Next)> destinations)
    {
        _order.Clear();
        _next.Clear();
        foreach (var (destination, next) in destinations)
            Note(destination, next);
    }

    /// <summary>Lines up those whose time has come.</summary>
    /// <param name="far">Whose time lies beyond this was written when the clock was wrong, and has come too.</param>
    public void Look(DateTimeOffset now, DateTimeOffset far)
    {
        while (_noted.TryDequeue(out var noted))
        {
            var next = noted.Next > far ? now : noted.Next;
            if (_next.TryGetValue(noted.Destination, out var known) && known <= next)
                continue;
            _next[noted.Destination] = next;
            _order.Enqueue(noted.Destination, next);
        }
        if (_order.Count > 2 * _next.Count + Overtaken)
        {
            _order.Clear();
            _order.EnqueueRange(_next.Select(n => (n.Key, n.Value)));
        }
        while (_order.TryPeek(out var destination, out var next) && next <= now)
        {
            _order.Dequeue();
            if (_next.TryGetValue(destination, out var current) && current == next) // else an earlier one has overtaken it
            {
                _next.Remove(destination);
                Wait(destination);
            }
        }
    }

    /// <summary>Something for it is due, and waits for a slot.</summary>
    public void Wait(Destination destination)
    {
        if (_isDue.Add(destination))
            _due[(int)slots.StandingOf(destination)].Enqueue(destination);
    }

    /// <summary>How many of that standing are in line.</summary>
    public int Waiting(Standing standing) => _due[(int)standing].Count;

    public bool TryTake(Standing standing, out Destination destination) =>
        _due[(int)standing].TryDequeue(out destination) && _isDue.Remove(destination);
}
