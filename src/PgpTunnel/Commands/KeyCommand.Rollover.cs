using System.CommandLine;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Commands;

/// <summary>Our keys through time: rotate, retire, revoke.</summary>
internal static partial class KeyCommand
{
    private static async Task<int> RotateAsync(ParseResult parse, CancellationToken cancel)
    {
        var configuration = parse.Configuration();
        var now = TimeProvider.System.GetUtcNow();
        await using var spool = GatewayAtRest.ExistingSpool(configuration);
        if (parse.GetValue(SubkeyOption))
            return await RotateSubkeyAsync(parse, configuration, spool, now, cancel);
        using var alone = Alone(configuration);
        var ring = KeyRing.Load(configuration);
        var (after, notYet) = KeyRollover.TakeStep(configuration, ring, parse.GetValue(AlgorithmOption), spool, now);
        if (after is null)
            throw new CommandException(Exit.Temporary, notYet!);
        var (step, next) = (after.Rollover?.Step ?? 0, after.Due);
        await NoteAsync(configuration, $"rotate, step {(step == 0 ? 4 : step)}", after.Published[0]);
        return parse.Report(
            new
            {
                step,
                @new = after.Rollover?.New,
                old = after.Rollover?.Old,
                published = after.Published,
                next = after.NextStep,
                nextDate = next is null ? null : InnerHeader.Time(next.Value),
            },
            $"""
            {Done(step)}
            Send SIGHUP to the gateway{(
                step > 0 ? " once the records that 'pgptunnel dns records' prints now are published" : ""
            )}.
            Next: {after.NextStep}{(
                next is null ? "" : $"; call 'pgptunnel key rotate' again from {InnerHeader.Time(next.Value)}"
            )}.
            """
        );
    }

    private static async Task<int> RotateSubkeyAsync(
        ParseResult parse,
        GatewayConfiguration configuration,
        Spool? spool,
        DateTimeOffset now,
        CancellationToken cancel
    )
    {
        await using var session = GatewayAtRest.Open(configuration);
        var peer = await session.Peers.FindAsync(configuration.Domains[0], fresh: true, cancel);
        var published = peer
            .Keys.FirstOrDefault(k => k.Fingerprint == session.Settings.Keys.Active.Fingerprint)
            ?.EncryptionFingerprint;
        var done = SubkeyRotation.TakeStep(
            configuration,
            spool,
            published,
            now,
            byHand: true,
            ClockWatch.SureAfter(spool?.LastUsed, now)
        );
        var next = SubkeyRotation.Next(KeyRing.Load(configuration), configuration.Keys.EncryptionLifetime);
        if (done is null)
            throw new CommandException(
                Exit.Temporary,
                $"not yet: {next?.Step}{(next?.Due is { } due ? $", from {InnerHeader.Time(due)}" : "")}"
            );
        await NoteAsync(configuration, "rotate --subkey", session.Settings.Keys.Active.Fingerprint);
        return parse.Report(
            new
            {
                done,
                next = next?.Step,
                nextDate = next?.Due is { } date ? InnerHeader.Time(date) : null,
            },
            $"""
            {done}.
            A running gateway takes the change over by itself. Next: {next?.Step ?? "nothing is due"}{(
                next?.Due is { } when ? $", from {InnerHeader.Time(when)}" : ""
            )}.
            """
        );
    }

    /// <summary>Notes in the journal what has been done to a key; before a gateway has first run there is none.</summary>
    private static async Task NoteAsync(
        GatewayConfiguration configuration,
        string what,
        string fingerprint,
        string reason = ""
    )
    {
        try
        {
            await using var spool = GatewayAtRest.ExistingSpool(configuration);
            if (spool is not null)
                await new Acts(spool, TimeProvider.System, Acts.Who, reason).KeyAsync(what, fingerprint);
        }
        catch (SpoolException e)
        {
            Console.Error.WriteLine($"pgptunnel: done, but not in the journal: {e.Message}");
        }
    }

    /// <summary>No other command changes the keys meanwhile.</summary>
    private static IDisposable Alone(GatewayConfiguration configuration)
    {
        try
        {
            return KeyRing.Lock(configuration);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(
                Exit.CannotCreate,
                $"the keys cannot be changed: {e.Message}{OwnFiles.WhyNot(configuration.Keys.Directory)}"
            );
        }
    }

    private static string Done(int step) =>
        step switch
        {
            1 => "Made a new key, certified by the old one. Publish it second.",
            2 => "The new key comes first, and signs.",
            3 => "The old key is out of the records; it still opens what is on its way.",
            _ => "The old secret is destroyed. The rollover is complete.",
        };

    private static GatewayKey Find(ParseResult parse, KeyRing ring)
    {
        var wanted = parse.GetRequiredValue(RequiredFingerprint).Replace(" ", "").ToLowerInvariant();
        var found = ring.Keys.Where(k => k.Fingerprint.StartsWith(wanted, StringComparison.Ordinal)).ToList();
        return found.Count == 1
            ? found[0]
            : throw new CommandException(
                Exit.Data,
                found.Count == 0 ? $"no key {wanted}" : $"more than one key begins with {wanted}"
            );
    }

    private static async Task<int> RetireAsync(ParseResult parse)
    {
        var (configuration, reason) = (parse.Configuration(), parse.ReasonGiven());
        using var alone = Alone(configuration);
        var ring = KeyRing.Load(configuration);
        var key = Find(parse, ring);
        RequireDigits(parse, key, RetireDigits);
        if (ring.Plan.Revoked.ContainsKey(key.Fingerprint))
            throw new CommandException(
                Exit.Refused,
                $"{key.Fingerprint} is revoked, and out of the records but for that"
            );
        if (!ring.Published.Contains(key))
            throw new CommandException(Exit.Refused, $"{key.Fingerprint} is out of the records already");
        if (ring.Plan.Rollover is not null)
            throw new CommandException(
                Exit.Refused,
                "a rollover is under way, which retires the old key in its time ('key list')"
            );
        Withdraw(ring, key).Save(configuration.Keys.Directory);
        await NoteAsync(configuration, "retire", key.Fingerprint, reason);
        return parse.Report(
            new { retired = key.Fingerprint },
            $"{key.Fingerprint} is out of the records that 'pgptunnel dns records' prints; it still opens what was "
                + "sealed for it. Publish them, then send SIGHUP to the gateway."
        );
    }

    private static async Task<int> RevokeAsync(ParseResult parse)
    {
        var (configuration, reason) = (parse.Configuration(), parse.ReasonGiven());
        using var alone = Alone(configuration);
        var ring = KeyRing.Load(configuration);
        var key = Find(parse, ring);
        RequireDigits(parse, key, RevokeDigits);
        var left = Withdraw(ring, key);
        parse.Confirm($"{key.Fingerprint} will be revoked and distrusted for ever; there is no way back.");
        var plan = left with
        {
            Revoked = new Dictionary<string, DateTimeOffset>(left.Revoked)
            {
                [key.Fingerprint] = TimeProvider.System.GetUtcNow(),
            },
            Rollover = Concerns(ring, key) ? null : left.Rollover,
        };
        plan.Save(configuration.Keys.Directory);
        await NoteAsync(configuration, "revoke", key.Fingerprint, reason);
        return parse.Report(
            new { revoked = key.Fingerprint },
            $"{key.Fingerprint} is revoked and distrusted. Publish what 'pgptunnel dns records' prints now, at once, "
                + $"then send SIGHUP to the gateway. Tell partners who had verified it to verify {plan.Published[0]}."
        );
    }

    private const int RetireDigits = 8,
        RevokeDigits = 16; // before what cannot be undone

    private static void RequireDigits(ParseResult parse, GatewayKey key, int digits)
    {
        if (parse.GetRequiredValue(RequiredFingerprint).Count(char.IsAsciiHexDigit) < digits)
            throw new CommandException(
                Exit.Usage,
                $"give at least {digits} digits of the fingerprint, such as {key.Fingerprint[..digits]}; nothing was done"
            );
    }

    private static KeyPlan Withdraw(KeyRing ring, GatewayKey key)
    {
        var left = ring.Published.Select(k => k.Fingerprint).Where(f => f != key.Fingerprint).ToList();
        return left.Count > 0
            ? ring.Plan with
            {
                Published = left,
            }
            : throw new CommandException(
                Exit.Refused,
                $"{key.Fingerprint} is the only key published; 'pgptunnel key generate' makes another first"
            );
    }
}
