using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>
/// When the answer about a policy was signed, link by link: what tells an answer of today from one that was recorded earlier and is
/// played back (PROTOCOL.md 3, Memory).
/// </summary>
internal sealed class PolicySigning(IReadOnlyList<SignedStep> steps)
{
    private const string Wildcard = "*";

    /// <summary>The newest signature over the policy or any alias that led to it.</summary>
    public DateTimeOffset Newest => steps.Max(s => s.Signed);

    /// <summary>The aliases that were followed, each <c>name&gt;target</c>, and <c>*</c> where the policy came from a wildcard.</summary>
    public IReadOnlyList<string> Path =>
        [
            .. steps.Where(s => s.Alias is not null).Select(Text),
            .. steps.Any(s => s.Wildcard) ? [Wildcard] : Array.Empty<string>(),
        ];

    /// <summary>
    /// Of a denial, or of <c>m=none</c>: the oldest signature that it rests on. An alias that led to the policy too says nothing new, so
    /// its age does not count. What was made from a wildcard rests on the denial of the name itself too; where the policy came from one,
    /// that denial says nothing new, and the denial of the wildcard counts.
    /// </summary>
    /// <param name="path"><see cref="Path"/> of the last usable answer.</param>
    public DateTimeOffset OldestAgainst(IReadOnlyList<string> path) =>
        steps
            .Where(s => s.Alias is null || !path.Contains(Text(s)))
            .Select(s =>
                path.Contains(Wildcard) ? s.Oldest
                : s.NameDenied < s.Signed ? s.NameDenied.Value
                : s.Signed
            )
            .DefaultIfEmpty(DateTimeOffset.MinValue)
            .Min();

    private static string Text(SignedStep step) => $"{step.Owner}>{step.Alias}";
}
