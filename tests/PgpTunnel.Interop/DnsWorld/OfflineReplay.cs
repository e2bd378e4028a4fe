using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>
/// What somebody on the path has made of answers, put into a stream as a proof is (RFC 9102), and given to who checks it offline: whoever
/// can forge answers can forge such a file.
/// </summary>
internal static class OfflineReplay
{
    private const int Most = 500; // records of a stream

    /// <summary>What he believed who was given it; that can be the truth where genuine records are among them.</summary>
    /// <returns>Null when it was nothing, or the truth.</returns>
    public static string? Wrongly(DnsAnswer? offline, DnsAnswer genuine)
    {
        static HashSet<string> Set(DnsAnswer answer) => [.. answer.Data.Select(Convert.ToHexString)];
        return
            offline is null or { Security: DnsSecurity.Bogus or DnsSecurity.Indeterminate }
            || (
                offline.Security == genuine.Security
                // what an unsigned zone has is anybody's, and said to be so
                && (offline.Security == DnsSecurity.Insecure || Set(offline).SetEquals(Set(genuine)))
            )
            ? null
            : $"{offline.Security} {offline.Outcome} instead of {genuine.Security} {genuine.Outcome}: {offline.Why}";
    }

    /// <param name="answers">As they arrived.</param>
    /// <returns>Null when it is no stream at all.</returns>
    public static async Task<DnsAnswer?> CheckAsync(
        DomainName name,
        ushort type,
        IEnumerable<WorldAnswer> answers,
        TrustAnchors anchors,
        TimeProvider time
    )
    {
        var records = answers.SelectMany(a => a.Answer.Concat(a.Authority)).Distinct().Take(Most);
        var stream = new DnsProof(name, type, [.. records.Select(r => new ProvenSet([r], null, null))]).ToStream();
        try
        {
            var (asked, of, read) = DnsProof.Read(stream);
            return await new DnsValidator(new RecordedAnswers(read), anchors, time).LookupAsync(
                asked,
                of,
                CancellationToken.None
            );
        }
        catch (DnsFormatException)
        {
            return null;
        }
    }
}
