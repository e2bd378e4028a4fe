using System.Runtime.InteropServices;

namespace PgpTunnel;

/// <summary>Whether something keeps this machine's clock right, as the kernel knows it (adjtimex(2)).</summary>
/// <param name="MostWrong">By how much it can be wrong; null = nothing synchronises it.</param>
internal sealed partial record KernelClock(TimeSpan? MostWrong)
{
    // struct timex on 64-bit Linux.
    private const int TimexSize = 208,
        MostErrorAt = 24;

    /// <summary>TIME_ERROR: the clock is not synchronised.</summary>
    private const int NotSynchronised = 5;

    /// <returns>Null where that cannot be seen.</returns>
    public static KernelClock? Read()
    {
        if (!OperatingSystem.IsLinux() || !Environment.Is64BitProcess)
            return null;
        Span<byte> state = stackalloc byte[TimexSize];
        state.Clear(); // modes = 0: nothing is changed
        return AdjustTime(state) switch
        {
            < 0 => null,
            NotSynchronised => new(MostWrong: null),
            _ => new(TimeSpan.FromMicroseconds(BitConverter.ToInt64(state[MostErrorAt..]))),
        };
    }

    [LibraryImport("libc", EntryPoint = "adjtimex", SetLastError = true)]
    private static partial int AdjustTime(Span<byte> state);
}
