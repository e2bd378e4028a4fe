namespace PgpTunnel.OpenPgp;

/// <summary>
/// The body of a packet whose length is not known before its end: parts of 64 KiB, each behind its length, and the rest (RFC 9580 4.2.1.4).
/// </summary>
/// <param name="write">Takes the octets of the packet; they may be changed there.</param>
internal sealed class PartialBody(int tag, Action<Memory<byte>> write)
{
    private const int Power = 16,
        Part = 1 << Power;

    private readonly byte[] _part = new byte[Part];
    private int _filled;
    private bool _begun;

    public void Write(ReadOnlySpan<byte> octets)
    {
        while (!octets.IsEmpty)
        {
            if (_filled == Part)
                Flush([0xE0 | Power]);
            var fits = octets[..Math.Min(octets.Length, Part - _filled)];
            fits.CopyTo(_part.AsSpan(_filled));
            _filled += fits.Length;
            octets = octets[fits.Length..];
        }
    }

    /// <summary>Ends the packet: nothing can be written any more.</summary>
    public void Finish() => Flush(PacketWriter.EncodeLength(_filled));

    private void Flush(byte[] length)
    {
        write(_begun ? length : (byte[])[(byte)(0xC0 | tag), .. length]);
        write(_part.AsMemory(0, _filled));
        (_begun, _filled) = (true, 0);
    }
}
