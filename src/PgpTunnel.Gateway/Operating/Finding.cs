namespace PgpTunnel;

internal enum FindingLevel
{
    Ok,
    Warning,
    Wrong,
}

/// <summary>One line of a check.</summary>
/// <param name="Do">What to do about it; null where there is nothing to do.</param>
internal sealed record Finding(FindingLevel Level, string Check, string What, string? Do = null);
