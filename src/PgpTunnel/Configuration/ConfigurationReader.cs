using System.Collections;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using PgpTunnel.OpenPgp;
using PgpTunnel.Smtp;

namespace PgpTunnel;

/// <summary>Reads <c>pgptunnel.json</c> and the environment over it; every mistake is named, not only the first.</summary>
internal static partial class ConfigurationReader
{
    private const string Prefix = "PGPTUNNEL__";
    private static readonly string[] DefaultFiles = ["pgptunnel.json", "/etc/pgptunnel/pgptunnel.json"];

    /// <summary>The file given, or the first default that exists.</summary>
    /// <exception cref="ConfigurationException">There is none.</exception>
    public static string Find(string? given) => Path.GetFullPath(given ?? DefaultFiles.FirstOrDefault(File.Exists)
        ?? throw new ConfigurationException([$"no configuration: neither {string.Join(" nor ", DefaultFiles)} exists; 'pgptunnel init --domain YOUR.DOMAIN' writes one"]));

    /// <exception cref="ConfigurationException">Names every mistake.</exception>
    public static GatewayConfiguration Read(string file)
    {
        JsonObject root;
        try
        {
            root = JsonNode.Parse(File.ReadAllText(file), null, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true }) as JsonObject
                ?? throw new ConfigurationException([$"{file}: must be one object {{ … }}"]);
            _ = root.Count; // finds doubled keys now, not later
        }
        catch (JsonException e)
        {
            var what = e.Message.Split(" Path:")[0].Split(" LineNumber:")[0];
            throw new ConfigurationException([$"{file}: line {e.LineNumber + 1}, octet {e.BytePositionInLine + 1}: {what}"]);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ConfigurationException([$"{file}: {e.Message}{OwnFiles.Whose(file)}"]);
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            throw new ConfigurationException([$"{file}: {e.Message}"]);
        }
        var mistakes = new List<string>();
        ApplyEnvironment(root);
        var node = new ConfigurationNode(root, "", mistakes);
        var configuration = Read(node, file, mistakes);
        return mistakes.Count == 0 ? configuration : throw new ConfigurationException(mistakes);
    }

    /// <summary><c>PGPTUNNEL__SECTION__KEY=value</c>: the value is JSON where it parses as such, else a string.</summary>
    private static void ApplyEnvironment(JsonObject root)
    {
        foreach (var (name, value) in Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => ((string)e.Key, (string?)e.Value ?? "")))
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

    private static string Existing(JsonObject at, string key) => at.Select(p => p.Key).FirstOrDefault(k => k.Equals(key, StringComparison.OrdinalIgnoreCase)) ?? key;

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

    private static GatewayConfiguration Read(ConfigurationNode root, string file, List<string> mistakes)
    {
        var directory = Path.GetDirectoryName(file)!;
        string? InDirectory(string? path) => path is null ? null : Path.GetFullPath(path, directory);
        var domains = DomainList(root, "domains") ?? [];
        if (domains.Count == 0)
            root.Mistake("domains", "must list at least one domain this gateway serves, such as [\"a.example\"]");
        var first = domains.FirstOrDefault() ?? "invalid.example";
        var gateway = Mailbox(root, "gateway", $"{PolicyRecord.DefaultLocalPart}@{PolicyRecord.DefaultLocalPart}.{first}");
        var (outbound, inbound) = ReadListeners(root, domains, InDirectory);
        var deliver = root.Section("deliver");
        var local = ReadEndpoint(deliver, "local", InDirectory) ?? new Endpoint("127.0.0.1", 10026, TlsMode.Opportunistic, null, null, []);
        var relay = ReadEndpoint(deliver, "relay", InDirectory);
        deliver.Close();
        var dns = root.Section("dns");
        var resolvers = dns.TextList("resolvers")?.Select(r => dns.Address("resolvers", r, 53)).OfType<IPEndPoint>().ToList();
        if (resolvers is { Count: 0 })
            dns.Mistake("resolvers", "must list at least one resolver, or be null for the system's");
        var anchors = InDirectory(dns.Text("trustAnchors", null));
        dns.Close();
        var keys = root.Section("keys");
        var (keysDirectory, passphrase) = (InDirectory(keys.Text("directory", "keys"))!, InDirectory(keys.Text("passphraseFile", null)));
        TimeSpan? encryptionLifetime = keys.Text("encryptionLifetime", null) is null ? null : keys.Time("encryptionLifetime", TimeSpan.FromDays(365));
        if (encryptionLifetime < ParcelLife.Longest * 2)
            keys.Mistake("encryptionLifetime", $"must be at least {ParcelLife.Longest * 2:c}: the old subkey must open what is on its way");
        keys.Close();
        var spool = root.Text("spool", "sqlite:spool.db")!;
        if (!spool.StartsWith("sqlite:", StringComparison.Ordinal) || spool.Length == 7)
            root.Mistake("spool", "must be sqlite: and a file name");
        var (defaultPolicy, partners) = ReadPolicy(root, InDirectory);
        var limits = root.Section("limits");
        var (size, memory) = (limits.Number("messageSize", 52428800, 65536, 1L << 30), limits.Number("memory", 268435456, 1 << 20, 1L << 40));
        var (connections, perAddress) = (limits.Number("connections", 200, 1, 100_000), limits.Number("connectionsPerAddress", 20, 1, 100_000));
        // Each listener has half, and the inbound one must take a sealed message of the largest size (and what was stuffed into it).
        var needed = 3 * size + 256 * 1024;
        if (memory < needed)
            limits.Mistake("memory", $"must be at least {needed} (three times messageSize and 256 KiB), or a message of that size could never be taken");
        var freeDisk = limits.Number("freeDisk", 64 * 1024 * 1024, 0, 1L << 50);
        var queueSize = limits.Number("queue", 0, 0, 1L << 50);
        limits.Close();
        var retry = root.Section("retry");
        var times = new RetryTimes(retry.Time("first", TimeSpan.FromMinutes(1)), retry.Time("longest", TimeSpan.FromHours(1)), retry.Time("giveUp", TimeSpan.FromDays(5)), retry.Time("delayNotice", TimeSpan.FromHours(4)));
        if (times.First > times.Longest)
            retry.Mistake("first", "is longer than retry.longest");
        retry.Close();
        var trace = root.Section("trace");
        var (token, results) = (trace.Text("token", null), trace.Flag("authenticationResults", false));
        if (token is not null && !(token.Length is > 0 and <= 128 && token.All(c => c is > ' ' and <= '~' and not ';')))
            trace.Mistake("token", "must be printable ASCII without blanks and semicolons");
        trace.Close();
        var configuration = new GatewayConfiguration
        {
            File = file,
            Domains = domains,
            Gateway = gateway,
            Hostname = Hostname(root, gateway),
            Postmaster = Mailbox(root, "postmaster", $"postmaster@{first}"),
            Outbound = outbound,
            Inbound = inbound,
            Local = local,
            Relay = relay,
            Resolvers = resolvers,
            TrustAnchorsFile = anchors,
            KeysDirectory = keysDirectory,
            PassphraseFile = passphrase,
            EncryptionLifetime = encryptionLifetime,
            SpoolFile = spool.Length > 7 ? InDirectory(spool[7..])! : "",
            DefaultPolicy = defaultPolicy,
            Partners = partners,
            MessageSize = size,
            Memory = memory,
            Connections = (int)connections,
            FreeDisk = freeDisk,
            QueueSize = queueSize == 0 ? null : queueSize,
            ConnectionsPerAddress = (int)perAddress,
            Retry = times,
            TraceToken = token,
            AuthenticationResults = results,
        };
        foreach (var longDomain in domains.Where(d => d.Length > PolicyRecord.LongestDomain))
            root.Mistake("domains", $"'{longDomain}' has more than {PolicyRecord.LongestDomain} octets, so no policy record can stand at its name");
        if (configuration.GatewayDomain.Length > PolicyRecord.LongestGatewayDomain)
            root.Mistake("gateway", $"its domain has more than {PolicyRecord.LongestGatewayDomain} octets, so no certificate can stand at its name");
        if (domains.Contains(configuration.GatewayDomain))
            root.Mistake("gateway", $"{configuration.GatewayDomain} is one of domains; the gateway's mailbox needs a mail domain of its own, such as pgptunnel.{first}");
        if (outbound is null && inbound is null)
            root.Mistake("listen", "outbound and inbound are both null, so there is nothing to do");
        if (outbound is not null && outbound.Address.Port != 0 && outbound.Address.Equals(inbound?.Address))
            root.Mistake("listen", "outbound and inbound have the same address");
        root.Close();
        return configuration;
    }

    private static List<string>? DomainList(ConfigurationNode node, string key)
    {
        var list = new List<string>();
        var given = node.TextList(key);
        foreach (var text in given ?? [])
        {
            if (Domains.TryNormalise(text, out var domain) && !list.Contains(domain))
                list.Add(domain);
            else
                node.Mistake(key, $"'{text}' is not a domain, or stands twice");
        }
        return given is null ? null : list;
    }

    private static string Mailbox(ConfigurationNode node, string key, string fallback)
    {
        var text = node.Text(key, fallback)!;
        if (Smtp.Mailbox.TryParse(text, false, out var mailbox) && Domains.TryNormalise(mailbox.Domain, out var domain) && (key != "gateway" || mailbox.Local.Length <= 31))
            return $"{mailbox.Local}@{domain}";
        node.Mistake(key, $"'{text}' is not a mailbox such as {fallback}{(key == "gateway" ? " (local part at most 31 octets)" : "")}");
        return fallback;
    }

    private static string Hostname(ConfigurationNode root, string gateway)
    {
        var text = root.Text("hostname", gateway[(gateway.LastIndexOf('@') + 1)..])!;
        if (!Domains.TryNormalise(text, out var name))
            root.Mistake("hostname", $"'{text}' is not a host name");
        return name;
    }

    private static readonly (string, LocalPolicy)[] Policies =
        [("never", LocalPolicy.Never), ("prefer", LocalPolicy.Prefer), ("require", LocalPolicy.Require), ("require-verified", LocalPolicy.RequireVerified)];

    private static (LocalPolicy, Dictionary<string, Partner>) ReadPolicy(ConfigurationNode root, Func<string?, string?> inDirectory)
    {
        var policy = root.Section("policy");
        var fallback = policy.Choice("default", LocalPolicy.Prefer, Policies);
        var partners = new Dictionary<string, Partner>();
        var section = policy.Section("partners");
        foreach (var name in section.OwnKeys().ToList())
        {
            if (!Domains.TryNormalise(name, out var domain))
                section.Mistake(name, "is not a domain (there are no wildcards; policy.default is for all others)");
            else if (partners.ContainsKey(domain))
                section.Mistake(name, "stands twice");
            if (section.OptionalSection(name) is not { } node)
                continue;
            LocalPolicy? own = node.Text("policy", null) is null ? null : node.Choice("policy", LocalPolicy.Prefer, Policies);
            var (text, _) = node.TextOrSection("fingerprint");
            var fingerprints = text?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(f => f.Replace(" ", "").ToLowerInvariant()).ToList() ?? [];
            foreach (var bad in fingerprints.Where(f => !PolicyRecord.IsFingerprint(f)))
                node.Mistake("fingerprint", $"'{bad}' is not a fingerprint of 40 or 64 hex digits");
            var gateway = node.Text("gateway", null) is null ? null : Mailbox(node, "gateway", $"{PolicyRecord.DefaultLocalPart}@{PolicyRecord.DefaultLocalPart}.{name}");
            var (certificateFile, echo) = (inDirectory(node.Text("certificate", null)), node.Flag("echo", false));
            var certificate = ReadCertificate(node, certificateFile);
            if (certificate is not null && fingerprints.Count > 0 && !fingerprints.Contains(certificate.Fingerprint))
                node.Mistake("certificate", $"is {certificate.Fingerprint}, which is not the fingerprint given");
            if (certificate is null && gateway is not null)
                node.Mistake("gateway", "names the mailbox of a certificate file; without certificate the partner's DNS says where its gateway is");
            if (certificate?.Judge(gateway ?? $"{PolicyRecord.DefaultLocalPart}@{PolicyRecord.DefaultLocalPart}.{domain}", TimeProvider.System.GetUtcNow()) is { Key: null } judgement)
                node.Mistake("certificate", judgement.Refusal!);
            partners[domain] = new Partner(own, fingerprints, certificate, certificateFile, gateway, echo);
            node.Close();
        }
        section.Close();
        policy.Close();
        return (fallback, partners);
    }

    private static Certificate? ReadCertificate(ConfigurationNode node, string? file)
    {
        if (file is null)
            return null;
        try
        {
            var octets = File.ReadAllBytes(file);
            return Certificate.Read(Armor.IsIn(Armor.PublicKeyBlock, octets) ? Armor.Decode(Armor.PublicKeyBlock, octets) : octets);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OpenPgpException)
        {
            node.Mistake("certificate", $"{file}: {e.Message}");
            return null;
        }
    }
}
