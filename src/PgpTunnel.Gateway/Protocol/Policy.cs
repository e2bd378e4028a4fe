using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>What the DNS says of a peer (PROTOCOL.md 3).</summary>
public enum PeerClass
{
    Usable,
    None,
    Insecure,
    Temporary,
    Unusable,
}

/// <summary>What we want for a destination domain.</summary>
public enum LocalPolicy
{
    Never,
    Prefer,
    Require,
    RequireVerified,
}

public enum DecisionKind
{
    Seal,
    Clear,
    Defer,
    Refuse,
}

/// <summary>The facts a decision rests on.</summary>
public readonly record struct PolicyFacts
{
    public required PeerClass Class { get; init; }

    /// <summary>Mode of an unusable policy as far as it could be read; unreadable means enforce.</summary>
    public required PolicyMode Mode { get; init; }

    /// <summary>An <c>enforce</c> seen earlier is still in force.</summary>
    public bool Remembered { get; init; }

    /// <summary>Trusted fingerprints are set for the domain.</summary>
    public bool Trusted { get; init; }

    /// <summary>One of them, or a certified successor, is offered.</summary>
    public bool TrustedOffered { get; init; }

    /// <summary>The answer was proved wrong, not only missing.</summary>
    public bool Bogus { get; init; }

    /// <summary>The denial was signed no later than a policy that was seen.</summary>
    public bool Outdated { get; init; }

    /// <summary>A trusted key, found in DNS that is not signed.</summary>
    public bool Unsigned { get; init; }
}

/// <summary>What happens to mail for one domain.</summary>
/// <param name="Reply">The reply that says so when it is not taken.</param>
/// <param name="Alarm">Somebody should look: this is how a downgrade attack would look too.</param>
public sealed record Decision(DecisionKind Kind, SmtpReply? Reply, bool Alarm, string Why)
{
    /// <summary>The answer to RCPT TO.</summary>
    public SmtpReply RecipientReply(string domain) =>
        Reply
        ?? new SmtpReply(
            250,
            "2.1.5",
            Kind == DecisionKind.Seal ? $"will be sealed for {domain}" : $"goes in clear: {Why}"
        );
}

/// <summary>Whether one of our domains looks right from outside.</summary>
/// <param name="Missing">What a peer would miss; null = armed.</param>
/// <param name="Known">False when that could not be looked up: a failure, which is no reason to send anything in clear.</param>
public readonly record struct ArmState(string? Missing, bool Known)
{
    public static readonly ArmState Armed = new(null, true);

    public bool IsArmed => Missing is null && Known;
}

/// <summary>The decision table of PROTOCOL.md 6: a pure function. No row leads from a failure to clear text.</summary>
public static class Policy
{
    /// <param name="arms">Whether our own domain looks usable from outside.</param>
    public static Decision Decide(LocalPolicy local, PolicyFacts facts, ArmState arms, string domain)
    {
        if (local == LocalPolicy.Never)
            return Clear("policy never");
        if (local == LocalPolicy.RequireVerified && !facts.Trusted)
            return Defer("4.7.5", $"policy require-verified, but no fingerprint of {domain} has been verified");
        if (facts.Class == PeerClass.Temporary)
            return Defer(
                "4.4.3",
                $"the keys of {domain} cannot be looked up now",
                alarm: facts.Bogus && (facts.Remembered || facts.Trusted)
            );
        if (facts.Trusted && !facts.TrustedOffered)
            return Defer("4.7.5", $"{domain} does not offer a usable key that was verified for it", alarm: true);
        var prefer = local == LocalPolicy.Prefer && !facts.Remembered;
        return facts.Class switch
        {
            PeerClass.Usable => arms.IsArmed
                ? new(
                    DecisionKind.Seal,
                    null,
                    facts is { Unsigned: true, Remembered: true },
                    facts.Unsigned
                        ? $"{domain} has the key that is trusted, in DNS that is not signed{(facts.Remembered ? " any more" : "")}"
                        : $"{domain} has a usable key"
                )
            : !arms.Known ? Defer("4.4.3", $"this gateway cannot see its own records: {arms.Missing}")
            : prefer ? Clear($"unarmed: {arms.Missing}")
            : Defer("4.7.5", $"this gateway is not armed: {arms.Missing}"),
            PeerClass.None or PeerClass.Insecure when facts.Remembered => Defer(
                "4.7.5",
                $"{domain} asked for encryption, and now its DNS "
                    + $"{(facts.Class == PeerClass.None ? "says nothing of it" : "is not signed")}",
                alarm: true
            ),
            PeerClass.None or PeerClass.Insecure when facts.Outdated && !prefer => Defer(
                "4.7.5",
                $"{domain} published a gateway key, and the answer that there is none may be an old one",
                alarm: true
            ),
            PeerClass.None => prefer
                ? Clear($"{domain} publishes no gateway key")
                : Refuse($"encryption is required, and {domain} publishes no gateway key"),
            PeerClass.Insecure => prefer
                ? Clear($"the DNS of {domain} is not signed")
                : Refuse($"encryption is required, and the DNS of {domain} is not signed"),
            PeerClass.Unusable when prefer && facts.Mode == PolicyMode.Testing => Clear(
                $"the records of {domain} are unusable, mode testing"
            ),
            _ => Defer("4.7.5", $"the records of {domain} are unusable"),
        };
    }

    private static Decision Clear(string why) => new(DecisionKind.Clear, null, false, why);

    private static Decision Defer(string status, string why, bool alarm = false) =>
        new(DecisionKind.Defer, new SmtpReply(451, status, why), alarm, why);

    private static Decision Refuse(string why) =>
        new(DecisionKind.Refuse, new SmtpReply(550, "5.7.10", why), false, why);
}
