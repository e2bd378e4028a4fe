using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>key</c>: our own keys.</summary>
internal static class KeyCommand
{
    public static readonly Option<GatewayAlgorithm> AlgorithmOption = new("--algorithm")
    {
        Description = "ed25519 (default), p256 or rsa3072.",
        HelpName = "ALGORITHM",
        DefaultValueFactory = _ => GatewayAlgorithm.Ed25519,
    };

    private static readonly Option<bool> ArmorOption = new("--armor") { Description = "ASCII armor instead of binary." };
    private static readonly Argument<string> FileArgument = new("FILE");
    private static readonly Argument<string?> FingerprintArgument = new("FPR") { DefaultValueFactory = _ => null, Description = "Which key (default: the active one)." };

    public static Command Create() => Cli.Group("key", "Our own keys.",
        Cli.Command("list", "Lists the keys, which one signs, and what comes next.", "pgptunnel key list --json", (parse, _) => Task.FromResult(List(parse))),
        Cli.Command("generate", "Makes a key in keys.directory. Next to another key it opens mail, and signs once the older one is gone.", "pgptunnel key generate --algorithm p256", (parse, _) => Task.FromResult(Generate(parse)), AlgorithmOption),
        Cli.Command("export", "Writes the certificate (public) to stdout.", "pgptunnel key export --armor > gateway.asc", (parse, _) => Task.FromResult(Export(parse)), FingerprintArgument, ArmorOption),
        Cli.Command("import", "Takes a secret key (armored, as 'backup' writes or gpg exports without passphrase).", "pgptunnel key import backup.asc", (parse, _) => Task.FromResult(Import(parse)), FileArgument),
        Cli.Command("backup", "Writes all secret keys to a new file, mode 0600, protected by keys.passphraseFile if that is set.", "pgptunnel key backup /mnt/safe/pgptunnel-keys.asc", (parse, _) => Task.FromResult(Backup(parse)), FileArgument));

    private static int List(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var ring = KeyRing.Load(configuration);
        var rows = ring.Keys.Select(k => new
        {
            fingerprint = k.Fingerprint,
            algorithm = k.Algorithm,
            created = InnerHeader.Time(k.Created),
            userId = k.UserId,
            active = ReferenceEquals(k, ring.Active),
            next = ReferenceEquals(k, ring.Active) ? "in use; it does not expire, nothing is due" : "opens mail sealed for it; signs when the older key files are gone",
            nextDate = (string?)null,
        }).ToList();
        return parse.Report(new { keys = rows }, Cli.Table([["FINGERPRINT", "ALGORITHM", "CREATED", "USER ID", "STATE"],
            .. rows.Select(r => new[] { r.fingerprint, r.algorithm, r.created, r.userId, r.active ? $"active: {r.next}" : r.next })]));
    }

    private static int Generate(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var now = TimeProvider.System.GetUtcNow();
        var key = GatewayKey.Generate(parse.GetValue(AlgorithmOption), configuration.Gateway, now);
        Write(configuration, key, now);
        return parse.Report(new { fingerprint = key.Fingerprint, algorithm = key.Algorithm }, $"generated {key.Fingerprint} ({key.Algorithm}); publish what 'pgptunnel dns records' prints now, then send SIGHUP to the gateway");
    }

    private static int Export(ParseResult parse)
    {
        var ring = KeyRing.Load(parse.Configuration());
        var key = parse.GetValue(FingerprintArgument) is { } wanted
            ? ring.Keys.FirstOrDefault(k => k.Fingerprint.StartsWith(wanted.ToLowerInvariant(), StringComparison.Ordinal)) ?? throw new CommandException(Exit.Data, $"no key {wanted}")
            : ring.Active;
        var certificate = key.ExportCertificate();
        if (parse.GetValue(Cli.Json))
            return parse.Report(new { fingerprint = key.Fingerprint, certificate = Convert.ToBase64String(certificate) }, "");
        using var output = Console.OpenStandardOutput();
        output.Write(parse.GetValue(ArmorOption) ? Armor.Encode(Armor.PublicKeyBlock, certificate) : certificate);
        return Exit.Ok;
    }

    private static int Import(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var file = parse.GetRequiredValue(FileArgument);
        var now = TimeProvider.System.GetUtcNow();
        var imported = new List<string>();
        try
        {
            var passphrase = KeyRing.Passphrase(configuration);
            foreach (var key in GatewayKey.ReadBackup(File.ReadAllBytes(file), passphrase, now))
            {
                if (!key.UserId.EndsWith(configuration.Gateway, StringComparison.Ordinal) && !key.UserId.EndsWith($"<{configuration.Gateway}>", StringComparison.Ordinal))
                    throw new CommandException(Exit.Data, $"{file}: the key {key.Fingerprint} is for {key.UserId}, not for {configuration.Gateway}");
                Write(configuration, key, now);
                imported.Add(key.Fingerprint);
            }
        }
        catch (OpenPgpException e)
        {
            throw new CommandException(Exit.Data, $"{file}: {e.Message}");
        }
        return parse.Report(new { imported }, $"imported {string.Join(", ", imported)}");
    }

    private static void Write(GatewayConfiguration configuration, GatewayKey key, DateTimeOffset now)
    {
        try
        {
            KeyRing.Write(configuration.KeysDirectory, key, KeyRing.Passphrase(configuration), now);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write the key: {e.Message}");
        }
    }

    private static int Backup(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var (ring, passphrase, file) = (KeyRing.Load(configuration), KeyRing.Passphrase(configuration), parse.GetRequiredValue(FileArgument));
        try
        {
            KeyRing.WriteOwnerOnly(file, ring.Keys.SelectMany(k => k.ExportSecret(passphrase)).ToArray());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write {file}: {e.Message}");
        }
        return parse.Report(new { file, keys = ring.Keys.Select(k => k.Fingerprint) }, $"{ring.Keys.Count} key(s) written to {file}{(passphrase is null ? "; they are not protected by a passphrase" : "")}");
    }
}
