using System.Collections;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PgpTunnel;

/// <summary>Reads <c>pgptunnel.json</c> and the environment over it; every mistake is named, not only the first.</summary>
internal static class ConfigurationReader
{
    private const string Prefix = "PGPTUNNEL__";
    private static readonly string[] DefaultFiles = ["pgptunnel.json", "/etc/pgptunnel/pgptunnel.json"];

    /// <summary>The file given, or the first default that exists.</summary>
    /// <exception cref="ConfigurationException">There is none.</exception>
    public static string Find(string? given) =>
        Path.GetFullPath(
            given
                ?? DefaultFiles.FirstOrDefault(IsThere)
                ?? throw new ConfigurationException([
                    $"no configuration: neither {string.Join(" nor ", DefaultFiles)} exists; 'pgptunnel setup --domain "
                        + "YOUR.DOMAIN' writes one",
                ])
        );

    /// <summary>Also of one that may not be looked at, which is to be said.</summary>
    private static bool IsThere(string file)
    {
        try
        {
            return OwnFiles.IsThere(file);
        }
        catch (UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <exception cref="ConfigurationException">Names every mistake.</exception>
    public static GatewayConfiguration Read(string file)
    {
        var (root, mistakes) = (Parse(file), new List<string>());
        ApplyEnvironment(root);
        var configuration = Read(new ConfigurationNode(root, "", Path.GetDirectoryName(file)!, mistakes), file);
        return mistakes.Count == 0 ? configuration : throw new ConfigurationException(mistakes);
    }

    /// <summary>
    /// Where a configuration has its keys and its spool, whatever else is wrong with it on this machine, by the file alone.
    /// </summary>
    /// <exception cref="ConfigurationException">It does not say so.</exception>
    public static (string Keys, string Spool) ReadPlaces(string file)
    {
        var mistakes = new List<string>();
        var root = new ConfigurationNode(Parse(file), "", Path.GetDirectoryName(file)!, mistakes);
        var (keys, spool) = (KeySettings.ReadDirectory(root.Section("keys")), SpoolFile(root));
        return mistakes.Count == 0 ? (keys, spool) : throw new ConfigurationException(mistakes);
    }

    private static JsonObject Parse(string file)
    {
        try
        {
            var root =
                JsonNode.Parse(
                    File.ReadAllText(file),
                    null,
                    new JsonDocumentOptions
                    {
                        CommentHandling = JsonCommentHandling.Skip,
                        AllowTrailingCommas = true,
                        AllowDuplicateProperties = false,
                    }
                ) as JsonObject
                ?? throw new ConfigurationException([$"{file}: must be one object {{ … }}"]);
            _ = root.Count; // finds doubled keys now, not later
            return root;
        }
        catch (JsonException e)
        {
            var what = e.Message.Split(" Path:")[0].Split(" LineNumber:")[0];
            var where = e.LineNumber is { } line ? $"line {line + 1}, octet {e.BytePositionInLine + 1}: " : "";
            throw new ConfigurationException([$"{file}: {where}{what}"]);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ConfigurationException([$"{file}: {e.Message}{OwnFiles.WhyNot(file)}"]);
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            throw new ConfigurationException([$"{file}: {e.Message}"]);
        }
    }

    /// <summary><c>PGPTUNNEL__SECTION__KEY=value</c>: the value is JSON where it parses as such, else a string.</summary>
    private static void ApplyEnvironment(JsonObject root)
    {
        foreach (
            var (name, value) in Environment
                .GetEnvironmentVariables()
                .Cast<DictionaryEntry>()
                .Select(e => ((string)e.Key, (string?)e.Value ?? ""))
        )
        {
            if (!name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
                continue;
            var keys = name[Prefix.Length..].Split("__");
            var at = root;
            foreach (var key in keys[..^1])
            {
                var found = Existing(at, key);
                if (at[found] is not JsonObject next)
                    at[found] = next = [];
                at = next;
            }
            at[Existing(at, keys[^1])] = ParseValue(value);
        }
    }

    private static string Existing(JsonObject at, string key) =>
        at.Select(p => p.Key).FirstOrDefault(k => k.Equals(key, StringComparison.OrdinalIgnoreCase)) ?? key;

    private static JsonNode? ParseValue(string value)
    {
        try
        {
            return JsonNode.Parse(value);
        }
        catch (JsonException)
        {
            return JsonValue.Create(value);
        }
    }

    private static GatewayConfiguration Read(ConfigurationNode root, string file)
    {
        var domains = root.DomainList("domains") ?? [];
        if (domains.Count == 0)
            root.Mistake("domains", "must list at least one domain this gateway serves, such as [\"a.example\"]");
        var first = domains.FirstOrDefault() ?? "invalid.example";
        var gateway = root.Mailbox("gateway", PolicyRecord.DefaultMailbox(first), PolicyRecord.LongestLocalPart)
            .ToString();
        var listen = ListenSettings.Read(root, domains);
        var configuration = new GatewayConfiguration
        {
            File = file,
            Domains = domains,
            Gateway = gateway,
            Listen = listen,
            Deliver = DeliverSettings.Read(root, listen),
            Dns = DnsSettings.Read(root),
            Keys = KeySettings.Read(root),
            SpoolFile = SpoolFile(root),
            Policy = PolicySettings.Read(root),
            Limits = Limits.Read(root),
            Retry = RetryTimes.Read(root),
            Trace = TraceSettings.Read(root),
            Evidence = EvidenceSettings.Read(root),
            Receipts = ReceiptSettings.Read(root),
            Hostname = Hostname(root, gateway),
            Postmaster = root.Mailbox("postmaster", $"postmaster@{first}"),
        };
        foreach (var longDomain in domains.Where(d => d.Length > PolicyRecord.LongestDomain))
            root.Mistake(
                "domains",
                $"'{longDomain}' has more than {PolicyRecord.LongestDomain} octets, so no policy record can stand at its name"
            );
        if (configuration.GatewayDomain.Length > PolicyRecord.LongestGatewayDomain)
            root.Mistake(
                "gateway",
                $"its domain has more than {PolicyRecord.LongestGatewayDomain} octets, so no certificate can stand at its name"
            );
        if (domains.Contains(configuration.GatewayDomain))
            root.Mistake(
                "gateway",
                $"{configuration.GatewayDomain} is one of domains; the gateway's mailbox needs a mail domain of its "
                    + $"own, such as pgptunnel.{first}"
            );
        root.Close();
        return configuration;
    }

    private static string Hostname(ConfigurationNode root, string gateway)
    {
        var text = root.Text("hostname", GatewayAddress.DomainOf(gateway))!;
        if (!Domains.TryNormalise(text, out var name))
            root.Mistake("hostname", $"'{text}' is not a host name");
        return name;
    }

    private static string SpoolFile(ConfigurationNode root)
    {
        var spool = root.Text("spool", Sqlite + "spool.db")!;
        if (spool.StartsWith(Sqlite, StringComparison.Ordinal) && spool.Length > Sqlite.Length)
            return root.InFolder(spool[Sqlite.Length..]);
        root.Mistake("spool", "must be sqlite: and a file name");
        return "";
    }

    private const string Sqlite = "sqlite:";
}
