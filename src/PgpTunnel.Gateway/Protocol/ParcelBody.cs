using System.Numerics;

namespace PgpTunnel;

/// <summary>The literal body of a parcel: header block, message, padding (PROTOCOL.md 5).</summary>
internal static class ParcelBody
{
    private const int Floor = 4096,
        PaddingLine = 76;

    /// <summary>Full lines of padding, shared by all parcels.</summary>
    private static readonly byte[] Lines = MakeLines(1024);

    /// <summary>The body in parts; nothing of the message is copied.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Parts(
        InnerHeader header,
        IReadOnlyList<ReadOnlyMemory<byte>> message
    )
    {
        var block = header.Write();
        var length = block.Length + header.Size;
        return [block, .. message, .. Padding(PaddedLength(length) - length)];
    }

    /// <summary>
    /// Padmé (Nikitin et al., PURBs, 2019): lengths leak O(log log n) bits at under 12 % cost, here from a floor of 4 KiB.
    /// </summary>
    public static int PaddedLength(int length)
    {
        if (length <= Floor)
            return length == Floor - 1 ? Floor + 256 : Floor; // one octet cannot hold a line of padding
        var e = BitOperations.Log2((uint)length);
        var mask = (1 << (e - BitOperations.Log2((uint)e) - 1)) - 1;
        var padded = (length + mask) & ~mask;
        return padded - length == 1 ? PaddedLength(padded + 1) : padded;
    }

    /// <summary>Lines of spaces, each ended by CRLF; never one octet, which could hold no line.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> Padding(int length)
    {
        // The last line takes what is left, and from the one before it what a line needs to be one.
        var last = length % PaddingLine;
        if (last == 1)
            last += PaddingLine;
        for (var left = length - last; left > 0; left -= Lines.Length)
            yield return Lines.AsMemory(0, Math.Min(left, Lines.Length));
        if (last > PaddingLine)
        {
            yield return Line(PaddingLine - 1);
            last -= PaddingLine - 1;
        }
        if (last > 0)
            yield return Line(last);
    }

    /// <summary>Padding of that many octets, as it is written here; none has just one.</summary>
    public static byte[] UsualPadding(int length) => [.. Padding(length).SelectMany(p => p.ToArray())];

    /// <summary>How many octets padding has that is as it is written here; null = it has another form.</summary>
    public static int? UsualPadding(ReadOnlyMemory<byte> padding)
    {
        var at = 0;
        foreach (var part in Padding(padding.Length))
        {
            if (!padding.Span[at..].StartsWith(part.Span))
                return null;
            at += part.Length;
        }
        return at == padding.Length ? at : null;
    }

    private static byte[] Line(int length) => [.. Enumerable.Repeat((byte)' ', length - 2), (byte)'\r', (byte)'\n'];

    private static byte[] MakeLines(int count) => [.. Enumerable.Repeat(Line(PaddingLine), count).SelectMany(l => l)];

    /// <summary>Takes a literal body apart.</summary>
    /// <exception cref="MalformedParcelException">The header block or the padding is not as it must be.</exception>
    public static (InnerHeader Header, ReadOnlyMemory<byte> Message) Read(ReadOnlyMemory<byte> body, bool ours)
    {
        var header = InnerHeader.Parse(body.Span, ours, out var start);
        return body.Span[(start + header.Size)..].ContainsAnyExcept((byte)' ', (byte)'\r', (byte)'\n')
            ? throw new MalformedParcelException("the padding has other octets than blanks and line ends")
            : (header, body.Slice(start, header.Size));
    }
}
