using System.Security.Cryptography;

namespace PgpTunnel;

/// <summary>How long a parcel may travel, and what it is called (PROTOCOL.md 5).</summary>
internal static class ParcelLife
{
    public static readonly TimeSpan Usual = TimeSpan.FromDays(7),
        Longest = TimeSpan.FromDays(14),
        Token = TimeSpan.FromDays(14);

    /// <summary>128 random bits as 32 lower-case hex digits.</summary>
    public static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
}
