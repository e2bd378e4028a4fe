namespace PgpTunnel.Tests;

internal static class Bodies
{
    /// <summary>A literal body in one piece.</summary>
    public static byte[] Write(InnerHeader header, IReadOnlyList<ReadOnlyMemory<byte>> message) =>
        [.. ParcelBody.Parts(header, message).SelectMany(p => p.ToArray())];
}
