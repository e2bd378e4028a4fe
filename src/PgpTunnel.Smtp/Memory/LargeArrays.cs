using System.Buffers;
using System.Numerics;

namespace PgpTunnel.Smtp;

/// <summary>
/// Large arrays that are used again. A new one costs ten times what it takes to copy a message into it: the system clears and hands over
/// its pages one by one, and the runtime gives them back at the next collection. Small arrays are left to the runtime.
/// </summary>
/// <param name="mostIdle">Octets of arrays that are kept while nobody uses them.</param>
public sealed class LargeArrays(long mostIdle) : ArrayPool<byte>
{
    /// <summary>Octets from which on the runtime takes an array for large.</summary>
    private const int Smallest = 85_000;

    private const long CollectAfterMilliseconds = 200;

    private readonly Lock _lock = new();
    private readonly List<byte[]> _idle = []; // the last one given back at the end
    private long _octets,
        _garbage,
        _collected = Environment.TickCount64;

    /// <summary>An array of at least that length, with whatever is in it; a small one has exactly that length.</summary>
    public override byte[] Rent(int minimumLength)
    {
        var size = minimumLength < Smallest ? minimumLength : RoundUp(minimumLength);
        if (size >= Smallest && TakeIdle(minimumLength, size + (size / 4)) is { } idle)
            return idle;
        return GC.AllocateUninitializedArray<byte>(size);
    }

    /// <summary>Up to an eighth more, so that messages of about one size can use the same.</summary>
    private static int RoundUp(int size)
    {
        var step = (long)BitOperations.RoundUpToPowerOf2((uint)size) / 16;
        return (int)Math.Min((size + step - 1) / step * step, Array.MaxLength);
    }

    private byte[]? TakeIdle(int least, long most)
    {
        lock (_lock)
        {
            var at = _idle.FindLastIndex(a => a.Length >= least && a.Length <= most);
            if (at < 0)
                return null;
            var array = _idle[at];
            _idle.RemoveAt(at);
            _octets -= array.Length;
            return array;
        }
    }

    /// <summary>
    /// Takes an array back that nobody uses any more, from here or not. What is secret in it must be cleared before, or here.
    /// </summary>
    public override void Return(byte[] array, bool clearArray = false)
    {
        if (clearArray)
            System.Security.Cryptography.CryptographicOperations.ZeroMemory(array);
        if (array.Length < Smallest)
            return;
        lock (_lock)
        {
            if (array.Length <= mostIdle)
            {
                _idle.Add(array);
                _octets += array.Length;
            }
            else
            {
                _garbage += array.Length;
            }
            while (_octets > mostIdle)
            {
                _octets -= _idle[0].Length;
                _garbage += _idle[0].Length;
                _idle.RemoveAt(0);
            }
            if (_garbage <= mostIdle || Environment.TickCount64 - _collected < CollectAfterMilliseconds)
                return;
            (_garbage, _collected) = (0, Environment.TickCount64);
        }
        // The runtime puts full collections off, while the memory of messages in hand is budgeted by what is really there.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true);
    }
}
