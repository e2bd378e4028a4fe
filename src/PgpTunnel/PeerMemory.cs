namespace PgpTunnel;

/// <summary>Remembers that a domain asked for encryption, so that stripping its records later does not bring back clear text (PROTOCOL.md 3).</summary>
internal sealed class PeerMemory(Spool? spool, TimeProvider time)
{
    public Task<bool> RemembersEnforceAsync(string domain) => Task.FromResult(spool?.FindPeer(domain) > time.GetUtcNow());

    /// <summary>Only a usable answer with <c>enforce</c> comes here; it is written at most when it lengthens what is known by an hour.</summary>
    public Task RememberAsync(string domain, PolicyRecord policy, DateTimeOffset now)
    {
        var expires = now + policy.MaxAge;
        return spool is null || spool.FindPeer(domain) > expires - TimeSpan.FromHours(1) ? Task.CompletedTask
            : spool.RememberPeerAsync(domain, string.Join(',', policy.Fingerprints), expires);
    }
}
