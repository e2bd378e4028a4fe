using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What is known of a domain's gateway now.</summary>
/// <param name="Keys">Usable keys in the domain's order of preference; none unless the class is Usable.</param>
/// <param name="Signers">What verifies the domain's parcels: its usable keys, and expired ones for what they signed before.</param>
/// <param name="Listed">Fingerprints the policy lists, usable or not.</param>
/// <param name="Distrusted">Fingerprints the policy distrusts (<c>xfp</c>).</param>
/// <param name="Until">Until when this may be used.</param>
/// <param name="Why">One sentence for people.</param>
public sealed record PeerState(string Domain, PeerClass Class, DnsSecurity Security, PolicyMode? Mode, IReadOnlyList<PeerKey> Keys, IReadOnlyList<SignerKey> Signers, IReadOnlyList<string> Listed,
    IReadOnlyList<string> Distrusted, string Gateway, long? Size, bool Trusted, bool TrustedOffered, bool Remembered, DateTimeOffset Until, string Why)
{
    public PolicyFacts Facts => new(Class, Mode ?? PolicyMode.Enforce, Remembered, Trusted, TrustedOffered, Security == DnsSecurity.Bogus, Outdated, Class == PeerClass.Usable && Security == DnsSecurity.Insecure);

    /// <summary>It denies what was seen to be signed no earlier: it may be an old answer, played back.</summary>
    public bool Outdated { get; init; }

    /// <summary>What to remember of it; null = nothing.</summary>
    internal PolicyToRemember? ToRemember { get; init; }

    /// <summary>About the octets it holds; certificates are shared by those that have the same.</summary>
    internal long Weight => 1024 + 2 * Why.Length + 128 * (Listed.Count + Distrusted.Count) + 512 * (Keys.Count + Signers.Count);

    /// <summary>While a domain only tests and we only prefer, a final refusal may let mail go in clear: the one way from sealed to clear.</summary>
    public static bool OnlyTests(LocalPolicy local, PeerState? peer) => local == LocalPolicy.Prefer && peer is { Mode: PolicyMode.Testing, Remembered: false };

    /// <summary>The key to seal for. Only what was judged usable is here.</summary>
    public PeerKey Preferred => Keys[0];
}

/// <summary>A policy that is written to memory once, when the first who may asks for it.</summary>
internal sealed class PolicyToRemember(PolicyRecord policy, PolicySigning signing)
{
    public PolicyRecord Policy => policy;

    public PolicySigning Signing => signing;

    /// <summary>1 once it has been written.</summary>
    public int Written;
}
