using System.Security.Cryptography;
using System.Text;
using PgpTunnel.Evidence;

namespace PgpTunnel;

/// <summary>
/// Finds that a peer tells two stories: two heads of one log, both signed, that cannot both be. Both are kept for ever, since together
/// they are the proof.
/// </summary>
internal sealed class RewrittenLogs(Site site, Witness witness, ReceiptAlarms alarms)
{
    /// <summary>Compares a head with what is held of the same log.</summary>
    /// <returns>True = it is another history than the one that is held; that is on record then, and the alarm raised.</returns>
    public async Task<bool> IsContradictedAsync(WitnessedHead head)
    {
        var origin = head.Head.Origin;
        foreach (var known in site.Spool.Witnessed(origin, head.Head.Size))
            if (!known.Head.Root.AsSpan().SequenceEqual(head.Head.Root))
                return await ContradictedAsync(known, head);
        if (
            site.Spool.Mirrors(origin.Own, origin.Peer).FirstOrDefault(m => m.Origin == origin) is not { } mirror
            || head.Head.Size < mirror.Start.Size
            || head.Head.Size > mirror.Edge.Size
        )
            return false;
        if (site.Spool.RootAt(mirror, head.Head.Size).AsSpan().SequenceEqual(head.Head.Root))
            return false;
        return await ContradictedAsync(Latest(mirror), head);
    }

    /// <summary>The head that the last receipt brought.</summary>
    private WitnessedHead? Latest(StoredLog mirror) =>
        site.Spool.Witnessed(mirror.Origin, mirror.Edge.Size) is [.., var last] ? last : null;

    /// <summary>Of a head that is known to be another history than the one that is held.</summary>
    public Task ContradictsAsync(StoredLog mirror, WitnessedHead head) => ContradictedAsync(Latest(mirror), head);

    private async Task<bool> ContradictedAsync(WitnessedHead? known, WitnessedHead head)
    {
        var (peer, own) = (head.Head.Origin.Own, head.Head.Origin.Peer);
        var kept = new List<string>();
        foreach (var one in new[] { known, head }.OfType<WitnessedHead>())
            kept.Add(await KeepAsync(one));
        var why = $"{peer} has signed two histories of its log {head.Head.Origin}";
        await site.Spool.CommitAsync(new() { Entries = witness.Alarm(own, peer, "partner-rewrote-log", why, kept) });
        site.Log.Write(
            "partner-rewrote-log",
            ("alarm", true),
            ("from", peer),
            ("log", head.Head.Origin.ToString()),
            ("size", head.Head.Size),
            ("kept", string.Join(' ', kept)),
            ("why", why),
            ("do", $"ask the administrator of {peer}; both signed heads are kept, and are the proof")
        );
        await alarms.TellAsync(
            peer,
            $"{peer} tells two stories",
            $"""
            The gateway of {peer} has signed two heads of one log that
            cannot both be, as if what is on record there had been changed:

              {head.Head.Origin}

            Both are kept, and are the proof: {string.Join(", ", kept)}.
            Mail is not affected. Ask the administrator there.
            """
        );
        return true;
    }

    /// <returns>SHA-256 of what is kept: the checkpoint, an empty line, and its signature in base64.</returns>
    private async Task<string> KeepAsync(WitnessedHead head)
    {
        var octets = Encoding.ASCII.GetBytes($"{head.Head}\n{Convert.ToBase64String(head.Signature)}\n");
        var name = SHA256.HashData(octets);
        await site.Spool.KeepBlobAsync(name, octets);
        return Convert.ToHexStringLower(name);
    }
}
