using System.Numerics;

namespace PgpTunnel;

/// <summary>The literal body of a parcel: header block, message, padding (PROTOCOL.md 5).</summary>
internal static class ParcelBody
{
    private const int Floor = 4096, PaddingLine = 76;

    public static byte[] Write(InnerHeader header, IReadOnlyList<ReadOnlyMemory<byte>> message)
    {
        var block = header.Write();
        var length = block.Length + header.Size;
        var body = new byte[PaddedLength(length)];
        block.CopyTo(body, 0);
        var at = block.Length;
        foreach (var part in message)
        {
            part.Span.CopyTo(body.AsSpan(at));
            at += part.Length;
        }
        Pad(body.AsSpan(at));
        return body;
    }

    /// <summary>Padmé (Nikitin et al., PURBs, 2019): lengths leak O(log log n) bits at under 12 % cost, here from a floor of 4 KiB.</summary>
    public static int PaddedLength(int length)
    {
        if (length <= Floor)
            return length == Floor - 1 ? Floor + 256 : Floor; // one octet cannot hold a line of padding
        var e = BitOperations.Log2((uint)length);
        var mask = (1 << (e - BitOperations.Log2((uint)e) - 1)) - 1;
        var padded = (length + mask) & ~mask;
        return padded - length == 1 ? PaddedLength(padded + 1) : padded;
    }

    /// <summary>Lines of spaces, each ended by CRLF.</summary>
    private static void Pad(Span<byte> rest)
    {
        while (!rest.IsEmpty)
        {
            var line = Math.Min(rest.Length, PaddingLine);
            if (rest.Length - line == 1)
                line--;
            rest[..(line - 2)].Fill((byte)' ');
            rest[line - 2] = (byte)'\r';
            rest[line - 1] = (byte)'\n';
            rest = rest[line..];
        }
    }

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
