using System.Net;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>The sections about servers: <c>listen</c> and <c>deliver</c>.</summary>
internal static partial class ConfigurationReader
{
    private static (OutboundListener?, InboundListener?) ReadListeners(ConfigurationNode root, List<string> domains, Func<string?, string?> inDirectory)
    {
        var listen = root.Section("listen");
        OutboundListener? outbound = null;
        InboundListener? inbound = null;
        if (!listen.IsNull("outbound"))
        {
            var node = listen.Section("outbound");
            var address = node.Address("address", node.Text("address", "127.0.0.1:10025"));
            var networks = new List<IPNetwork>();
            foreach (var text in node.TextList("networks") ?? ["127.0.0.0/8", "::1/128"])
            {
                if (IPNetwork.TryParse(text, out var network))
                    networks.Add(network);
                else
                    node.Mistake("networks", $"'{text}' is not a network such as 192.0.2.0/24");
            }
            var senders = DomainList(node, "senders");
            foreach (var other in senders?.Except(domains) ?? [])
                node.Mistake("senders", $"'{other}' is not one of domains");
            var normalise = node.Choice("bareNewline", false, ("refuse", false), ("normalise", true));
            var tls = ReadTls(node, inDirectory);
            if (tls is { Certificate: null })
                node.Mistake("tls", "needs certificate and key");
            node.Close();
            outbound = address is null ? null : new OutboundListener(address, networks, senders, normalise, tls);
        }
        else
        {
            listen.OptionalSection("outbound");
        }
        if (!listen.IsNull("inbound"))
        {
            var node = listen.Section("inbound");
            var address = node.Address("address", node.Text("address", "0.0.0.0:25"));
            var tls = node.IsNull("tls") ? null : ReadTls(node, inDirectory) ?? new TlsFiles(null, null);
            node.OptionalSection("tls");
            var partnersOnly = node.Choice("from", false, ("anyone", false), ("partners", true));
            node.Close();
            inbound = address is null ? null : new InboundListener(address, tls, partnersOnly);
        }
        else
        {
            listen.OptionalSection("inbound");
        }
        listen.Close();
        return (outbound, inbound);
    }

    private static TlsFiles? ReadTls(ConfigurationNode parent, Func<string?, string?> inDirectory)
    {
        if (parent.OptionalSection("tls") is not { } node)
            return null;
        var files = new TlsFiles(inDirectory(node.Text("certificate", null)), inDirectory(node.Text("key", null)));
        if (files.Certificate is null != files.Key is null)
            node.Mistake("certificate", "certificate and key belong together (both PEM)");
        foreach (var (key, file) in new[] { ("certificate", files.Certificate), ("key", files.Key) })
            if (file is not null && !File.Exists(file))
                node.Mistake(key, $"{file} does not exist");
        node.Close();
        return files;
    }

    private static Endpoint? ReadEndpoint(ConfigurationNode deliver, string key, Func<string?, string?> inDirectory)
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
        var tls = node.Choice("tls", TlsMode.Opportunistic, ("none", TlsMode.None), ("opportunistic", TlsMode.Opportunistic), ("require", TlsMode.Require), ("verify", TlsMode.Verify));
        string? user = null, passwordFile = null;
        if (node.OptionalSection("login") is { } login)
        {
            (user, passwordFile) = (login.Text("user", null), inDirectory(login.Text("passwordFile", null)));
            if (user is null || passwordFile is null || !File.Exists(passwordFile))
                login.Mistake("passwordFile", user is null ? "user and passwordFile are both needed" : $"{passwordFile ?? "(nothing)"} does not exist");
            login.Close();
        }
        var mark = new List<KeyValuePair<string, string>>();
        if (node.OptionalSection("mark") is { } fields)
            foreach (var name in fields.OwnKeys().ToList())
            {
                var value = fields.Text(name, "")!;
                if (name.Length > 60 || name.StartsWith('.') || !name.All(c => c is > ' ' and <= '~' and not ':') || value.Length > 900 || !value.All(c => c is >= ' ' and <= '~'))
                    fields.Mistake(name, "is not a header field: name and value are printable ASCII, and a name does not begin with a dot");
                mark.Add(new(name, value));
            }
        var refusesRouting = key != "local" || node.Choice("routing", true, ("refuse", true), ("pass", false));
        var without = node.TextList("without") ?? [];
        foreach (var unknown in without.Where(w => !SmtpTarget.Optional.Contains(w)))
            node.Mistake("without", $"'{unknown}' is none of {string.Join(", ", SmtpTarget.Optional)}");
        node.Close();
        return new Endpoint(host, port, tls, user, passwordFile, mark) { RefusesRouting = refusesRouting, Without = string.Join(' ', without) };
    }

    private static (string Host, int Port) SplitPort(string text)
    {
        var colon = text.LastIndexOf(':');
        if (text.EndsWith(']') || colon < 0)
            return (text.Trim('[', ']'), 25);
        return (text[..colon].Trim('[', ']'), int.TryParse(text.AsSpan(colon + 1), out var port) ? port : -1);
    }
}
