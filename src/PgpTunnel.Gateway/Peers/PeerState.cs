using PgpTunnel.Dns;
using PgpTunnel.OpenPgp;

namespace PgpTunnel;

/// <summary>What is known of a domain's gateway now.</summary>
public sealed record PeerState
{
    public required string Domain { get; init; }
    public required PeerClass Class { get; init; }
    public required DnsSecurity Security { get; init; }

    /// <summary>Of its policy; null = none could be read.</summary>
    public PolicyMode? Mode { get; init; }

    /// <summary>Usable keys in the domain's order of preference; none unless the class is Usable.</summary>
    public IReadOnlyList<PeerKey> Keys { get; init; } = [];

    /// <summary>What verifies the domain's parcels: its usable keys, and expired ones for what they signed before.</summary>
    public IReadOnlyList<SignerKey> Signers { get; init; } = [];

    /// <summary>Fingerprints the policy lists, usable or not.</summary>
    public IReadOnlyList<string> Listed { get; init; } = [];

    /// <summary>Fingerprints the policy distrusts (<c>xfp</c>), or did.</summary>
    public IReadOnlyList<string> Distrusted { get; init; } = [];

    /// <summary>Its gateway's mailbox; empty where no policy says.</summary>
    public string Gateway { get; init; } = "";

    /// <summary>Octets of the largest message that it takes.</summary>
    public long? Size { get; init; }

    /// <summary>Its gateway gives receipts: its policy says so, or has said so and is held to it.</summary>
    public bool GivesReceipts { get; init; }

    /// <inheritdoc cref="PolicyFacts.Trusted"/>
    public bool Trusted { get; init; }

    /// <inheritdoc cref="PolicyFacts.TrustedOffered"/>
    public bool TrustedOffered { get; init; }

    /// <inheritdoc cref="PolicyFacts.Remembered"/>
    public bool Remembered { get; init; }

    /// <summary>SHA-256 of the proof of it that is kept, lower-case hex; null = there is none.</summary>
    public string? Proof { get; init; }

    /// <summary>Until when this may be used.</summary>
    public required DateTimeOffset Until { get; init; }

    /// <summary>One sentence for people.</summary>
    public required string Why { get; init; }

    public PolicyFacts Facts =>
        new()
        {
            Class = Class,
            Mode = Mode ?? PolicyMode.Enforce,
            Remembered = Remembered,
            Trusted = Trusted,
            TrustedOffered = TrustedOffered,
            Bogus = Security == DnsSecurity.Bogus,
            Outdated = Outdated,
            Unsigned = Class == PeerClass.Usable && Security == DnsSecurity.Insecure,
        };

    /// <summary>It denies what was seen to be signed no earlier: it may be an old answer, played back.</summary>
    public bool Outdated { get; init; }

    /// <summary>
    /// Of a domain that something is remembered of, looked up for a stranger: it has counted for nothing, and written nothing down. Our own
    /// mail asks again, lest who sends us junk keeps us from seeing what it says.
    /// </summary>
    internal bool IsForStrangers { get; init; }

    /// <summary>What to remember of it; null = nothing.</summary>
    internal PolicyToRemember? ToRemember { get; init; }

    /// <summary>About the octets it holds; certificates are shared by those that have the same.</summary>
    internal long Weight =>
        1024 + 2 * Why.Length + 128 * (Listed.Count + Distrusted.Count) + 512 * (Keys.Count + Signers.Count);

    /// <summary>
    /// While a domain only tests and we only prefer, a final refusal may let mail go in clear: the one way from sealed to clear.
    /// </summary>
    public static bool OnlyTests(LocalPolicy local, PeerState? peer) =>
        local == LocalPolicy.Prefer && peer is { Mode: PolicyMode.Testing, Remembered: false };

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
