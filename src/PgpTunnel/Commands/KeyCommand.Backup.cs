using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary>Keys out to a safe place, and back.</summary>
internal static partial class KeyCommand
{
    private static async Task<int> ImportAsync(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var file = parse.GetRequiredValue(FileArgument);
        var now = TimeProvider.System.GetUtcNow();
        var (keys, plan) = Read(configuration, file, now);
        if (keys.FirstOrDefault(k => !k.IsFor(configuration.Gateway)) is { } other)
            throw new CommandException(
                Exit.Data,
                $"{file}: the key {other.Fingerprint} is for {other.UserId}, not for {configuration.Gateway}"
            );
        var missing = keys.Where(k => !KeyRing.Has(configuration.Keys.Directory, k)).ToList();
        if (missing.Count == 0)
            throw new CommandException(
                Exit.CannotCreate,
                $"{string.Join(", ", keys.Select(k => k.Fingerprint))}: there already; nothing was written"
            );
        WriteAll(configuration, missing, plan, now);
        var imported = missing.Select(k => k.Fingerprint).ToList();
        await NoteAsync(configuration, "import", string.Join(", ", imported));
        return parse.Report(new { imported }, $"imported {string.Join(", ", imported)}");
    }

    private static (IReadOnlyList<GatewayKey>, KeyPlan?) Read(
        GatewayConfiguration configuration,
        string file,
        DateTimeOffset now
    )
    {
        try
        {
            var octets = File.ReadAllBytes(file);
            var keys = GatewayKey.ReadBackup(octets, KeyRing.Passphrase(configuration), now);
            return (keys, KeyPlan.OfBackup(System.Text.Encoding.Latin1.GetString(octets)));
        }
        catch (Exception e) when (e is OpenPgpException or System.Text.Json.JsonException)
        {
            throw new CommandException(Exit.Data, $"{file}: {e.Message}");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CommandException(Exit.Unavailable, $"{file}: {e.Message}{OwnFiles.WhyNot(file)}");
        }
    }

    /// <summary>All of them, or none; and what the backup knew of their order, and of keys that were revoked.</summary>
    private static void WriteAll(
        GatewayConfiguration configuration,
        IReadOnlyList<GatewayKey> keys,
        KeyPlan? plan,
        DateTimeOffset now
    )
    {
        var (folder, written) = (configuration.Keys.Directory, new List<GatewayKey>());
        using var alone = Alone(configuration);
        // The plan first: a gateway that looks in between must not sign with a key that was revoked.
        if (plan is not null)
            KeyPlan.Load(folder).With(plan, KeyRing.Names(folder)).Save(folder);
        try
        {
            foreach (var key in keys)
            {
                Write(configuration, key, now);
                written.Add(key);
            }
        }
        catch
        {
            written.ForEach(k => KeyRing.Remove(folder, k));
            throw;
        }
    }

    private static void Write(GatewayConfiguration configuration, GatewayKey key, DateTimeOffset now)
    {
        try
        {
            KeyRing.Write(configuration.Keys.Directory, key, KeyRing.Passphrase(configuration), now);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write the key: {e.Message}");
        }
    }

    private static async Task<int> BackupAsync(ParseResult parse)
    {
        var configuration = parse.Configuration();
        var (ring, passphrase, file) = (
            KeyRing.Load(configuration),
            KeyRing.Passphrase(configuration),
            parse.GetRequiredValue(FileArgument)
        );
        try
        {
            OwnFiles.Write(file, [.. ring.Keys.SelectMany(k => k.ExportSecret(passphrase)), .. ring.Plan.ForBackup()]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(Exit.CannotCreate, $"cannot write {file}: {e.Message}");
        }
        await NoteAsync(configuration, "backup", string.Join(", ", ring.Keys.Select(k => k.Fingerprint)));
        await using (var spool = GatewayAtRest.ExistingSpool(configuration))
            await (spool?.BackedUpAsync(ring.Keys) ?? Task.CompletedTask);
        return parse.Report(
            new { file, keys = ring.Keys.Select(k => k.Fingerprint) },
            $"{ring.Keys.Count} key(s) written to {file}{(passphrase is null ? "; they are not protected by a passphrase" : "")}"
        );
    }
}
