using System.Buffers.Binary;

namespace PgpTunnel;

/// <summary>
/// What records of one log are found by, of as many as one transaction appends: one row for all of them, since a row each would cost as
/// much as the record itself. Each entry is 10 octets: how far behind the first place its record stands, and the tag.
/// </summary>
internal sealed class TagRun(long first)
{
    private const int Entry = sizeof(ushort) + LogEntry.TagLength;

    private readonly List<byte> _octets = [];

    /// <summary>How far behind the first a record of a run stands at most.</summary>
    public const int Reach = ushort.MaxValue;

    /// <summary>False of a record that stands too far behind the first: another run begins with it.</summary>
    public bool Reaches(long place) => place - first <= Reach;

    public void Add(long place, ReadOnlySpan<byte> tags)
    {
        Span<byte> entry = stackalloc byte[Entry];
        for (; tags.Length >= LogEntry.TagLength; tags = tags[LogEntry.TagLength..])
        {
            BinaryPrimitives.WriteUInt16BigEndian(entry, (ushort)(place - first));
            tags[..LogEntry.TagLength].CopyTo(entry[sizeof(ushort)..]);
            _octets.AddRange(entry);
        }
    }

    public void Write(Statements statements) =>
        statements.Execute(
            "INSERT INTO found(place, octets) VALUES($place, $octets)",
            ("$place", first),
            ("$octets", _octets.ToArray())
        );

    /// <summary>The entries of a run without those of some records, but for one tag that each keeps.</summary>
    /// <returns>Null where none of them is in it.</returns>
    public static byte[]? Without(long first, byte[] octets, HashSet<long> places, Func<long, byte[]> keeps)
    {
        var left = new List<byte>(octets.Length);
        for (var at = 0; at + Entry <= octets.Length; at += Entry)
        {
            var entry = octets.AsSpan(at, Entry);
            var place = first + BinaryPrimitives.ReadUInt16BigEndian(entry);
            if (!places.Contains(place) || entry[sizeof(ushort)..].SequenceEqual(keeps(place)))
                left.AddRange(entry);
        }
        return left.Count == octets.Length ? null : [.. left];
    }

    /// <summary>The places of records that have one of the wanted tags.</summary>
    public static IEnumerable<long> Places(long first, byte[] octets, HashSet<ulong> wanted)
    {
        for (var at = 0; at + Entry <= octets.Length; at += Entry)
            if (wanted.Contains(BinaryPrimitives.ReadUInt64BigEndian(octets.AsSpan(at + sizeof(ushort)))))
                yield return first + BinaryPrimitives.ReadUInt16BigEndian(octets.AsSpan(at));
    }
}
