using PgpTunnel.Demo;
using PgpTunnel.Dns;

namespace PgpTunnel.Interop;

/// <summary>What somebody on the path does to one answer; the same seed does the same to the same answer.</summary>
internal static class Mutation
{
    /// <param name="others">Genuine answers to other questions, for replay.</param>
    /// <returns>The answer as it arrives, and what was done; null = nothing.</returns>
    public static (WorldAnswer Answer, string? What) Apply(
        WorldAnswer genuine,
        Random random,
        IReadOnlyList<WorldAnswer> others
    )
    {
        var answer = new WorldAnswer(genuine.Rcode, [.. genuine.Answer], [.. genuine.Authority]);
        var section =
            random.Next(2) == 0 && answer.Answer.Count > 0 ? answer.Answer
            : answer.Authority.Count > 0 ? answer.Authority
            : answer.Answer;
        var at = section.Count == 0 ? 0 : random.Next(section.Count);
        var other = others[random.Next(others.Count)];
        switch (random.Next(20))
        {
            case 0:
                answer.Answer.RemoveAll(r => r.Type == RecordType.RRSIG);
                return (answer, "answer signatures stripped");
            case 1:
                answer.Authority.RemoveAll(r => r.Type == RecordType.RRSIG);
                return (answer, "authority signatures stripped");
            case 2:
                answer.Answer.RemoveAll(r => r.Type == RecordType.RRSIG);
                answer.Authority.Clear();
                return (answer, "all DNSSEC stripped");
            case 3:
                answer.Authority.Clear();
                return (answer, "authority removed");
            case 4:
                answer.Answer.Clear();
                return (answer, "answer removed");
            case 5:
                return (answer with { Rcode = answer.Rcode == 3 ? 0 : 3 }, "rcode turned");
            case 6:
                return (answer with { Rcode = 2 }, "SERVFAIL");
            case 7:
                return (other, "another answer");
            case 8:
                return (answer with { Authority = other.Authority }, "another denial");
            case 9:
                return (new WorldAnswer(other.Rcode, [], other.Authority), "denied by another denial");
            case 10:
                return (new WorldAnswer(3, [], []), "bare NXDOMAIN");
            case 11:
                return (new WorldAnswer(0, [], []), "bare NODATA");
            case 12:
                answer.Authority.AddRange(other.Authority);
                return (answer, "more denials");
            case 13:
                answer.Answer.AddRange(other.Answer);
                return (answer, "more answers");
            case var _ when section.Count == 0:
                return (answer, null);
            case 14:
                section.RemoveAt(at);
                return (answer, "a record removed");
            case 15:
                section.Add(section[at]);
                return (answer, "a record doubled");
            case 16:
                section[at] = section[at] with { Ttl = (uint)random.Next(1, 600) };
                return (answer, "a TTL changed");
            case 17:
                section[at] = section[at] with
                {
                    Name =
                        other.Answer.Concat(other.Authority).Select(r => r.Name).FirstOrDefault() ?? section[at].Name,
                };
                return (answer, "an owner changed");
            default:
                // RRSIG fields are worth more than a blind flip: labels, times, key tag, signer.
                var signatures = section.FindAll(r => r.Type == RecordType.RRSIG);
                var victim =
                    signatures.Count > 0 && random.Next(2) == 0
                        ? section.IndexOf(signatures[random.Next(signatures.Count)])
                        : at;
                if (section[victim].Rdata.Length == 0)
                    return (answer, null);
                var octets = (byte[])section[victim].Rdata.Clone();
                var position =
                    section[victim].Type == RecordType.RRSIG && random.Next(2) == 0
                        ? random.Next(Math.Min(20, octets.Length))
                        : random.Next(octets.Length);
                octets[position] ^= (byte)(1 << random.Next(8));
                section[victim] = section[victim] with { Rdata = octets };
                return (answer, $"octet {position} of a {RecordType.Name(section[victim].Type)} flipped");
        }
    }
}
