using System.Buffers.Binary;
using PgpTunnel.Evidence;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What is to go on record: in the log of one of our domains about another.</summary>
/// <param name="Own">Our domain.</param>
/// <param name="Peer">The other; <see cref="LogOrigin.World"/> = the log of all that have none of their own.</param>
internal sealed record LogEntry(string Own, string Peer, DateTimeOffset At, Draft Draft)
{
    /// <summary>Begins no log: where there is none about that domain it goes into the world's.</summary>
    public bool BeginsNoLog { get; init; }

    /// <summary>The other domain's gateway has asked to be told.</summary>
    public bool OwesReceipt { get; init; }

    /// <summary>Its private part, sealed; null = it has none.</summary>
    public SealedOpening? Opening { get; init; }

    /// <summary>What it is found by: <see cref="TagLength"/> octets each, which tell nothing to who has not the key.</summary>
    public byte[] Tags { get; init; } = [];

    public const int TagLength = 8;

    /// <summary>True when one of the wanted tags is among those of a record.</summary>
    public static bool HasOne(ReadOnlySpan<byte> tags, HashSet<ulong> wanted)
    {
        for (; tags.Length >= TagLength; tags = tags[TagLength..])
            if (wanted.Contains(BinaryPrimitives.ReadUInt64BigEndian(tags)))
                return true;
        return false;
    }

    /// <summary>True of what can be a parcel's id.</summary>
    public static bool IsId(string text) => text.Length == 32 && text.All(char.IsAsciiHexDigitLower);

    /// <summary>The tag of a parcel's id, which is no secret.</summary>
    public static byte[] TagOf(string id) => Convert.FromHexString(id.AsSpan(0, 2 * TagLength));
}

/// <param name="Month">Of the key that opens it, <c>2026-10</c>.</param>
internal sealed record SealedOpening(string Month, ArchivedOctets Octets);
