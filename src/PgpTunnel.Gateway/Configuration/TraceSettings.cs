namespace PgpTunnel;

/// <summary>The section <c>trace</c>: what is written into opened mail.</summary>
/// <param name="Token">Stands in <c>PgpTunnel-Result</c>; null = none.</param>
public sealed record TraceSettings(string? Token, bool AuthenticationResults)
{
    internal static TraceSettings Read(ConfigurationNode root)
    {
        var trace = root.Section("trace");
        var settings = new TraceSettings(trace.Text("token", null), trace.Flag("authenticationResults", false));
        if (
            settings.Token is { } token
            && !(token.Length is > 0 and <= 128 && token.All(c => c is > ' ' and <= '~' and not ';'))
        )
            trace.Mistake("token", "must be printable ASCII without blanks and semicolons");
        trace.Close();
        return settings;
    }
}
