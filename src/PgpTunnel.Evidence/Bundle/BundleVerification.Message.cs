using System.Security.Cryptography;
using System.Text;
using PgpTunnel.OpenPgp;

namespace PgpTunnel.Evidence;

/// <summary>Whether a message is the one.</summary>
public sealed partial class BundleVerification
{
    /// <summary>The signed octets, put together again from the message and what stands around it.</summary>
    private void CheckMessage(List<Signed> logs, IReadOnlyList<SignerKey> keys)
    {
        const string What = "the message that was given is the one";
        if (message is null)
        {
            _statements.Add(Statement.NotCovered(What, "no message was given"));
            return;
        }
        // The receiving side's has the signature with it.
        var around = bundles.OrderBy(b => b["message/sig"] is null).FirstOrDefault(b => b["message/head"] is not null);
        if (around?["message/head"] is not { } head || around["message/pad"] is not { } pad)
        {
            _statements.Add(Statement.NotCovered(What, "what stood around it is not in the bundle"));
            return;
        }
        if (!IsBlockOf(head, message.Length))
        {
            _statements.Add(
                Statement.Contradicted(What, "message/head is not the header block of a message of that size")
            );
            return;
        }
        byte[] literal = [.. head, .. message, .. pad];
        var lit = Convert.ToHexStringLower(SHA256.HashData(literal));
        var named = logs.SelectMany(l =>
                l.Log.Records.Where(r => r.StandsIn(l.Log.Head)).Select(r => (Log: l, r.Record))
            )
            .Where(t => t.Record.Event is "sealed" or "opened" && t.Record.Text("lit") == lit)
            .OrderByDescending(t => Crossed.Contains(t.Record.Text("id") + CrossedSealed))
            .ThenByDescending(t => t.Log.IsItsOwners)
            .FirstOrDefault();
        _statements.Add(
            named.Record is null
                ? Statement.Contradicted(What, "no record names its octets: it is another message, or was changed")
                : IsTheOne(What, named, lit)
        );
        if (named.Record is null || around["message/sig"] is not { } signature)
            return;
        var what = $"{named.Record.Text("signer")} signed it";
        var by = keys.FirstOrDefault(k =>
            k.Fingerprint == named.Record.Text("signer") && DetachedSignature.Verify(literal, signature, k) is not null
        );
        _statements.Add(
            by is not null
                ? Statement.Proved(what, by.Fingerprint, why: "by the signature inside the sealed message itself")
                : Statement.Contradicted(what, "message/sig is not a signature of it by that key")
        );
    }

    /// <summary>What is proved to have crossed.</summary>
    private List<string> Crossed =>
        _statements
            .Where(s => s.Verdict == Verdict.Proved)
            .Select(s => s.What)
            .Where(s => s.EndsWith(CrossedSealed, StringComparison.Ordinal))
            .ToList();

    /// <summary>
    /// One side alone can put any message on record, as if it had crossed: beside one that did cross it must not pass for that one.
    /// </summary>
    private Statement IsTheOne(string what, (Signed Log, Record Record) named, string lit)
    {
        var (id, by) = (named.Record.Text("id"), named.Log.Key.Fingerprint);
        var why = $"record {named.Record.N} names its octets, {lit}, as those of {id}";
        if (Crossed is { Count: > 0 } crossed && !crossed.Contains(id + CrossedSealed))
            return Statement.Contradicted(what, $"{why}, which is not what crossed");
        return named.Log.IsItsOwners
            ? Statement.Proved(what, by, why: why)
            : Statement.Claimed(what, by, $"{why}; whose key that is no signed DNS in the bundle says");
    }

    /// <summary>
    /// A block that ends with its first empty line and names that size (PROTOCOL.md 5): so the message is all of what was signed, and not a
    /// piece of it that somebody has quoted.
    /// </summary>
    private static bool IsBlockOf(ReadOnlySpan<byte> head, int size) =>
        head.IndexOf("\r\n\r\n"u8) == head.Length - 4
        && head.IndexOf(Encoding.ASCII.GetBytes(FormattableString.Invariant($"\r\nPgpTunnel-Size: {size}\r\n"))) > 0;
}
