namespace PgpTunnel.Evidence;

public enum Verdict
{
    /// <summary>Whoever checks it needs to trust nobody but the named key, and the trust anchor of the DNS.</summary>
    Proved,

    /// <summary>One side says so, under its signature.</summary>
    Claimed,

    /// <summary>Something in the bundle says otherwise.</summary>
    Contradicted,

    /// <summary>The bundle has nothing about it.</summary>
    NotCovered,
}

/// <summary>One thing that a bundle may show, and how far it does.</summary>
/// <param name="By">Fingerprint of the key whose signature it rests on; null = on none.</param>
/// <param name="Until">When what it rests on ends; null = it does not end.</param>
/// <param name="Why">More about it, above all what is wrong.</param>
public sealed record Statement(string What, Verdict Verdict, string? By, DateTimeOffset? Until, string Why = "")
{
    public static Statement Proved(string what, string? by = null, DateTimeOffset? until = null, string why = "") =>
        new(what, Verdict.Proved, by, until, why);

    public static Statement Claimed(string what, string by, string why = "") =>
        new(what, Verdict.Claimed, by, null, why);

    public static Statement Contradicted(string what, string why) => new(what, Verdict.Contradicted, null, null, why);

    public static Statement NotCovered(string what, string why) => new(what, Verdict.NotCovered, null, null, why);
}
