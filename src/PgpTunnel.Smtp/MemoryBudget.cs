namespace PgpTunnel.Smtp;

/// <summary>
/// Octets that messages in hand may take together. Who asks before beginning waits in line, small ones past large ones; who needs more on
/// the way gets it or not. When nothing is taken, one message may take more than there is: however large, it is let through alone.
/// </summary>
public sealed class MemoryBudget(long octets)
{
    private const long CollectAfterMilliseconds = 200;

    private readonly Lock _lock = new();
    private readonly LinkedList<(long Octets, TaskCompletionSource Turn)> _line = [];
    private long _taken, _garbage, _collected = Environment.TickCount64;

    /// <summary>A share of the budget, when its turn comes.</summary>
    /// <returns>Null when it does not come within <paramref name="patience"/>.</returns>
    public async Task<MemoryShare?> TakeAsync(long octets, TimeSpan patience, CancellationToken cancel)
    {
        LinkedListNode<(long, TaskCompletionSource Turn)> place;
        lock (_lock)
        {
            if (TryTake(octets))
                return new MemoryShare(this, octets);
            place = _line.AddLast((octets, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)));
        }
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        if (await Task.WhenAny(place.Value.Turn.Task, Task.Delay(patience, deadline.Token)) == place.Value.Turn.Task)
        {
            await deadline.CancelAsync();
            return new MemoryShare(this, octets);
        }
        lock (_lock)
        {
            if (place.List is null) // its turn came in this very moment
                return new MemoryShare(this, octets);
            _line.Remove(place);
        }
        cancel.ThrowIfCancellationRequested();
        return null;
    }

    private bool TryTake(long more)
    {
        if (_taken > 0 && _taken + more > octets)
            return false;
        _taken += more;
        return true;
    }

    /// <summary>More for a share that has begun.</summary>
    internal bool TryGrow(long more, long has)
    {
        lock (_lock)
        {
            if (_taken > has && _taken + more > octets)
                return false;
            _taken += more;
            return true;
        }
    }

    internal void Return(long back)
    {
        lock (_lock)
        {
            _taken -= back;
            for (var place = _line.First; place is not null;)
            {
                var next = place.Next;
                if (TryTake(place.Value.Octets))
                {
                    _line.Remove(place);
                    place.Value.Turn.SetResult();
                }
                place = next;
            }
        }
    }

    /// <summary>
    /// Told of large arrays that are dropped. They stay until the next full collection, which the runtime puts off, while the budget
    /// counts what is really there: so one is made when an eighth of the budget is garbage, at most five times a second.
    /// </summary>
    internal void Dropped(long size)
    {
        lock (_lock)
        {
            _garbage += size;
            if (_garbage <= octets / 8 || Environment.TickCount64 - _collected < CollectAfterMilliseconds)
                return;
            (_garbage, _collected) = (0, Environment.TickCount64);
        }
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true);
    }
}

/// <summary>What one message has of a <see cref="MemoryBudget"/>, until disposed.</summary>
public sealed class MemoryShare : IDisposable
{
    private readonly MemoryBudget _budget;
    private long _octets;

    internal MemoryShare(MemoryBudget budget, long octets) => (_budget, _octets) = (budget, octets);

    /// <summary>True when the share has that size now.</summary>
    public bool TryHave(long octets)
    {
        if (octets <= _octets)
            return true;
        if (!_budget.TryGrow(octets - _octets, _octets))
            return false;
        _octets = octets;
        return true;
    }

    /// <summary>Tells of an array that was large, and what was made of it, and is dropped.</summary>
    internal void Dropped(long size) => _budget.Dropped(size);

    public void Dispose()
    {
        if (_octets > 0)
            _budget.Return(_octets);
        _octets = 0;
    }
}
