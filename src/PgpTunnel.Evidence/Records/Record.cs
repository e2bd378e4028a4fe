using System.Text.Json;

namespace PgpTunnel.Evidence;

/// <summary>One event in a log, read.</summary>
public sealed class Record
{
    /// <summary>Octets that a record has at most, as C2SP tlog-tiles has it.</summary>
    public const int Largest = 65_535;

    /// <summary>Of the form of records.</summary>
    public const int Version = 1;

    private readonly JsonElement _fields;

    private Record(byte[] octets, JsonElement fields, DateTimeOffset at, long n, string ev) =>
        (Octets, _fields, At, N, Event) = (octets, fields, at, n, ev);

    /// <summary>As it was written.</summary>
    public byte[] Octets { get; }

    public DateTimeOffset At { get; }

    /// <summary>Its index in the log.</summary>
    public long N { get; }

    /// <summary>What happened.</summary>
    public string Event { get; }

    public byte[] LeafHash => TreeHash.Leaf(Octets);

    /// <summary>All that it says, by name.</summary>
    public IEnumerable<(string Name, JsonElement Value)> Fields =>
        _fields.EnumerateObject().Select(f => (f.Name, f.Value));

    /// <returns>Null when it has no such text.</returns>
    public string? Text(string name) => _fields.Text(name);

    /// <returns>Null when it has no such whole number.</returns>
    public long? Number(string name) => _fields.Number(name);

    /// <exception cref="EvidenceException">Not a record, or one of another version.</exception>
    public static Record Read(ReadOnlyMemory<byte> octets)
    {
        if (octets.Length > Largest)
            throw new EvidenceException($"a record has {octets.Length} octets, more than {Largest}");
        var fields = JsonFields.Read(octets, "a record");
        if (fields.Number("v") != Version)
            throw new EvidenceException($"a record is not of version {Version}");
        return new(
            octets.ToArray(),
            fields,
            RecordTime.Read(fields.Text("at")) ?? throw new EvidenceException("a record has no time 'at'"),
            fields.Number("n") is { } n and >= 0 ? n : throw new EvidenceException("a record has no index 'n'"),
            fields.Text("ev") ?? throw new EvidenceException("a record does not say what happened ('ev')")
        );
    }
}
