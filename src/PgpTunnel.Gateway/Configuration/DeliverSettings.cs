using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The section <c>deliver</c>: whom mail is handed to.</summary>
/// <param name="Local">Our own mail server.</param>
/// <param name="Relay">Smarthost for outgoing mail; null = MX of the destination.</param>
public sealed record DeliverSettings(Endpoint Local, Endpoint? Relay)
{
    /// <param name="listen">Where this gateway itself is: mail that it hands to itself comes back as refused.</param>
    internal static DeliverSettings Read(ConfigurationNode root, ListenSettings listen)
    {
        var deliver = root.Section("deliver");
        var local =
            Endpoint.Read(deliver, "local") ?? new Endpoint("127.0.0.1", 10026, TlsMode.Opportunistic, null, null, []);
        var settings = new DeliverSettings(local, Endpoint.Read(deliver, "relay"));
        deliver.Close();
        foreach (var (key, endpoint) in new[] { ("local", settings.Local), ("relay", settings.Relay) })
            if (endpoint is not null && listen.OwnAt(endpoint.Host, endpoint.Port) is { } own)
                deliver.Mistake(key, $"{endpoint.Host}:{endpoint.Port} is listen.{own} of this gateway");
        return settings;
    }
}

/// <param name="Mark">Header fields put in front of what is sent there.</param>
public sealed record Endpoint(
    string Host,
    int Port,
    TlsMode Tls,
    string? User,
    string? PasswordFile,
    IReadOnlyList<KeyValuePair<string, string>> Mark
)
{
    /// <summary>Recipients whose local part carries routing are not passed on.</summary>
    public bool RefusesRouting { get; init; } = true;

    /// <summary>Extensions not to be used with it, separated by blanks.</summary>
    public string Without { get; init; } = "";

    internal static Endpoint? Read(ConfigurationNode deliver, string key)
    {
        var (text, node) = deliver.TextOrSection(key);
        if (text is null && node is null)
            return null;
        text ??= node!.Text("host", "")!;
        var (host, port) = SplitPort(text);
        if (host.Length == 0 || port is < 1 or > 65535)
            deliver.Mistake(key, $"'{text}' is not a host and port such as mail.a.example:25");
        if (node is null)
            return new Endpoint(host, port, TlsMode.Opportunistic, null, null, []);
        var tls = node.Choice(
            "tls",
            TlsMode.Opportunistic,
            ("none", TlsMode.None),
            ("opportunistic", TlsMode.Opportunistic),
            ("require", TlsMode.Require),
            ("verify", TlsMode.Verify)
        );
        var (user, passwordFile) = ReadLogin(node);
        var mark = ReadMark(node);
        var refusesRouting = key != "local" || node.Choice("routing", true, ("refuse", true), ("pass", false));
        var without = node.TextList("without") ?? [];
        foreach (var unknown in without.Where(w => !SmtpTarget.Optional.Contains(w)))
            node.Mistake("without", $"'{unknown}' is none of {string.Join(", ", SmtpTarget.Optional)}");
        node.Close();
        return new Endpoint(host, port, tls, user, passwordFile, mark)
        {
            RefusesRouting = refusesRouting,
            Without = string.Join(' ', without),
        };
    }

    private static (string Host, int Port) SplitPort(string text)
    {
        var colon = text.LastIndexOf(':');
        if (text.EndsWith(']') || colon < 0)
            return (text.Trim('[', ']'), 25);
        return (text[..colon].Trim('[', ']'), int.TryParse(text.AsSpan(colon + 1), out var port) ? port : -1);
    }

    private static (string? User, string? PasswordFile) ReadLogin(ConfigurationNode node)
    {
        if (node.OptionalSection("login") is not { } login)
            return (null, null);
        var (user, passwordFile) = (login.Text("user", null), login.File("passwordFile", null));
        if (user is null || passwordFile is null || !System.IO.File.Exists(passwordFile))
            login.Mistake(
                "passwordFile",
                user is null ? "user and passwordFile are both needed" : $"{passwordFile ?? "(nothing)"} does not exist"
            );
        login.Close();
        return (user, passwordFile);
    }

    private static List<KeyValuePair<string, string>> ReadMark(ConfigurationNode node)
    {
        var mark = new List<KeyValuePair<string, string>>();
        if (node.OptionalSection("mark") is { } fields)
            foreach (var name in fields.OwnKeys().ToList())
            {
                var value = fields.Text(name, "")!;
                if (
                    name.Length > 60
                    || name.StartsWith('.')
                    || !name.All(c => c is > ' ' and <= '~' and not ':')
                    || value.Length > 900
                    || !value.All(c => c is >= ' ' and <= '~')
                )
                    fields.Mistake(
                        name,
                        "is not a header field: name and value are printable ASCII, and a name does not begin with a dot"
                    );
                mark.Add(new(name, value));
            }
        return mark;
    }
}
