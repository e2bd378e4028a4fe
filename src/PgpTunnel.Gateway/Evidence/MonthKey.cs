using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>
/// The key of one month, under which the private parts of what went on record in it are kept. When it is destroyed, they are gone,
/// wherever a copy of them lies.
/// </summary>
/// <param name="month"><c>2026-10</c>, UTC.</param>
/// <param name="readers">Who else is to read them.</param>
internal sealed class MonthKey(string month, GatewayKey key, IReadOnlyList<ReaderKey> readers)
{
    private readonly ArchiveSeal _seal = new(key, readers);
    private readonly byte[] _tagKey = key.Derive("PgpTunnel evidence tags");

    public string Month => month;

    public GatewayKey Key => key;

    public SealedOpening Seal(ReadOnlySpan<byte> opening) => new(month, _seal.Seal(opening));

    /// <summary>
    /// What something private is found by: the same for the same text, in this month; nobody who has not the key learns from it what it
    /// is of.
    /// </summary>
    public byte[] Tag(string text) => HMACSHA256.HashData(_tagKey, Encoding.UTF8.GetBytes(text))[..LogEntry.TagLength];
}
