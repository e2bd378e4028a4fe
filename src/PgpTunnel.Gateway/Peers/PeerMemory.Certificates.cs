namespace PgpTunnel;

/// <summary>Certificates of trusted partners, kept beyond their publication.</summary>
internal sealed partial class PeerMemory
{
    /// <summary>
    /// Certificates of a trusted partner, kept beyond their publication: what they certify is trusted even when they are gone.
    /// </summary>
    /// <returns>Each with when it was last seen listed.</returns>
    public IReadOnlyList<(byte[] Octets, DateTimeOffset Listed)> Certificates(string domain) =>
        spool?.Certificates(domain) ?? [];

    /// <summary>
    /// A key that is listed no more vouches for successors for a while yet, lest a partner be lost who was not looked up in time.
    /// </summary>
    public bool MayStillVouch(DateTimeOffset listed) => Sure - listed <= Vouching;

    /// <summary>What it certified later than it was listed does not count: it may be stolen, or thrown away.</summary>
    public static DateTimeOffset VouchesUntil(DateTimeOffset listed) => listed + Grain;

    /// <summary>Whether it is worth noting that the certificate is listed still.</summary>
    public bool IsNewsOf(DateTimeOffset listed) => time.GetUtcNow() - listed >= Grain;

    public async Task KeepCertificateAsync(string domain, string fingerprint, byte[] octets)
    {
        try
        {
            if (Written is not null)
                await Written.KeepCertificateAsync(domain, fingerprint, octets, time.GetUtcNow());
        }
        catch (SpoolException e)
        {
            log?.Write(
                "spool-error",
                ("what", $"keeping a certificate of {domain}"),
                ("why", e.Message),
                ("do", SpoolException.Advice)
            );
        }
    }
}
