namespace PgpTunnel;

/// <summary>What is known of a destination.</summary>
public enum Standing
{
    /// <summary>Our own mail server.</summary>
    Local,

    /// <summary>It took something the last time.</summary>
    Proven,

    /// <summary>Nothing has been sent to it yet.</summary>
    Unproven,

    /// <summary>It could not be reached the last time.</summary>
    Troubled,
}

/// <summary>
/// Which attempts may run at once: so many in all, so many for one destination, and so many octets. Our own mail server has slots of its
/// own, so that dead destinations out in the world never hold up opened mail. A destination that has not taken anything yet gets one at a
/// time, and all such together leave room for the living; those that could not be reached last time get fewer still: a server that
/// accepts and says nothing holds its slot for minutes.
/// </summary>
/// <param name="memory"><c>limits.memory</c>: of it attempts may have a sixteenth in hand together, besides three large parcels; each
/// holds its parcel several times over.</param>
internal sealed class Slots(Func<long> memory)
{
    public const int PerDestination = 5;

    private const int World = 100,
        Local = 20,
        Unproven = 75,
        Troubled = 20,
        MostDestinations = 100_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Taken> _taken = []; // by parcel
    private readonly Dictionary<Destination, int> _flying = [];
    private readonly Dictionary<Destination, bool> _reached = []; // by the last attempt that was sent; absent = none yet
    private readonly int[] _counts = new int[Enum.GetValues<Standing>().Length];
    private TaskCompletionSource? _empty;
    private long _octets;
    private readonly bool[] _large = new bool[Enum.GetValues<Standing>().Length];

    private sealed record Taken(Destination Destination, Standing Standing, long Octets, bool Large);

    public Standing StandingOf(Destination destination)
    {
        lock (_lock)
            return Judge(destination);
    }

    private Standing Judge(Destination destination) =>
        destination.Route == ParcelRoute.Local ? Standing.Local
        : !_reached.TryGetValue(destination, out var reached) ? Standing.Unproven
        : reached ? Standing.Proven
        : Standing.Troubled;

    /// <summary>Attempts for a destination that have slots now.</summary>
    public int Flying(Destination destination)
    {
        lock (_lock)
            return _flying.GetValueOrDefault(destination);
    }

    /// <summary>A slot for an attempt; false when there is none, or the parcel has one.</summary>
    public bool TryTake(Parcel parcel)
    {
        var destination = parcel.Destination;
        lock (_lock)
        {
            var standing = Judge(destination);
            var flying = _flying.GetValueOrDefault(destination);
            if (
                _empty is not null
                || _taken.ContainsKey(parcel.Id)
                || !RoomFor(standing)
                || flying >= (standing is Standing.Local or Standing.Proven ? PerDestination : 1)
            )
                return false;
            // Large ones go beside the small, one at a time of each kind: neither waits for the other, nor who is well for who is not.
            var large = parcel.Octets > Limits.LargeOf(memory());
            if (large ? _large[Kind(standing)] : _octets > 0 && _octets + parcel.Octets > memory() / 16)
                return false;
            _taken[parcel.Id] = new(destination, standing, large ? 0 : parcel.Octets, large);
            _flying[destination] = flying + 1;
            _counts[(int)standing]++;
            _octets += large ? 0 : parcel.Octets;
            _large[Kind(standing)] |= large;
            return true;
        }
    }

    /// <summary>Our own server, those who took something the last time, and all others: one large parcel each.</summary>
    private static int Kind(Standing standing) => Math.Min((int)standing, (int)Standing.Unproven);

    /// <summary>Whether a destination of that standing could have a slot.</summary>
    public bool HasRoom(Standing standing)
    {
        lock (_lock)
            return RoomFor(standing);
    }

    private bool RoomFor(Standing standing)
    {
        var (troubled, unproven, proven) = (
            _counts[(int)Standing.Troubled],
            _counts[(int)Standing.Unproven],
            _counts[(int)Standing.Proven]
        );
        return standing switch
        {
            Standing.Local => _counts[(int)Standing.Local] < Local,
            Standing.Proven => troubled + unproven + proven < World,
            Standing.Unproven => troubled + unproven + proven < World && troubled + unproven < Unproven,
            _ => troubled + unproven + proven < World && troubled + unproven < Unproven && troubled < Troubled,
        };
    }

    /// <summary>Gives a slot back.</summary>
    public void Release(Parcel parcel)
    {
        lock (_lock)
        {
            if (!_taken.Remove(parcel.Id, out var taken))
                return;
            if (--_flying[taken.Destination] == 0)
                _flying.Remove(taken.Destination);
            _counts[(int)taken.Standing]--;
            _octets -= taken.Octets;
            _large[Kind(taken.Standing)] &= !taken.Large;
            if (_taken.Count == 0)
                _empty?.TrySetResult();
        }
    }

    /// <summary>Whether a destination could be brought to a verdict.</summary>
    public void Reached(Destination destination, bool reached)
    {
        lock (_lock)
        {
            if (_reached.Count >= MostDestinations)
                _reached.Clear();
            _reached[destination] = reached;
        }
    }

    public bool IsTaken(string id)
    {
        lock (_lock)
            return _taken.ContainsKey(id);
    }

    /// <summary>Gives no more slots; returns when all have come back.</summary>
    public Task CloseAsync()
    {
        lock (_lock)
        {
            _empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_taken.Count == 0)
                _empty.TrySetResult();
            return _empty.Task;
        }
    }
}
