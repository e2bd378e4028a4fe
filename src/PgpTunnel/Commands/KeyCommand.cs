using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary><c>key</c>: our own keys.</summary>
internal static partial class KeyCommand
{
    public static readonly Option<GatewayAlgorithm> AlgorithmOption = new("--algorithm")
    {
        Description = "ed25519, p256 or rsa3072.",
        CustomParser = result =>
        {
            if (
                Enum.TryParse<GatewayAlgorithm>(result.Tokens[0].Value, ignoreCase: true, out var algorithm)
                && !int.TryParse(result.Tokens[0].Value, out _)
            )
                return algorithm;
            result.AddError($"--algorithm: '{result.Tokens[0].Value}' is none of ed25519, p256, rsa3072");
            return default;
        },
        HelpName = "ALGORITHM",
        DefaultValueFactory = _ => GatewayAlgorithm.Ed25519,
    };

    private static readonly Option<bool> ArmorOption = new("--armor")
    {
        Description = "ASCII armor instead of binary.",
    };
    private static readonly Option<bool> SubkeyOption = new("--subkey")
    {
        Description = "Only the encryption subkey: a new one now, or the next step of that.",
    };
    private static readonly Argument<string> FileArgument = new("FILE");
    private static readonly Argument<string> RequiredFingerprint = new("FPR");
    private static readonly Argument<string?> FingerprintArgument = new("FPR")
    {
        DefaultValueFactory = _ => null,
        Description = "Which key (default: the active one).",
    };

    public static Command Create() =>
        Cli.Group(
            "key",
            "Our own keys.",
            Cli.Command(
                "list",
                "Lists the keys, which one signs, and what comes next.",
                "pgptunnel key list --json",
                (parse, _) => Task.FromResult(List(parse))
            ),
            Cli.Command(
                "rotate",
                "Changes to a new key, step by step over a month, without a mail delayed: each call takes the next "
                    + "step when it is due, and says what to publish and when to call again.",
                "pgptunnel key rotate",
                RotateAsync,
                AlgorithmOption,
                SubkeyOption
            ),
            Cli.Command(
                "retire",
                "Takes a key out of the records; it still opens what was sealed for it.",
                "pgptunnel key retire 1c45e9c7",
                (parse, _) => RetireAsync(parse),
                RequiredFingerprint,
                Cli.Reason
            ),
            Cli.Command(
                "revoke",
                "Ends a key that is lost or stolen: revoked, distrusted (xfp), out of the records. There is no way back.",
                "pgptunnel key revoke 1c45e9c78416c6f3b8460a8863c925bdb4a3730b",
                (parse, _) => RevokeAsync(parse),
                RequiredFingerprint,
                Cli.Yes,
                Cli.Reason
            ),
            Cli.Command(
                "generate",
                "Makes a key in keys.directory, published after those that are there.",
                "pgptunnel key generate --algorithm p256",
                (parse, _) => GenerateAsync(parse),
                AlgorithmOption
            ),
            Cli.Command(
                "export",
                "Writes the certificate (public) to stdout.",
                "pgptunnel key export --armor > gateway.asc",
                (parse, _) => Task.FromResult(Export(parse)),
                FingerprintArgument,
                ArmorOption
            ),
            Cli.Command(
                "import",
                "Takes a secret key (armored, as 'backup' writes or gpg exports without passphrase).",
                "pgptunnel key import backup.asc",
                (parse, _) => ImportAsync(parse),
                FileArgument
            ),
            Cli.Command(
                "backup",
                "Writes all secret keys to a new file, mode 0600, protected by keys.passphraseFile if that is set.",
                "pgptunnel key backup /mnt/safe/pgptunnel-keys.asc",
                (parse, _) => BackupAsync(parse),
                FileArgument
            )
        );

    private static int List(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var keys = KeyView.All(configuration, KeyRing.Load(configuration), TimeProvider.System.GetUtcNow());
        return parse.Report(
            new { keys },
            Cli.Table([
                ["FINGERPRINT", "ALGORITHM", "CREATED", "USER ID", "STATE"],
                .. keys.Select(k => new[] { k.Fingerprint, k.Algorithm, k.Created, k.UserId, k.InWords() }),
            ])
        );
    }

    private static bool Concerns(KeyRing ring, GatewayKey key) =>
        ring.Plan.Rollover is { } r && (r.Old == key.Fingerprint || r.New == key.Fingerprint);

    private static async Task<int> GenerateAsync(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var now = TimeProvider.System.GetUtcNow();
        var key = GatewayKey.Generate(parse.GetValue(AlgorithmOption), configuration.Gateway, now);
        using var alone = Alone(configuration);
        var plan = KeyPlan.Load(configuration.Keys.Directory);
        if (plan.Rollover is not null)
            throw new CommandException(Exit.CannotCreate, "a rollover is under way ('key list'); finish it first");
        Write(configuration, key, now);
        if (plan.Published.Count > 0)
            (plan with { Published = [.. plan.Published, key.Fingerprint] }).Save(configuration.Keys.Directory);
        await NoteAsync(configuration, "generate", key.Fingerprint);
        return parse.Report(
            new { fingerprint = key.Fingerprint, algorithm = key.Algorithm },
            $"generated {key.Fingerprint} ({key.Algorithm}); publish what 'pgptunnel dns records' prints now, then "
                + "send SIGHUP to the gateway"
        );
    }

    private static int Export(ParseResult parse)
    {
        var ring = KeyRing.Load(parse.Configuration());
        var key = parse.GetValue(FingerprintArgument) is { } wanted
            ? ring.Keys.FirstOrDefault(k =>
                k.Fingerprint.StartsWith(wanted.ToLowerInvariant(), StringComparison.Ordinal)
            ) ?? throw new CommandException(Exit.Data, $"no key {wanted}")
            : ring.Active;
        var certificate = key.ExportCertificate();
        if (parse.GetValue(Cli.Json))
            return parse.Report(
                new { fingerprint = key.Fingerprint, certificate = Convert.ToBase64String(certificate) },
                ""
            );
        using var output = Console.OpenStandardOutput();
        output.Write(parse.GetValue(ArmorOption) ? Armor.Encode(Armor.PublicKeyBlock, certificate) : certificate);
        return Exit.Ok;
    }
}
