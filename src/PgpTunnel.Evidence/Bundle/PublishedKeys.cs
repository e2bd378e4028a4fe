using System.Text;
using PgpTunnel.Dns;

namespace PgpTunnel.Evidence;

/// <summary>What a proof of the DNS shows: which gateway keys a domain published at some time.</summary>
/// <param name="Domain">Whose policy record it is.</param>
/// <param name="Security">Of the answer.</param>
/// <param name="Fingerprints">Of the keys in it, less what it distrusts; none where it is no policy.</param>
/// <param name="Until">When the last of its signatures ends that all rests on.</param>
public sealed record PublishedKeys(
    string Domain,
    DnsSecurity Security,
    IReadOnlyList<string> Fingerprints,
    DateTimeOffset? Until
)
{
    private const string Label = "_pgptunnel.",
        Version = "v=PGPT1",
        Withdrawn = "m=none";

    /// <exception cref="EvidenceException">It is no proof, or not one of a policy record.</exception>
    public static async Task<PublishedKeys> ReadAsync(byte[] stream, TrustAnchors anchors, DateTimeOffset at)
    {
        try
        {
            var (name, type, records) = DnsProof.Read(stream);
            var text = name.ToString().TrimEnd('.');
            if (type != RecordType.TXT || !text.StartsWith(Label, StringComparison.Ordinal))
                throw new EvidenceException("a proof of the DNS is about something else than a policy record");
            var answer = await new DnsValidator(new RecordedAnswers(records), anchors, new FixedTime(at)).LookupAsync(
                name,
                type,
                CancellationToken.None,
                budget: new WorkBudget { KeepsProof = true }
            );
            return new(
                text[Label.Length..],
                answer.Security,
                answer.Security == DnsSecurity.Secure ? Listed(answer.Data) : [],
                answer.Proof?.Window?.Until
            );
        }
        catch (DnsFormatException e)
        {
            throw new EvidenceException($"a proof of the DNS cannot be read: {e.Message}");
        }
    }

    /// <summary>Of the one policy among TXT records (PROTOCOL.md 2).</summary>
    private static List<string> Listed(IReadOnlyList<byte[]> records)
    {
        var policies = records
            .Select(r => Encoding.Latin1.GetString(CharacterStrings.Join(r)).Split(';', StringSplitOptions.TrimEntries))
            .Where(f => f[0].Split(' ', '\t')[0] == Version)
            .ToList();
        if (policies is not [var fields] || fields.Contains(Withdrawn))
            return [];
        var distrusted = Values(fields, "xfp=");
        return [.. Values(fields, "fp=").Where(f => !distrusted.Contains(f))];
    }

    private static List<string> Values(string[] fields, string tag) =>
        [
            .. fields
                .Where(f => f.StartsWith(tag, StringComparison.Ordinal))
                .SelectMany(f => f[tag.Length..].Split(',', StringSplitOptions.TrimEntries)),
        ];
}
