using System.Security.Cryptography;
using System.Text.Json;

namespace PgpTunnel.Evidence;

/// <summary>
/// The private part of a record: who wrote to whom, and what is needed to put the signed octets together again. The record holds only the
/// SHA-256 of its octets, which tells nothing, since nobody guesses the salt: without the opening nothing personal is left.
/// </summary>
public sealed class RecordOpening
{
    private const int Salt = 32; // octets

    private readonly JsonElement _fields;

    private RecordOpening(byte[] octets, JsonElement fields) =>
        (Octets, Commitment, _fields) = (octets, CommitmentOf(octets), fields);

    public byte[] Octets { get; }

    /// <summary>What stands in the record as <c>open</c>: SHA-256 of the octets, 64 lower-case hex digits.</summary>
    public string Commitment { get; }

    /// <inheritdoc cref="Commitment"/>
    public static string CommitmentOf(ReadOnlySpan<byte> octets) => Convert.ToHexStringLower(SHA256.HashData(octets));

    /// <summary>All that it says, by name.</summary>
    public IEnumerable<(string Name, JsonElement Value)> Fields =>
        _fields.EnumerateObject().Select(f => (f.Name, f.Value));

    /// <returns>Null when it has no such text.</returns>
    public string? Text(string name) => _fields.Text(name);

    /// <summary>The texts of a list; none where there is no such list.</summary>
    public IEnumerable<string> Texts(string name) =>
        _fields.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(t => t.ValueKind == JsonValueKind.String).Select(t => t.GetString()!)
            : [];

    /// <param name="fields">A value is a string, octets, a whole number, or a list of such; null = left out.</param>
    public static byte[] Write(IEnumerable<(string Name, object? Value)> fields) =>
        JsonFields.Write([.. fields, ("salt", RandomNumberGenerator.GetBytes(Salt))]);

    /// <exception cref="EvidenceException">It is no opening.</exception>
    public static RecordOpening Read(ReadOnlyMemory<byte> octets) =>
        new(octets.ToArray(), JsonFields.Read(octets, "an opening"));
}
