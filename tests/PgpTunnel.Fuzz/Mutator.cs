namespace PgpTunnel.Fuzz;

/// <summary>Changes inputs at random, the same way for the same seed: bits, lengths, pieces of other inputs, numbers that hurt.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly byte[] Hurting =
    [
        0,
        1,
        0x7F,
        0x80,
        0xC0,
        0xE0,
        0xFE,
        0xFF,
        (byte)'\r',
        (byte)'\n',
        (byte)'<',
        (byte)'>',
        (byte)';',
        (byte)'=',
        (byte)' ',
    ];
    private const int Longest = 64 * 1024;

    private readonly Random _random = new(seed);

    public byte[] Next(IReadOnlyList<byte[]> corpus)
    {
        var input = corpus[_random.Next(corpus.Count)].ToList();
        for (var changes = 1 + _random.Next(6); changes > 0; changes--)
            Change(input, corpus[_random.Next(corpus.Count)]);
        return input.Count > Longest ? [.. input.Take(Longest)] : [.. input];
    }

    private void Change(List<byte> input, byte[] other)
    {
        var at = input.Count == 0 ? 0 : _random.Next(input.Count);
        switch (_random.Next(8))
        {
            case 0 when input.Count > 0:
                input[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 1 when input.Count > 0:
                input[at] = Hurting[_random.Next(Hurting.Length)];
                break;
            case 2:
                input.Insert(at, Hurting[_random.Next(Hurting.Length)]);
                break;
            case 3 when input.Count > 0:
                input.RemoveRange(at, Math.Min(input.Count - at, 1 + _random.Next(16)));
                break;
            case 4 when other.Length > 0:
                input.InsertRange(at, other.AsSpan(_random.Next(other.Length)).ToArray().Take(1 + _random.Next(64)));
                break;
            case 5 when input.Count > 0:
                input.InsertRange(at, input.GetRange(at, Math.Min(input.Count - at, 1 + _random.Next(64))));
                break;
            case 6 when input.Count > 0:
                input.RemoveRange(at, input.Count - at);
                break;
            default:
                input.InsertRange(at, Enumerable.Repeat(Hurting[_random.Next(Hurting.Length)], 1 + _random.Next(300)));
                break;
        }
    }
}
