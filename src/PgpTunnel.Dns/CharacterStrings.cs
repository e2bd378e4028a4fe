namespace PgpTunnel.Dns;

/// <summary>The data of a TXT record: one or more strings, each behind its length (RFC 1035 3.3.14).</summary>
public static class CharacterStrings
{
    /// <summary>The strings without anything between them, as policies are read (RFC 7208 3.3, RFC 8461 3.1).</summary>
    public static byte[] Join(byte[] rdata)
    {
        var text = new List<byte>(rdata.Length);
        for (var at = 0; at < rdata.Length; at += rdata[at] + 1)
            text.AddRange(rdata.AsSpan(at + 1, Math.Min(rdata[at], rdata.Length - at - 1)));
        return [.. text];
    }
}
