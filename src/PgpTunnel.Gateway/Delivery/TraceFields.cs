using System.Globalization;
using System.Text;

namespace PgpTunnel;

/// <summary>What the gateway writes at the head of a message that it hands on, and what it takes out of what others wrote there.</summary>
internal static class TraceFields
{
    /// <summary>The header that the configuration has for what goes to a server.</summary>
    public static ReadOnlyMemory<byte> Mark(Endpoint? endpoint) =>
        Encoding.ASCII.GetBytes(string.Concat(endpoint?.Mark.Select(m => $"{m.Key}: {m.Value}\r\n") ?? []));

    /// <summary>The trace of every server that passes mail on (RFC 5321 4.4): what a mail loop is recognised by.</summary>
    public static ReadOnlyMemory<byte> Received(
        GatewayConfiguration configuration,
        Parcel parcel,
        InnerHeader header
    ) =>
        Encoding.ASCII.GetBytes(
            string.Create(
                CultureInfo.InvariantCulture,
                $"Received: from {header.Sender.Domain} by {configuration.Hostname} (PgpTunnel)\r\n\twith ESMTP id "
                    + $"{header.Id}; {MessageText.Date(parcel.Created)}\r\n"
            )
        );

    /// <summary>What the receiving gateway found, for the recipient to see (PROTOCOL.md 7).</summary>
    public static ReadOnlyMemory<byte> Result(
        GatewayConfiguration configuration,
        InnerHeader header,
        ReadOnlyMemory<byte> message
    )
    {
        var from = HeaderFields.FromDomain(message.Span) == header.Sender.Domain ? "aligned" : "other";
        var text = new StringBuilder().Append(
            $"PgpTunnel-Result: pass; d={header.Sender.Domain}; from={from};\r\n\tfpr={header.Sender.Fingerprint}; id={header.Id}"
        );
        if (configuration.Trace.Token is { } token)
            text.Append($";\r\n\ttoken={token}");
        text.Append("\r\n");
        if (configuration.Trace.AuthenticationResults)
            text.Append(
                $"Authentication-Results: {configuration.Hostname};\r\n\tx-pgptunnel=pass "
                    + $"header.d={header.Sender.Domain} policy.from={from}\r\n"
            );
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>
    /// Fields that only this gateway may write are taken out of what others wrote, and results whose author cannot be read (RFC 8601 5).
    /// </summary>
    public static List<ReadOnlyMemory<byte>> WithoutForgeries(
        GatewayConfiguration configuration,
        ReadOnlyMemory<byte> message
    ) =>
        HeaderFields.Without(
            message,
            (name, field) =>
                name.StartsWith("PgpTunnel-", StringComparison.OrdinalIgnoreCase)
                || (
                    name.Equals("Authentication-Results", StringComparison.OrdinalIgnoreCase)
                    && AuthenticationResults.AuthServId(field.Span) is var id
                    && (id is null || id.Equals(configuration.Hostname, StringComparison.OrdinalIgnoreCase))
                )
        );
}
