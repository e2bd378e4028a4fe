using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Gateway mailboxes and the tokens behind their <c>+</c>.</summary>
internal static class GatewayAddress
{
    /// <summary>The domain of a mailbox that has been checked.</summary>
    public static string DomainOf(string mailbox) => mailbox[(mailbox.LastIndexOf('@') + 1)..];

    /// <summary>True when <paramref name="mailbox"/> is the gateway mailbox, with or without a token.</summary>
    public static bool Matches(string gateway, Mailbox mailbox, out string token)
    {
        token = "";
        var at = gateway.LastIndexOf('@');
        if (at < 0 || !Domains.TryNormalise(mailbox.Domain, out var domain) || domain != gateway[(at + 1)..])
            return false;
        var own = gateway[..at]; // it may have a plus itself
        if (!mailbox.Local.StartsWith(own, StringComparison.OrdinalIgnoreCase))
            return false;
        var rest = mailbox.Local.AsSpan(own.Length);
        if (rest.Length > 0 && (rest[0] != '+' || rest.Length == 1)) // a plus with nothing behind it is no token, and no mailbox
            return false;
        token = rest.Length > 0 ? rest[1..].ToString().ToLowerInvariant() : ""; // hops may fold its case
        return true;
    }

    /// <summary>The token when the mailbox is ours and carries one.</summary>
    public static string? TokenOf(string gateway, Mailbox mailbox) =>
        Matches(gateway, mailbox, out var token) && token.Length > 0 ? token : null;

    /// <summary>Our reverse-path for a parcel.</summary>
    public static Mailbox WithToken(string gateway, string token)
    {
        var at = gateway.LastIndexOf('@');
        return new Mailbox($"{gateway[..at]}+{token}", gateway[(at + 1)..]);
    }
}
