using PgpTunnel.Dns;

namespace PgpTunnel;

/// <summary>Domains as mail has them: A-labels, lower case, no final dot.</summary>
internal static class Domains
{
    /// <summary>The one form in which domains are compared and looked up; false for literals and what is no domain.</summary>
    public static bool TryNormalise(string domain, out string normal)
    {
        normal = "";
        if (domain.Length == 0 || domain.StartsWith('[') || !DomainName.TryParse(domain, out var name) || name.IsRoot)
            return false;
        normal = name.ToString();
        return normal.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
    }
}
