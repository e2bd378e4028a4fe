using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Gateway mailboxes and the tokens behind their <c>+</c>.</summary>
internal static class GatewayAddress
{
    /// <summary>True when <paramref name="mailbox"/> is the gateway mailbox, with or without a token.</summary>
    public static bool Matches(string gateway, Mailbox mailbox, out string token)
    {
        token = "";
        var at = gateway.LastIndexOf('@');
        if (at < 0 || !Domains.TryNormalise(mailbox.Domain, out var domain) || domain != gateway[(at + 1)..])
            return false;
        var plus = mailbox.Local.IndexOf('+');
        var local = plus < 0 ? mailbox.Local : mailbox.Local[..plus];
        token = plus < 0 ? "" : mailbox.Local[(plus + 1)..];
        // A plus with nothing behind it is no token, and no mailbox.
        return (local.Equals(gateway[..at], StringComparison.OrdinalIgnoreCase) && plus != mailbox.Local.Length - 1) || mailbox.Local.Equals(gateway[..at], StringComparison.OrdinalIgnoreCase);
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
