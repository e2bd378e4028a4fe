namespace PgpTunnel.Smtp;

/// <summary>
/// Octets that messages in hand may take together. Who asks before beginning waits in line, small ones past large ones; who needs more on
/// the way gets it or not. When nothing is taken, one message may take more than there is: however large, it is let through alone. The
/// last quarter is for those who hold less than a quarter, so that no single client, on however many connections, starves the others.
/// </summary>
public sealed class MemoryBudget(long octets)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<(long Octets, object? Holder, TaskCompletionSource Turn)> _line = [];
    private readonly Dictionary<object, long> _held = [];
    private long _taken;

    /// <summary>A share of the budget, when its turn comes.</summary>
    /// <param name="holder">Whose shares are counted together: a client's address. Null = one of our own, not counted.</param>
    /// <returns>Null when it does not come within <paramref name="patience"/>.</returns>
    public async Task<MemoryShare?> TakeAsync(long octets, object? holder, TimeSpan patience, CancellationToken cancel)
    {
        LinkedListNode<(long, object?, TaskCompletionSource Turn)> place;
        lock (_lock)
        {
            if (TryTake(octets, holder, 0))
                return new MemoryShare(this, octets, holder);
            place = _line.AddLast(
                (octets, holder, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously))
            );
        }
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        if (await Task.WhenAny(place.Value.Turn.Task, Task.Delay(patience, deadline.Token)) == place.Value.Turn.Task)
        {
            await deadline.CancelAsync();
            return new MemoryShare(this, octets, holder);
        }
        lock (_lock)
        {
            if (place.List is null) // its turn came in this very moment
                return new MemoryShare(this, octets, holder);
            _line.Remove(place);
        }
        cancel.ThrowIfCancellationRequested();
        return null;
    }

    private bool TryTake(long more, object? holder, long has)
    {
        var held = holder is null ? 0 : _held.GetValueOrDefault(holder);
        var most = held + more > octets / 4 && holder is not null ? octets - octets / 4 : octets;
        if (_taken > has && _taken + more > most)
            return false;
        _taken += more;
        if (holder is not null && more > 0)
            _held[holder] = held + more;
        return true;
    }

    /// <summary>More for a share that has begun.</summary>
    internal bool TryGrow(long more, object? holder, long has)
    {
        lock (_lock)
            return TryTake(more, holder, has);
    }

    internal void Return(long back, object? holder)
    {
        lock (_lock)
        {
            _taken -= back;
            if (holder is not null && (_held[holder] -= back) == 0)
                _held.Remove(holder);
            for (var place = _line.First; place is not null; )
            {
                var next = place.Next;
                if (TryTake(place.Value.Octets, place.Value.Holder, 0))
                {
                    _line.Remove(place);
                    place.Value.Turn.SetResult();
                }
                place = next;
            }
        }
    }
}

/// <summary>What one message has of a <see cref="MemoryBudget"/>, until disposed.</summary>
public sealed class MemoryShare : IDisposable
{
    private readonly MemoryBudget _budget;
    private readonly object? _holder;
    private long _octets;

    internal MemoryShare(MemoryBudget budget, long octets, object? holder) =>
        (_budget, _octets, _holder) = (budget, octets, holder);

    /// <summary>True when the share has that size now.</summary>
    public bool TryHave(long octets)
    {
        if (octets <= _octets)
            return true;
        if (!_budget.TryGrow(octets - _octets, _holder, _octets))
            return false;
        _octets = octets;
        return true;
    }

    public void Dispose()
    {
        if (_octets > 0)
            _budget.Return(_octets, _holder);
        _octets = 0;
    }
}
